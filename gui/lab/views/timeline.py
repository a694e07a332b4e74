"""Bars over time in lanes: who did what when. Drag or zoom along the time; lanes that do not fit scroll."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollBar

from gui.lab.number_text import with_unit
from gui.lab.playback.clock import Follower
from gui.lab.views.block_look import owner_colour, owner_style
from gui.lab.views.clock_line import ClockLine
from gui.lab.views.lane_bars import LaneBars
from gui.lab.views.legend import Entry
from gui.lab.views.plot import PlotView, hover_card, hover_row
from gui.lab.views.view import csv_text, pick

if TYPE_CHECKING:
    from collections.abc import Callable

    from gui.theme import Theme

LANE, LEAST_LANE = 24, 14  # px
AXES = 44
SHORTEST, TALLEST = 120, 440
WIDEST_NAME = 130
NEAR = 4  # px from a bar that still count as on it
ZOOM = 1.5


class TimelineView(PlotView):
    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self._selected: int | None = None
        self._entries: list[Entry] = []
        self._line = ClockLine(self, self.follower, veiled=True)
        self.lanes_bar = QScrollBar(Qt.Orientation.Vertical)
        self.lanes_bar.valueChanged.connect(lambda _: self._fit_lanes())
        self.lanes_bar.hide()
        self.body.removeWidget(self.canvas)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.canvas, 1)
        row.addWidget(self.lanes_bar)
        self.body.addLayout(row, 1)
        self.plot.vb.invertY(True)
        self.plot.vb.setMouseEnabled(x=True, y=False)
        self.plot.vb.sigResized.connect(lambda _: self._fit_lanes())
        self.plot.vb.sigXRangeChanged.connect(lambda *_: self._line.fit_veil())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def sizeHint(self) -> QSize:
        lanes = len(self.result.get("lanes", []))
        height = max(SHORTEST, min(lanes * LANE, TALLEST)) + AXES
        return QSize(380, height + self.legend.height())

    def show_result(self, result: dict[str, Any]) -> None:
        self._lane = np.asarray(result["lane"], dtype=np.int64)
        self._start = np.asarray(result["start"], dtype=np.float64)
        self._end = np.asarray(result["end"], dtype=np.float64)
        self._category = np.asarray(result["category"], dtype=np.int64)
        # Bars by lane and then by time: for the pointer and the keyboard.
        self._order = np.lexsort((self._start, self._lane))
        self._firsts = np.searchsorted(self._lane[self._order], np.arange(len(result["lanes"]) + 1))
        self._selected = None
        self.follower.follow(str(result.get("clock") or ""))
        super().show_result(result)

    def clock_moved(self) -> None:
        self._line.move()

    def redraw(self) -> None:
        super().redraw()
        self.legend.show_entries(self._entries, self.theme)  # the lanes are named, the colours are not
        self.lanes_bar.setAccessibleName(self.tr("Lanes"))
        self._line.draw()

    def draw(self) -> list[Entry]:
        names = self._lane_names()
        ticks = [{"at": lane, "name": {"zh": name, "en": name}} for lane, name in enumerate(names)]
        y = {"title": {"zh": "", "en": ""}, "ticks": ticks}
        self.setup_axes(self.result["x"], y, [self._start, self._end], [])
        if len(self._lane):
            labels = [pick(label) for label in self.result.get("label") or []]
            bars = (self._lane, self._start, self._end, self._category)
            self.plot.addItem(LaneBars(bars, labels, self.small_font(), self.theme))
        used = set(np.unique(self._category).tolist())
        self._entries = [
            Entry(pick(name), owner_colour(place, self.theme), owner_style(place))
            for place, name in enumerate(self.result["categories"])
            if place in used
        ]
        return self._entries

    def _restyle_canvas(self, theme: Theme) -> None:
        super()._restyle_canvas(theme)
        self.canvas.y_axis.setGrid(False)  # lanes are told apart by their bars

    def _lane_names(self) -> list[str]:
        metrics = QFontMetricsF(self.small_font())
        widest = min(WIDEST_NAME, max(60, self.width() // 4))
        names = (pick(name) for name in self.result["lanes"])
        # In the middle: what tells lanes apart is mostly a number at the end.
        return [metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, widest) for name in names]

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.result and event.size().width() != event.oldSize().width():
            self.redraw()  # the names' room is another

    def reset_zoom(self) -> None:
        box = self.plot.vb
        low, high = self._extent()
        pad = 0.01 * (high - low)
        box.setLimits(xMin=low - pad, xMax=high + pad)
        box.setXRange(low - pad, high + pad, padding=0)
        self._fit_lanes()

    def _extent(self) -> tuple[float, float]:
        """From the first bar to the last; with a clock at least its whole trace, so that timelines which
        follow one clock have one scale."""
        if not len(self._lane):
            return 0.0, 1.0
        low, high = self._line.over_the_trace(float(self._start.min()), float(self._end.max()))
        return (low, high) if high > low else (low - 0.5, low + 0.5)

    def _fit_lanes(self) -> None:
        """All lanes where each has LEAST_LANE px, else as many as do, from the one that is scrolled to."""
        lanes = max(1, len(self.result.get("lanes", [])))
        fit = max(1, int(self.plot.vb.height() // LEAST_LANE))
        hidden = max(0, lanes - fit)
        self.lanes_bar.blockSignals(True)
        self.lanes_bar.setPageStep(fit)
        self.lanes_bar.setRange(0, hidden)
        self.lanes_bar.blockSignals(False)
        self.lanes_bar.setVisible(hidden > 0)
        first = self.lanes_bar.value() if hidden else 0
        self.plot.vb.setYRange(first - 0.5, first + min(lanes, fit) - 0.5, padding=0)
        self._line.fit_veil()

    def bars_of(self, lane: int) -> Any:
        """Indices of the lane's bars, in the order of their starts."""
        return self._order[self._firsts[lane] : self._firsts[lane + 1]]

    def bar_at(self, x: float, y: float) -> int | None:
        """The bar at plotted coordinates; of several the one that started last."""
        lane = int(np.floor(y + 0.5))
        if not 0 <= lane < len(self.result["lanes"]):
            return None
        bars = self.bars_of(lane)
        near = NEAR * float(self.plot.vb.viewPixelSize()[0])
        on = bars[(self._start[bars] <= x) & (self._end[bars] >= x)]
        if not len(on):
            on = bars[(self._start[bars] <= x + near) & (self._end[bars] >= x - near)]
        return int(on[-1]) if len(on) else None

    def describe(self, bar: int) -> list[tuple[str, str]]:
        """What the hover card says of a bar, after its title."""
        unit = self.result["x"].get("unit") or ""
        start, end = float(self._start[bar]), float(self._end[bar])
        lines = [
            (pick(self.result["categories"][int(self._category[bar])]), with_unit(end - start, unit)),
            (self.tr("from"), with_unit(start, unit)),
            (self.tr("to"), with_unit(end, unit)),
        ]
        values = self.result.get("value")
        if values is not None:
            name = self.result.get("value_name")
            value = with_unit(float(values[bar]), self.result.get("unit") or "")
            lines.append((pick(name) if name else self.tr("value"), value))
        return lines

    def bar_title(self, bar: int) -> str:
        labels = self.result.get("label")
        lane = pick(self.result["lanes"][int(self._lane[bar])])
        return f"{lane} · {pick(labels[bar])}" if labels else lane

    def hover_text(self, x: float, y: float) -> tuple[float, str] | None:
        bar = self.bar_at(x, y)
        if bar is None:
            return None
        colour = owner_colour(int(self._category[bar]), self.theme)
        rows = [
            hover_row(colour, html.escape(name), html.escape(value)) for name, value in self.describe(bar)
        ]
        return x, hover_card(html.escape(self.bar_title(bar)), rows, self.theme.muted)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go from bar to bar and lane to lane, Ctrl with + and - zooms, Home shows all."""
        key, clock = event.key(), self.follower.clock
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if control and key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self._zoom(1 / ZOOM if key != Qt.Key.Key_Minus else ZOOM)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._select_beside(-1 if key == Qt.Key.Key_Left else 1)
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._select_lane(-1 if key == Qt.Key.Key_Up else 1)
        elif key == Qt.Key.Key_Home:
            self.reset_zoom()
        elif clock is None or not clock.player.take_key(event):
            super().keyPressEvent(event)

    def _zoom(self, factor: float) -> None:
        """Around the cursor where it is in sight, else around the middle."""
        left, right = self.plot.vb.viewRange()[0]
        now = self.follower.now_s
        centre = now if now is not None and left <= now <= right else (left + right) / 2
        self.plot.vb.setXRange(
            centre - (centre - left) * factor, centre + (right - centre) * factor, padding=0
        )

    def _select_beside(self, by: int) -> None:
        if not len(self._order):
            return
        place = 0 if self._selected is None else int(np.flatnonzero(self._order == self._selected)[0]) + by
        self.select(int(self._order[max(0, min(place, len(self._order) - 1))]))

    def _select_lane(self, by: int) -> None:
        """The bar of the next lane that has any, at the same time."""
        if self._selected is None:
            self._select_beside(0)
            return
        lane, at = int(self._lane[self._selected]) + by, self._start[self._selected]
        while 0 <= lane < len(self.result["lanes"]):
            bars = self.bars_of(lane)
            if len(bars):
                self.select(int(bars[np.argmin(np.abs(self._start[bars] - at))]))
                return
            lane += by

    def select(self, bar: int) -> None:
        """Bring a bar into sight and tell what it is, on the card and to a screen reader."""
        self._selected = bar
        lane, middle = int(self._lane[bar]), (self._start[bar] + self._end[bar]) / 2
        first, page = self.lanes_bar.value(), self.lanes_bar.pageStep()
        if not first <= lane < first + page:
            self.lanes_bar.setValue(lane - page // 2)
        left, right = self.plot.vb.viewRange()[0]
        if not left <= middle <= right:
            self.plot.vb.setXRange(middle - (right - left) / 2, middle + (right - left) / 2, padding=0)
        self.hover_at(self.plot.vb.mapViewToScene(QPointF(middle, lane)))
        told = ", ".join(f"{name} {value}" for name, value in self.describe(bar))
        self.setAccessibleDescription(f"{self.bar_title(bar)}: {told}")

    def other_formats(self) -> dict[str, Callable[[], str]]:
        from gui.lab.export.chrome_trace import chrome_trace

        return {"trace.json": lambda: chrome_trace(self.result)}

    def to_csv(self) -> str:
        unit = self.result["x"].get("unit") or ""
        after = f" ({unit})" if unit else ""
        header = [self.tr("lane"), self.tr("start") + after, self.tr("end") + after, self.tr("category")]
        lanes = [pick(name) for name in self.result["lanes"]]
        categories = [pick(name) for name in self.result["categories"]]
        columns: list[list[Any]] = [
            [lanes[lane] for lane in self._lane.tolist()],
            self._start.tolist(),
            self._end.tolist(),
            [categories[one] for one in self._category.tolist()],
        ]
        if self.result.get("label"):
            header.append(self.tr("label"))
            columns.append([pick(label) for label in self.result["label"]])
        if self.result.get("value") is not None:
            name = self.result.get("value_name")
            header.append(pick(name) if name else self.tr("value"))
            columns.append(np.asarray(self.result["value"]).tolist())
        return csv_text(header, zip(*columns, strict=True))
