"""Refusing an allocation before it is made, where this machine's free memory could not hold it."""

from __future__ import annotations

import sys
from pathlib import Path

from labs.spec import LabError
from labs.text import Text

# What stays free for the window and the rest of the machine: the larger of the two.
HEADROOM_SHARE = 0.10
HEADROOM_BYTES = 512 * 2**20

MEMINFO = Path("/proc/meminfo")
CGROUP_OF_SELF = Path("/proc/self/cgroup")
CGROUP_ROOT = Path("/sys/fs/cgroup")

# Version 1 writes a number near 2**63 for "no limit".
_NO_LIMIT = 2**60

_ANYTHING_SMALLER = Text(
    zh="请改用更小的参数，或关闭其他占用内存的程序", en="Choose smaller values, or close other programs"
)


def reserve(size_bytes: int, what: Text, device: str = "cpu", lower: Text | None = None) -> None:
    """Raise LabError if ``size_bytes`` for ``what`` would not leave the headroom free on ``device``.

    ``lower`` says which parameter to lower. Where the free memory cannot be known, nothing is refused.
    """
    free = free_bytes(device)
    if free is None:
        return
    usable = max(0, free - max(HEADROOM_BYTES, int(free * HEADROOM_SHARE)))
    if size_bytes <= usable:
        return
    hint = lower or _ANYTHING_SMALLER
    raise LabError(
        Text(
            zh=f"内存不足：{what.zh}需要 {_size(size_bytes)}，可用 {_size(usable)}（{device}）。{hint.zh}。",
            en=f"Not enough memory for {what.en}: {_size(size_bytes)} needed, {_size(usable)} free "
            f"({device}). {hint.en}.",
        )
    )


def free_bytes(device: str = "cpu") -> int | None:
    """Bytes that could still be allocated on ``device``; None where the platform does not say."""
    if device.startswith("cuda"):
        import torch

        # What torch's allocator holds without using it the driver counts as taken, but it is given out again.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    known = [free for free in (_available(), _cgroup_free()) if free is not None]
    return min(known, default=None)


def give_back() -> None:
    """Return to the driver what torch's allocator holds unused on a GPU: others compute there too."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _available() -> int | None:
    try:
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _cgroup_free() -> int | None:
    """The tightest limit of this process's control groups (version 1 or 2) less what they use."""
    free = [room for folder in _cgroup_folders() if (room := _room(folder)) is not None]
    return min(free, default=None)


def _cgroup_folders() -> list[Path]:
    """This process's memory group and its parents; in a container the mounted root is the group itself."""
    try:
        lines = CGROUP_OF_SELF.read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = CGROUP_ROOT / "memory" if controllers else CGROUP_ROOT
        group = root / path.lstrip("/")
        folders += [group, *(parent for parent in group.parents if parent == root or root in parent.parents)]
    return folders


def _room(folder: Path) -> int | None:
    for limit_name, usage_name, cache_key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _number(folder / limit_name)
        usage = _number(folder / usage_name)
        if limit is not None and usage is not None and limit < _NO_LIMIT:
            return max(0, limit - usage + _reclaimable(folder, cache_key))
    return None


def _reclaimable(folder: Path, key: str) -> int:
    """File cache counts as used, but the kernel gives it up before it refuses memory."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key} ")), 0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None


def _size(size_bytes: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes / 2**10:.1f} KiB"
