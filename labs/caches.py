"""The caches of this machine, and how to keep data out of them when memory is what one means to measure.

A buffer that fits the last-level cache is read from memory once and from the cache ever after: a repeated
measurement of it says nothing of memory. Rotating over more copies than the cache holds, or emptying the
cache before each sample, keeps it cold.
"""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SYSFS = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
# Level and bytes where the system does not tell: usual sizes, the last one more than most hold.
_ASSUMED = ((1, 32 * 2**10), (2, 2**20), (3, 64 * 2**20))
# Apple's names, those of the performance cores first.
_SYSCTL = (
    (1, ("hw.perflevel0.l1dcachesize", "hw.l1dcachesize")),
    (2, ("hw.perflevel0.l2cachesize", "hw.l2cachesize")),
    (3, ("hw.l3cachesize",)),
)
# Copies fill the cache so many times over: replacement is not strictly oldest first.
CACHES_FULL = 2.0


class Cache(NamedTuple):
    """A level of data cache. ``cores`` that share one of it; ``assumed``: the system did not tell."""

    level: int
    size_bytes: int
    cores: int = 1
    assumed: bool = False


@functools.cache
def cpu_caches() -> tuple[Cache, ...]:
    """Data and unified caches of the first core, smallest level first; assumed sizes where none is told."""
    found = _from_sysfs(_SYSFS) if _SYSFS.is_dir() else _from_sysctl() if sys.platform == "darwin" else []
    if not found:
        return tuple(Cache(level, size, assumed=True) for level, size in _ASSUMED)
    return tuple(sorted(found))


def last_level_cache_bytes(device: str) -> int:
    """Bytes of the largest cache; what is smaller is not read from memory every time."""
    if device.startswith("cuda"):
        import torch

        assumed = _ASSUMED[-1][1]
        return int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", assumed))
    return max(cache.size_bytes for cache in cpu_caches())


def copies_beyond_cache(size_bytes: int, device: str, at_least: int = 2) -> int:
    """How many copies of ``size_bytes`` overflow the last-level cache, each cold when its turn comes."""
    wanted = CACHES_FULL * last_level_cache_bytes(device) / max(size_bytes, 1)
    return max(at_least, math.ceil(wanted))


def rotate(make: Callable[[], T], size_bytes: int, device: str) -> Callable[[], T]:
    """A function that hands out copies in turn; by the time one comes round again it has left the caches.

    ``make`` builds a copy of ``size_bytes``; the caller has reserved ``copies_beyond_cache`` times that.
    """
    turn = cycle([make() for _ in range(copies_beyond_cache(size_bytes, device))])
    return lambda: next(turn)


def flusher(device: str) -> Callable[[], object]:
    """A call that leaves nothing else in the caches: it overwrites a buffer of twice the last-level cache."""
    import torch

    size = int(CACHES_FULL * last_level_cache_bytes(device))
    return torch.empty(size, dtype=torch.uint8, device=device).zero_


def _from_sysfs(folder: Path) -> list[Cache]:
    found = []
    for index in folder.glob("index*"):
        try:
            kind, size = ((index / name).read_text().strip() for name in ("type", "size"))
            level = int((index / "level").read_text())
        except (OSError, ValueError):
            continue
        if kind != "Instruction" and size[-1:] in _UNITS and size[:-1].isdigit():
            found.append(Cache(level, int(size[:-1]) * _UNITS[size[-1]], _sharers(index)))
    return found


def _sharers(index: Path) -> int:
    """Processors in a list such as ``0-1,4``."""
    try:
        ranges = [part.split("-") for part in (index / "shared_cpu_list").read_text().strip().split(",")]
        return sum(int(part[-1]) - int(part[0]) + 1 for part in ranges)
    except (OSError, ValueError):
        return 1


def _from_sysctl() -> list[Cache]:
    found = []
    for level, names in _SYSCTL:
        sizes = (_sysctl(name) for name in names)
        if size := next((size for size in sizes if size), 0):
            found.append(Cache(level, size))
    return found


def _sysctl(name: str) -> int:
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else 0
