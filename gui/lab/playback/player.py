"""Playing a trace: the cursor follows the wall clock, faster or slower, or steps one event a frame."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent

    from gui.lab.playback.clock import Clock

FRAME_MS = 16
# A trace that lasts so long, in seconds, is played as it was by default; another takes about PLAYED_S.
NATURAL_S = (3.0, 60.0)
PLAYED_S = 20.0
# The speed that means one event a frame, however long it took.
BY_EVENT = 0.0
_STEPS = (1.0, 2.0, 5.0)


class Player(QObject):
    """Plays its clock. ``speed`` is trace seconds a second, or ``BY_EVENT``."""

    changed = Signal()  # it plays, has stopped, or plays at another speed

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._clock = clock
        self._chosen: float | None = None
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def playing(self) -> bool:
        return self._timer.isActive()

    @property
    def speed(self) -> float:
        return self.fitting() if self._chosen is None else self._chosen

    def fitting(self) -> float:
        """The default: as it was, or in about PLAYED_S, rounded to 1, 2 or 5 of a power of ten."""
        times = self._clock.times
        span = float(times[-1] - times[0]) if len(times) else 0.0
        if span <= 0:
            return BY_EVENT
        return 1.0 if NATURAL_S[0] <= span <= NATURAL_S[1] else _rounded(span / PLAYED_S)

    def speeds(self) -> list[float]:
        """The choices: two decades around the default, and one event a frame."""
        times = self._clock.times
        if not len(times) or times[-1] <= times[0]:
            return [BY_EVENT]
        middle = math.floor(math.log10(self.fitting()))
        around = [step * 10.0**power for power in range(middle - 1, middle + 2) for step in _STEPS]
        return [*around, 10.0 ** (middle + 2), BY_EVENT]

    def set_speed(self, speed: float) -> None:
        self._chosen = speed
        self.changed.emit()

    def change_speed(self, by: int) -> None:
        """So many choices faster or slower."""
        speeds = self.speeds()
        nearest = min(range(len(speeds)), key=lambda i: abs(speeds[i] - self.speed))
        self.set_speed(speeds[max(0, min(nearest + by, len(speeds) - 1))])

    def toggle(self) -> None:
        self.pause() if self.playing else self.play()

    def play(self) -> None:
        """From the cursor; from the start where it stands at the end."""
        if not self._clock.running:
            return
        if self._clock.cursor >= self._clock.last:
            self._clock.seek(-1)
        self._last = time.perf_counter()
        self._timer.start()
        self.changed.emit()

    def pause(self) -> None:
        if self.playing:
            self._timer.stop()
            self.changed.emit()

    def _tick(self) -> None:
        now = time.perf_counter()
        if self.speed == BY_EVENT:
            self._clock.seek(self._clock.cursor + 1)
        else:
            self._clock.seek_time(self._clock.now_s + (now - self._last) * self.speed)
        self._last = now
        if self._clock.cursor >= self._clock.last:
            self.pause()

    def take_key(self, event: QKeyEvent) -> bool:
        """Space plays and pauses, + and - change the speed: in every view that follows."""
        match event.key():
            case Qt.Key.Key_Space:
                self.toggle()
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self.change_speed(+1)
            case Qt.Key.Key_Minus:
                self.change_speed(-1)
            case _:
                return False
        return True


def _rounded(speed: float) -> float:
    power = 10.0 ** math.floor(math.log10(speed))
    return power * min((*_STEPS, 10.0), key=lambda step: abs(math.log(speed / (power * step))))
