"""The Python types of Qt's classes are made on the window's own thread.

PySide makes a class's type when it is first asked for, and two threads that do so at once crash the process
or hang it. pyqtgraph asks for all of them while it is imported, on a thread: they are made before.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLICE_S = 0.006


def _types() -> Iterator[None]:
    """Makes one type after the other, of all Qt modules that are imported: 700, in a tenth of a second."""
    for name in sorted(name for name in sys.modules if name.startswith("PySide6.Qt")):
        module = sys.modules[name]
        for each in dir(module):
            getattr(module, each, None)
            yield


_left = _types()


def make_some() -> bool:
    """Make types for a few milliseconds; False when there are none left."""
    end = time.perf_counter() + SLICE_S
    for _ in _left:
        if time.perf_counter() >= end:
            return True
    return False


def make_all() -> None:
    """Make those that are left, before a thread imports what asks for them."""
    for _ in _left:
        pass
