"""What a freshly started process reports of its window: when it was first painted, and when it was ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from tests.benchmarks.event_loop import PaintWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QMainWindow


def report_start(window: QMainWindow, check: Callable[[], object] = lambda: None) -> None:
    """Print both times (monotonic, in s, comparable between processes), each with the processor time spent
    until then, and close the window.

    Ready is when all that was waiting in the event loop at the first paint, and all that this asked for in
    its turn, has been done: a key pressed now is answered now. ``check`` may raise to say that it is not.
    """
    times: list[float] = []

    def painted() -> None:
        if not times:
            times.extend((time.monotonic(), time.process_time()))
            QTimer.singleShot(0, lambda: QTimer.singleShot(0, ready))

    def ready() -> None:
        times.extend((time.monotonic(), time.process_time()))
        check()
        print(*times, flush=True)
        window.close()

    PaintWatch(window, painted)
