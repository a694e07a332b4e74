"""What a worker owes its window: to end with it, to go first without memory, to leave it the processor."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Found once: a child forked beside threads may find the loader's lock taken for ever.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
# Adds half of the machine's memory to the kernel's count against this process: the window, which holds the
# user's work, is then not the one that is killed.
_OOM_SCORE = 500
# A tenth of the window's claim on a core that both want, and all of one that nobody else wants.
_NICENESS = 10
_BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def die_with_parent() -> None:
    """On Linux the kernel kills this process when its parent dies. Elsewhere the end of stdin has to do."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_first_without_memory() -> None:
    """On Linux, be the first to go when memory is exhausted. An address-space limit would break CUDA."""
    with contextlib.suppress(OSError):  # not Linux, or a container that forbids it
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))


def give_way() -> None:
    """Let the window go first where both want a processor: its bursts are short, and someone waits for them.
    A processor that is free serves this process as before."""
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(ctypes.c_void_p(-1), _BELOW_NORMAL_PRIORITY_CLASS)  # -1: this process
    else:
        os.nice(_NICENESS)
