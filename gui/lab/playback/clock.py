"""The cursor of a recorded trace, which the results of one run share: all views that follow it move together.

A set of cards owns ``Clocks``; a view finds those of the nearest widget around it that has some, so that the
same card enlarged in a window of its own follows too, and two runs side by side do not follow each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from shiboken6 import isValid

from gui.lab.playback.player import Player

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget


class Clock(QObject):
    """``cursor`` is the last event that has happened, -1 before the first; ``now_s`` may lie between events.

    Before its trace has come a clock is not ``running``: what follows it then shows how all ended.
    """

    moved = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.trace: dict[str, Any] = {}  # the trace's result, once it has come
        self.times: Any = ()  # its times: an array then
        self.cursor = -1
        self.now_s = 0.0
        self._start = -1
        self._followers: list[QWidget] = []
        self.player = Player(self)

    @property
    def running(self) -> bool:
        return len(self.times) > 0

    def followers(self) -> list[QWidget]:
        """The views that follow, in the order in which they came."""
        self._followers = [view for view in self._followers if isValid(view)]
        return list(self._followers)

    def add(self, view: QWidget) -> None:
        self._followers.append(view)

    def remove(self, view: QWidget) -> None:
        self._followers.remove(view)

    @property
    def last(self) -> int:
        return len(self.times) - 1

    def load_trace(self, trace: dict[str, Any]) -> None:
        """A trace's result; see ``load``."""
        self.trace = trace
        self.load(trace["times"], trace.get("at"))

    def load(self, times: Any, start: int | None) -> None:
        """A trace's ``times``, an ascending array. The cursor goes to event ``start`` (None: the last), or
        stays where it was if the trace has only grown and the reader had moved it."""
        old = len(self.times)
        grown = 0 < old <= len(times) and bool((times[:old] == self.times).all())
        moved = grown and self.cursor != self._start
        self.times = times
        self._start = self.last if start is None else min(start, self.last)
        if not moved:
            self.player.pause()
            self.seek(self._start)
        self.moved.emit()

    def empty(self) -> None:
        """As before its trace had come; nobody is told."""
        self.player.pause()
        self.times, self.trace = (), {}
        self.cursor = -1

    def seek(self, event: int) -> None:
        """To the moment of an event; those at the same moment that come after it have not happened yet."""
        event = max(-1, min(event, self.last))
        before_all = float(self.times[0]) if self.running else 0.0
        self._move(event, float(self.times[event]) if event >= 0 else before_all)

    def seek_time(self, seconds: float) -> None:
        """To a moment, after all events that have happened by then."""
        if not self.running:
            return
        seconds = max(float(self.times[0]), min(seconds, float(self.times[-1])))
        self._move(int(self.times.searchsorted(seconds, side="right")) - 1, seconds)

    def restore(self, cursor: int, seconds: float) -> None:
        """Back to where it was."""
        self._move(cursor, seconds)

    def _move(self, event: int, seconds: float) -> None:
        if (event, seconds) != (self.cursor, self.now_s):
            self.cursor, self.now_s = event, seconds
            self.moved.emit()


class Clocks(QObject):
    """The clocks of one set of results, by the ids of their traces."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._clocks: dict[str, Clock] = {}

    def clock(self, trace: str) -> Clock:
        if trace not in self._clocks:
            self._clocks[trace] = Clock(self)
        return self._clocks[trace]

    def clear(self) -> None:
        """Another lab's traces may have the same ids."""
        for clock in self._clocks.values():
            clock.empty()

    def drop(self, trace: str) -> None:
        """A run did not give this trace any more: what follows it does so no longer."""
        if trace in self._clocks:
            self._clocks[trace].empty()
            self._clocks[trace].moved.emit()


def clocks_of(widget: QWidget) -> Clocks:
    """Those of the nearest widget around this one; a widget on its own gets some of its own."""
    around: QWidget | None = widget
    while around is not None:
        found = getattr(around, "clocks", None)
        if isinstance(found, Clocks):
            return found
        around = around.parentWidget()
    own = Clocks(widget)
    widget.clocks = own  # type: ignore[attr-defined]
    return own


class Follower:
    """Ties a view to the clock that its result names. ``moved``, a method of the view, is called whenever the
    cursor has moved."""

    def __init__(self, view: QWidget, moved: Callable[[], None]) -> None:
        self._view, self._moved = view, moved
        self.clock: Clock | None = None

    def follow(self, trace: str) -> None:
        """``""``: no clock."""
        clock = clocks_of(self._view).clock(trace) if trace else None
        if clock is self.clock:
            return
        self.leave()
        self.clock = clock
        if clock is not None:
            clock.moved.connect(self._moved)
            clock.add(self._view)

    def leave(self) -> None:
        clock, self.clock = self.clock, None
        if clock is not None:
            clock.moved.disconnect(self._moved)
            clock.remove(self._view)

    @property
    def cursor(self) -> int | None:
        """The cursor; None where there is none to follow, which means: after everything."""
        return self.clock.cursor if self.clock is not None and self.clock.running else None

    def figure(self, column: str) -> float | None:
        """What a column of the trace says at the cursor; None before the first event, and where there is
        none."""
        event = self.cursor
        if self.clock is None or event is None or event < 0:
            return None
        values = self.clock.trace.get("columns", {}).get(column)
        return float(values[event]) if values is not None else None

    @property
    def now_s(self) -> float | None:
        return self.clock.now_s if self.clock is not None and self.clock.running else None
