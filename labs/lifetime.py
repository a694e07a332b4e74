"""How a worker ends: with its window, and before it when memory runs out."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Adds half of the machine's memory to the kernel's count against this process: the window, which holds the
# user's work, is then not the one that is killed.
_OOM_SCORE = 500


def die_with_parent() -> None:
    """On Linux the kernel kills this process when its parent dies. Elsewhere the end of stdin has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_first_without_memory() -> None:
    """On Linux, be the first to go when memory is exhausted. An address-space limit would break CUDA."""
    with contextlib.suppress(OSError):  # not Linux, or a container that forbids it
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
