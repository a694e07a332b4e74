"""A recorded trace: a transport bar that moves the cursor of a run's results, and what happens there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QSize, Qt
from PySide6.QtWidgets import QComboBox, QToolButton, QVBoxLayout, QWidget

from gui.icons import icon
from gui.lab.layouts.flow import Flow
from gui.lab.number_text import plain, unit_scale
from gui.lab.playback.clock import Clock, Follower, clocks_of
from gui.lab.playback.player import BY_EVENT
from gui.lab.views.event_lines import EventLines
from gui.lab.views.event_text import EventTexts
from gui.lab.views.scrubber import Scrubber
from gui.lab.views.view import View, csv_text, pick

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QKeyEvent

SLOW = 1e-3  # slower speeds are told as fractions: kernels last microseconds
PAGES = 20  # Page Up and Page Down go by this part of the trace


class TraceView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self.play_button = self._button("play", self._toggle)
        self.back_button = self._button("step-back", lambda: self.step(-1))
        self.forward_button = self._button("step-forward", lambda: self.step(+1))
        self.previous_button = self._button("previous-kind", lambda: self.step_kind(-1))
        self.next_button = self._button("next-kind", lambda: self.step_kind(+1))
        self.export_button = self._button("export", self._export)
        self.kind_box, self.speed_box = QComboBox(), QComboBox()
        self.kind_box.activated.connect(lambda _: self._show_trace())
        self.speed_box.activated.connect(lambda _: self._choose_speed())
        self.scrubber = Scrubber()
        self.scrubber.dragged.connect(lambda: self.clock.player.pause())
        self.setFocusProxy(self.scrubber)
        self.lines = EventLines(self)
        bar = QWidget()
        flow = Flow(gap=4)
        bar.setLayout(flow)
        for widget in (*self._buttons()[:5], self.kind_box, self.speed_box, self.export_button):
            flow.addWidget(widget)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 6, 0)
        body.setSpacing(4)
        for widget in (bar, self.scrubber, self.lines):
            body.addWidget(widget)
        body.addStretch(1)

    def _button(self, name: str, slot: Callable[[], None]) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(name))
        button.setIconSize(QSize(18, 18))
        button.setProperty("icon_name", name)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.clicked.connect(slot)
        return button

    def _buttons(self) -> list[QToolButton]:
        return [
            self.previous_button,
            self.back_button,
            self.play_button,
            self.forward_button,
            self.next_button,
            self.export_button,
        ]

    @property
    def clock(self) -> Clock:
        assert self.follower.clock is not None
        return self.follower.clock

    def show_result(self, result: dict[str, Any]) -> None:
        self.texts = EventTexts(result)
        clock = clocks_of(self).clock(result["id"])
        if clock is not self.follower.clock:
            self.follower.follow(result["id"])
            clock.player.changed.connect(self.player_changed)
        self.result = result
        self._choose_unit(result["times"])
        clock.load_trace(result)
        super().show_result(result)

    def redraw(self) -> None:
        self._fill_kinds()
        for button in self._buttons():
            button.setIcon(icon(button.property("icon_name"), self.theme.ink))
        self._name_buttons()
        self._show_trace()
        self.player_changed()
        self.clock_moved()
        self.updateGeometry()

    def _fill_kinds(self) -> None:
        chosen = max(0, self.kind_box.currentIndex())
        names = [self.tr("any event"), *(pick(kind["name"]) for kind in self.result["kinds"])]
        self.kind_box.clear()
        self.kind_box.addItems(names)
        self.kind_box.setCurrentIndex(chosen if chosen < len(names) else 0)

    def _name_buttons(self) -> None:
        names = {
            self.previous_button: self.tr("Previous event of the chosen kind (Shift+←)"),
            self.back_button: self.tr("Back one event (←)"),
            self.forward_button: self.tr("On by one event (→)"),
            self.next_button: self.tr("Next event of the chosen kind (Shift+→)"),
            self.export_button: self.tr("Save as an animation…"),
            self.kind_box: self.tr("Kind of event that is marked, and stepped to"),
            self.speed_box: self.tr("Speed (+ and −)"),
        }
        for widget, name in names.items():
            widget.setToolTip(name)
            widget.setAccessibleName(name)
        keys = self.tr("Space plays, arrows step, with Shift by kind, Home and End, + and − change the speed")
        self.scrubber.setToolTip(keys)
        self.scrubber.setAccessibleName(self.tr("Cursor of the trace"))

    def _chosen_events(self) -> Any:
        """Indices of the events of the chosen kind, None where any is meant."""
        kind = self.kind_box.currentIndex() - 1
        return np.flatnonzero(np.asarray(self.result["kind_index"]) == kind) if kind >= 0 else None

    def _show_trace(self) -> None:
        self._chosen = self._chosen_events()
        self.scrubber.show_trace(self.clock, self._chosen, self.theme)

    def player_changed(self) -> None:
        player = self.clock.player
        name = "pause" if player.playing else "play"
        self.play_button.setProperty("icon_name", name)
        self.play_button.setIcon(icon(name, self.theme.ink))
        what = self.tr("Pause (Space)") if player.playing else self.tr("Play (Space)")
        self.play_button.setToolTip(what)
        self.play_button.setAccessibleName(what)
        speeds = player.speeds()
        if player.speed not in speeds:
            speeds = [*sorted({*speeds, player.speed} - {BY_EVENT}), BY_EVENT]
        self.speed_box.clear()
        for speed in speeds:
            self.speed_box.addItem(self._speed_text(speed), speed)
        self.speed_box.setCurrentIndex(speeds.index(player.speed))

    def _speed_text(self, speed: float) -> str:
        if speed == BY_EVENT:
            return self.tr("an event a frame")
        if self._counts_steps():
            return self.tr("{count} steps/s").format(count=f"{speed:.10g}")
        return f"{speed:.10g}×" if speed >= SLOW else f"1/{1 / speed:,.0f}×"

    def _choose_speed(self) -> None:
        self.clock.player.set_speed(float(self.speed_box.currentData()))

    def clock_moved(self) -> None:
        self.scrubber.update()
        self.lines.update()
        event = self.clock.cursor
        if event >= 0 and not self.clock.player.playing:
            self.scrubber.setAccessibleDescription(f"{self.time_text(event)}: {self.texts.text(event)}")

    def place_text(self) -> str:
        clock = self.clock
        if not clock.running:
            return self.tr("no events")
        where = self.tr("event {number} of {count}").format(
            number=plain(clock.cursor + 1), count=plain(clock.last + 1)
        )
        if self._counts_steps():
            return where
        now, end = self._in_unit(clock.now_s), self._in_unit(float(clock.times[-1]))
        return f"{now} / {end} {self._unit} · {where}"

    def _counts_steps(self) -> bool:
        """The trace's times are an order: no figure of seconds is to be shown."""
        return bool(self.result.get("steps"))

    def _choose_unit(self, times: Any) -> None:
        """One for all times of the trace: figures that change their unit cannot be followed."""
        largest = float(np.abs(times[[0, -1]]).max()) if len(times) else 1.0
        self._factor, self._unit = unit_scale(largest, "s")
        digits = int(np.floor(np.log10(max(largest / self._factor, 1e-9)))) + 1
        gaps = np.diff(times)
        usual = float(np.median(gaps[gaps > 0])) / self._factor if (gaps > 0).any() else 1.0
        # Four digits, and so many that neighbouring events differ.
        self._decimals = min(6, max(0, 4 - max(1, digits), -int(np.floor(np.log10(usual)))))

    def _in_unit(self, seconds: float) -> str:
        return f"{seconds / self._factor:.{self._decimals}f}".replace("-", "−")

    def time_text(self, event: int) -> str:
        if self._counts_steps():
            return plain(event + 1)
        return f"{self._in_unit(float(self.clock.times[event]))} {self._unit}"

    def _toggle(self) -> None:
        self.clock.player.toggle()

    def step(self, by: int) -> None:
        self.clock.player.pause()
        self.clock.seek(self.clock.cursor + by)

    def step_kind(self, by: int) -> None:
        """To the next or previous event of the chosen kind; stays where there is none."""
        if self._chosen is None:
            self.step(by)
            return
        self.clock.player.pause()
        if by > 0:
            place = int(np.searchsorted(self._chosen, self.clock.cursor, side="right"))
        else:
            place = int(np.searchsorted(self._chosen, self.clock.cursor)) - 1
        if 0 <= place < len(self._chosen):
            self.clock.seek(int(self._chosen[place]))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        by_kind = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        step = self.step_kind if by_kind else self.step
        page = max(1, (self.clock.last + 1) // PAGES)
        match event.key():
            case Qt.Key.Key_Left:
                step(-1)
            case Qt.Key.Key_Right:
                step(+1)
            case Qt.Key.Key_PageUp:
                self.step(-page)
            case Qt.Key.Key_PageDown:
                self.step(page)
            case Qt.Key.Key_Home:
                self.step(-self.clock.last - 2)
            case Qt.Key.Key_End:
                self.step(self.clock.last + 2)
            case _:
                if not self.clock.player.take_key(event):
                    super().keyPressEvent(event)

    def hideEvent(self, event: QEvent) -> None:
        """Nobody sees it any more: it need not play on."""
        if self.follower.clock is not None:
            self.clock.player.pause()

    def _export(self) -> None:
        from gui.lab.playback.animation_dialog import AnimationDialog

        self.clock.player.pause()
        dialog = AnimationDialog(self, self.clock, self.views_beside())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def views_beside(self) -> list[View]:
        """What follows the clock in this window, from the top of the page to its end."""
        views = [view for view in self.clock.followers() if view.window() is self.window()]
        shown = [view for view in views if isinstance(view, View) and view.isVisible()]
        return sorted(shown, key=lambda view: view.mapTo(self.window(), QPoint()).toTuple()[::-1])

    def to_csv(self) -> str:
        columns = self.result.get("columns", {})
        time = self.tr("step") if self._counts_steps() else f"{self.tr('time')} (s)"
        header = [self.tr("event"), time, self.tr("kind"), *columns]
        names = [pick(kind["name"]) for kind in self.result["kinds"]]
        kinds = [names[kind] for kind in np.asarray(self.result["kind_index"]).tolist()]
        times = np.asarray(self.result["times"]).tolist()
        figures = [self._told(name, np.asarray(column).tolist()) for name, column in columns.items()]
        return csv_text(header, zip(range(len(times)), times, kinds, *figures, strict=True))

    def _told(self, column: str, values: list[Any]) -> list[Any]:
        names = self.result.get("names", {}).get(column)
        return [pick(names[value]) for value in values] if names else values
