"""What the figures were measured on, and how much of the machine others took meanwhile."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from labs.environment import environment

ROOT = Path(__file__).parents[2]


def machine() -> dict[str, Any]:
    """Processor, versions, Qt platform, commit."""
    return {
        **environment(),
        "pyside6": importlib.metadata.version("PySide6-Essentials"),
        "qt_platform": os.environ.get("QT_QPA_PLATFORM", ""),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "gui", "labs")),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


class Neighbours:
    """Processor time that other processes took since this was made; children that ended are not others."""

    def __init__(self) -> None:
        self._start = (time.perf_counter(), _busy_s(), _own_s())

    def share(self) -> float | None:
        """Of all cores' time, 0 to 1; None where the system does not tell."""
        start, busy, own = self._start
        now_busy = _busy_s()
        if busy is None or now_busy is None:
            return None
        others = (now_busy - busy) - (_own_s() - own)
        return max(0.0, others / ((time.perf_counter() - start) * (os.cpu_count() or 1)))


def _own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_s() -> float | None:
    """Time that all cores together have spent computing since the machine started (Linux only)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
