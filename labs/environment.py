"""What a figure was measured on: machine, versions, device. It is part of every run's record."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from labs.device import device

CPUINFO = Path("/proc/cpuinfo")
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
# Where an NVIDIA or AMD device's driver shows itself: without one, no cuda on Linux.
_GPU_NODES = (NVIDIA_DRIVER, Path("/dev/kfd"), Path("/dev/dxg"))


def environment(*, with_device: bool = False) -> dict[str, Any]:
    """The record. Without ``with_device`` torch is not imported, and the device may be None: not known."""
    if with_device and _may_have_gpu():
        import torch  # noqa: F401 the device's name comes from it
    return {**_machine(), "threads": threads(), **_device()}


@functools.cache
def _machine() -> dict[str, Any]:
    return {
        "app": app_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "torch": _version("torch"),
        "triton": _version("triton"),
    }


def app_version() -> str:
    """From pyproject.toml beside the package, where it runs from its repository; else as installed."""
    pyproject = Path(__file__).parent.parent / "pyproject.toml"
    if pyproject.is_file():
        return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])
    return _version("inferlab") or "unknown"


def _device() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None:
        return {"device": None if _may_have_gpu() else "cpu", "device_name": None, "driver": None}
    if device() == "cpu":
        return {"device": "cpu", "device_name": None, "driver": None}
    return {"device": "cuda", "device_name": torch.cuda.get_device_name(), "driver": _driver()}


def _may_have_gpu() -> bool:
    return sys.platform == "win32" or any(node.exists() for node in _GPU_NODES)


def _driver() -> str | None:
    try:
        found = re.search(r"NVIDIA.*?\s(\d+\.[\d.]+)", NVIDIA_DRIVER.read_text())
    except OSError:
        return None
    return found[1] if found else None


def threads() -> int:
    """Threads that torch computes with; before it is imported, those that it would be allowed."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit():
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
