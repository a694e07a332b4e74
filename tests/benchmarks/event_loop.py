"""Watching an event loop from outside: when a window has painted, and how long it did not answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QObject, Qt, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget

TICK_MS = 5
_AFTER_PAINT = QEvent.Type(QEvent.registerEventType())


class PaintWatch(QObject):
    """Calls ``painted()`` each time that ``window`` and the widgets in it have been painted.

    The paint of a window and its children is one synchronous piece of work that starts with an event to the
    window; an event of high priority posted at its start is the first to be handled when it is done.
    """

    def __init__(self, window: QWidget, painted: Callable[[], object]) -> None:
        super().__init__(window)  # which keeps it alive
        self._painted = painted
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Paint, QEvent.Type.UpdateRequest):
            priority = Qt.EventPriority.HighEventPriority.value
            QCoreApplication.postEvent(self, QEvent(_AFTER_PAINT), priority)
        return False

    def event(self, event: QEvent) -> bool:
        if event.type() == _AFTER_PAINT:
            self._painted()
            return True
        return super().event(event)


class PaintClock:
    """Times what is done to a window by when its result is on the screen.

    ``cpu_ms`` collects the processor time of this thread in each: on a machine that others use, the lower
    bound of what the wall clock would show on a quiet one.
    """

    def __init__(self, window: QWidget) -> None:
        self.cpu_ms: list[float] = []
        self._painted = False
        self._watch = PaintWatch(window, self._note)

    def _note(self) -> None:
        self._painted = True

    def ms(self, act: Callable[[], object]) -> float:
        """Milliseconds from before ``act()`` to the end of the first paint after it."""
        start, cpu = time.perf_counter(), time.thread_time()
        act()
        self._painted = False
        while not self._painted and time.perf_counter() < start + 10:
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        self.cpu_ms.append(1000 * (time.thread_time() - cpu))
        return 1000 * (time.perf_counter() - start)


class GapWatch(QObject):
    """The longest time between two ticks of a 5 ms timer since the last ``reset``: what a person feels.

    ``cpu_ms`` is this thread's processor time in that gap; the rest of it was waiting for a processor.
    """

    def __init__(self) -> None:
        super().__init__()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self.reset()
        self._timer.start()

    def reset(self) -> None:
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._longest_s, self.cpu_ms = 0.0, 0.0

    def longest_ms(self) -> float:
        """A gap that is still open counts."""
        self._tick()
        return 1000 * self._longest_s

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        if now - self._last > self._longest_s:
            self._longest_s, self.cpu_ms = now - self._last, 1000 * (cpu - self._last_cpu)
        self._last, self._last_cpu = now, cpu


def spin(milliseconds: int) -> None:
    """Let the event loop run for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Run the event loop until ``true()``; a TimeoutError names ``what`` did not happen."""
    loop = QEventLoop()
    poll = QTimer()
    poll.setInterval(TICK_MS)
    poll.timeout.connect(lambda: loop.exit(0) if true() else None)
    poll.start()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()
    poll.stop()
    if not true():
        raise TimeoutError(f"{what}: not within {seconds:g} s")
