"""What the C library does with memory that tensors give up: by default it goes back to the kernel, and the
next tensor pays for every page of it again."""

from __future__ import annotations

import contextlib
import ctypes
import sys

# The names are of glibc's malloc.h. Its own figures drift with what was freed before; these stand still.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Blocks up to here are cut from the heap, which keeps them: the most that glibc allows. Larger ones, such as
# a model's weights, go back at once.
_FROM_THE_HEAP = 32 * 2**20
# What may lie free at the heap's end: the few tensors that a preview of one layer makes and drops.
_KEPT_FREE = 256 * 2**20


def keep_freed_memory() -> None:
    """On Linux with glibc, let freed blocks serve the next allocations. Halves the time of a dragged slider's
    preview, which is most of all the kernel handing out zeroed pages."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_THRESHOLD, _FROM_THE_HEAP)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)


def return_freed_memory() -> None:
    """Hand what is kept free back to the kernel: others need it while nothing runs here."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
