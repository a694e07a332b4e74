"""The cursor of a clock in a plot over time: a line, and a veil over what has not happened yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QGraphicsRectItem

if TYPE_CHECKING:
    from gui.lab.playback.clock import Follower
    from gui.lab.views.plot import PlotView

VEIL = 0.6
# A zoomed plot turns the page when the cursor leaves it, and shows this part of it before the cursor.
BEFORE = 0.15


class ClockLine:
    """A view over time calls ``draw`` when it has drawn the rest, ``move`` when the clock has moved, and
    ``seek`` on a click: one points at a moment, and all that follow the clock go there."""

    def __init__(self, view: PlotView, follower: Follower, *, veiled: bool) -> None:
        self._view, self._follower, self._veiled = view, follower, veiled
        self._line: Any = None
        self._veil: QGraphicsRectItem | None = None
        self._times: Any = None
        view.plot.scene().sigMouseClicked.connect(self._clicked)

    def draw(self) -> None:
        """After the plot was cleared: new items."""
        self._line = self._veil = None
        if self._follower.clock is None:
            return
        theme, plot = self._view.theme, self._view.plot
        if self._veiled:
            self._veil = QGraphicsRectItem()
            colour = QColor(theme.raised)
            colour.setAlphaF(VEIL)
            self._veil.setBrush(colour)
            self._veil.setPen(QColor(0, 0, 0, 0))
            self._veil.setZValue(10)
            plot.addItem(self._veil, ignoreBounds=True)
        self._line = pg.InfiniteLine(angle=90, pen=pg.mkPen(theme.accent, width=1))
        self._line.setZValue(11)
        plot.addItem(self._line, ignoreBounds=True)
        self.move()

    def over_the_trace(self, low: float, high: float) -> tuple[float, float]:
        """The range of plotted x, extended to all of the trace if there is one: the cursor may be anywhere in
        it, and what follows one clock is easiest to compare in one range."""
        clock, axis = self._follower.clock, self._view.canvas.x_axis
        if clock is None or not clock.running or (axis.log and clock.times[0] <= 0):
            return low, high
        first, last = (axis.coordinate(float(clock.times[end])) for end in (0, -1))
        return min(low, first), max(high, last)

    def move(self) -> None:
        now, clock = self._follower.now_s, self._follower.clock
        if self._line is None:
            return
        if clock is not None and clock.times is not self._times:
            self._times = clock.times  # the trace has come, or is another
            self._view.reset_zoom()
        for item in (self._line, self._veil):
            if item is not None:
                item.setVisible(now is not None)
        if now is None:
            return
        x = self._view.canvas.x_axis.coordinate(now)
        self._line.setPos(x)
        self._keep_in_sight(x)
        self.fit_veil()

    def fit_veil(self) -> None:
        """From the cursor to the right edge, over the whole height."""
        if self._veil is not None and self._line is not None:
            view = self._view.plot.vb.viewRect()
            left = max(self._line.value(), view.left())
            self._veil.setRect(left, view.top(), max(0.0, view.right() - left), view.height())

    def _keep_in_sight(self, x: float) -> None:
        box = self._view.plot.vb
        if box.state["autoRange"][0]:
            return
        left, right = box.viewRange()[0]
        clock = self._follower.clock
        if not left <= x <= right and clock is not None and clock.cursor >= 0:
            width = right - left
            box.setXRange(x - BEFORE * width, x + (1 - BEFORE) * width, padding=0)

    def _clicked(self, event: Any) -> None:
        clock, box = self._follower.clock, self._view.plot.vb
        inside = box.sceneBoundingRect().contains(event.scenePos())
        if clock is None or not inside or event.button() != Qt.MouseButton.LeftButton or event.double():
            return
        clock.player.pause()
        clock.seek_time(self._view.canvas.x_axis.value(box.mapSceneToView(event.scenePos()).x()))
