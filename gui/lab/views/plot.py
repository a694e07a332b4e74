"""What all plots share: axes with units, a legend outside, a hover card, and the theme's colours.

The wheel scrolls the page (Ctrl with the wheel zooms), dragging pans, and a double click shows everything
again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout

from gui.lab.views.axis import UnitAxis
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.marks import Marks
from gui.lab.views.plot_area import PlotArea
from gui.lab.views.view import View, pick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gui.theme import Theme

HEIGHT = 270
# Above this many points antialiasing costs more than it shows.
SMOOTH_POINTS = 4000


class Canvas(pg.GraphicsView):  # type: ignore[misc]
    def __init__(self, view: PlotView) -> None:
        super().__init__()
        self._view = view
        self.x_axis, self.y_axis = UnitAxis("bottom"), UnitAxis("left")
        self.plot = PlotArea(self.x_axis, self.y_axis)
        self.setCentralItem(self.plot)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setCacheMode(self.CacheModeFlag.CacheNone)  # a cached background is a raster in an SVG
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
        else:
            event.ignore()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._view.reset_zoom()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._view.hover_at(event.position())

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._view.end_hover()


class PlotView(View):
    """Subclasses fill the canvas in ``draw`` and answer ``hover_text``."""

    gridded = True

    def __init__(self) -> None:
        super().__init__()
        self.legend = Legend()
        self.canvas = Canvas(self)
        self.canvas.setMinimumHeight(120)
        self.canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._styled: Theme | None = None
        self._cross = pg.InfiniteLine(angle=90)
        self._cross.hide()
        self.plot.vb.addItem(self._cross, ignoreBounds=True)  # not one of the plot's items: it stays
        self._card = QLabel(self.canvas)
        self._card.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._card.setTextFormat(Qt.TextFormat.RichText)
        self._card.hide()
        self._empty = QLabel(self.canvas)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._empty.hide()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(4)
        self.body.addWidget(self.legend)
        self.body.addWidget(self.canvas, 1)

    def sizeHint(self) -> QSize:
        return QSize(380, HEIGHT + self.legend.height())

    @property
    def plot(self) -> PlotArea:
        return self.canvas.plot

    def series_colour(self, index: int) -> str:
        return self.theme.series[index % len(self.theme.series)]

    def small_font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(11)
        return font

    def redraw(self) -> None:
        self.end_hover()
        plot = self.plot
        plot.vb.disableAutoRange()  # else every item added below sets off a computation of the range
        plot.clear()
        if self._styled is not self.theme:
            self._restyle_canvas(self.theme)
        entries = self.draw()
        if self.canvas.y_axis.names:
            entries = []  # the rows carry their names
        self.legend.show_entries(entries, self.theme, self.canvas.y_axis.full_title())
        self.canvas.x_axis.show_title(self.theme.muted)
        self._show_empty(not plot.items)
        self.reset_zoom()
        self.updateGeometry()

    def draw(self) -> list[Entry]:
        """Fill the canvas from ``self.result``; the legend's entries."""
        raise NotImplementedError

    def _show_empty(self, empty: bool) -> None:
        if empty:
            self._empty.setText(self.tr("no data"))
            self._empty.resize(self.canvas.size())
        self._empty.setVisible(empty)

    def reset_zoom(self) -> None:
        self.plot.vb.enableAutoRange()
        self.plot.vb.updateAutoRange()  # now, not at the next paint
        self.canvas.y_axis.make_room()

    def _restyle_canvas(self, theme: Theme) -> None:
        """What a theme changes and a result does not: half of the time that a new picture would take."""
        self._styled = theme
        self.canvas.setBackground(theme.raised)
        self._cross.setPen(pg.mkPen(theme.muted, width=1))
        rule = QColor(theme.rule)
        for axis in (self.canvas.x_axis, self.canvas.y_axis):
            axis.setPen(pg.mkPen(rule))
            axis.setTickPen(pg.mkPen(rule))
            axis.setTextPen(pg.mkPen(theme.muted))
            axis.setTickFont(self.small_font())
            axis.setStyle(
                tickLength=4, tickTextOffset=6, hideOverlappingLabels=True, autoExpandTextSpace=True
            )
        if self.gridded:
            self.plot.show_grid(0.55 if theme.dark else 0.7)
        self._empty.setStyleSheet(f"color: {theme.muted}")
        self._card.setStyleSheet(
            f"background: {theme.raised}; color: {theme.ink}; border: 1px solid {theme.rule};"
            "border-radius: 6px; padding: 5px 8px; font-size: 12px"
        )

    def setup_axes(self, x: dict[str, Any], y: dict[str, Any], xs: Iterable[Any], ys: Iterable[Any]) -> None:
        """Titles, units and prefixes, from the data's extent."""
        xs, ys = list(xs), list(ys)
        self.canvas.x_axis.set_axis(x, _powers_of_two(xs) if x.get("log") else [])
        self.canvas.y_axis.set_axis(y, [])
        self.canvas.x_axis.fit_prefix(largest(xs))
        self.canvas.y_axis.fit_prefix(largest(ys))

    def coordinates(self, values: Any, axis: UnitAxis) -> Any:
        """Values as plotted: log10 on a log axis, where what has no logarithm becomes NaN."""
        values = np.asarray(values, dtype=np.float64)
        if not axis.log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, np.log10(values), np.nan)

    def add_marks(self, marks: Iterable[dict[str, Any]]) -> None:
        ground = QColor(self.theme.raised)
        ground.setAlpha(215)
        places = [(self.canvas.x_axis.coordinate(mark["x"]), mark.get("name")) for mark in marks]
        seen = [(x, pick(name) if name else "") for x, name in places if math.isfinite(x)]
        if seen:
            self.plot.addItem(Marks(seen, self.small_font(), self.theme.accent, ground))

    def hover_text(self, x: float, y: float) -> tuple[float, str] | None:
        """The x to mark and the card's rich text for the pointer at plotted coordinates; None where nothing
        is."""
        raise NotImplementedError

    def hover_at(self, position: QPointF) -> None:
        if not self.plot.vb.sceneBoundingRect().contains(position):
            self.end_hover()
            return
        point = self.plot.vb.mapSceneToView(position)
        found = self.hover_text(point.x(), point.y())
        if found is None:
            self.end_hover()
            return
        self._cross.setPos(found[0])
        self._cross.show()
        self._card.setText(found[1])
        self._card.adjustSize()
        beside = round(position.x()) + 14
        if beside + self._card.width() > self.canvas.width():
            beside = round(position.x()) - 14 - self._card.width()
        self._card.move(
            max(0, beside), max(0, min(round(position.y()) + 10, self.height() - self._card.height()))
        )
        self._card.show()

    def end_hover(self) -> None:
        self._cross.hide()
        self._card.hide()


def largest(arrays: Iterable[Any]) -> float:
    """The largest finite magnitude in any of the arrays, 0 where there is none."""
    best = 0.0
    for values in arrays:
        finite = np.abs(np.asarray(values, dtype=np.float64))
        finite = finite[np.isfinite(finite)]
        if finite.size:
            best = max(best, float(finite.max()))
    return best


def _powers_of_two(arrays: Iterable[Any]) -> list[float]:
    """The distinct values where all are powers of two and few: 16, 32, 64, 128 read better than 10 and
    100."""
    values = np.unique(
        np.concatenate([np.asarray(a, dtype=np.float64).ravel() for a in arrays] or [np.empty(0)])
    )
    values = values[np.isfinite(values)]
    if not 2 <= values.size <= 14 or values[0] <= 0:
        return []
    powers = np.log2(values)
    return [float(v) for v in values] if np.allclose(powers, np.round(powers)) else []


def hover_row(colour: str, name: str, value: str) -> str:
    dot = f"<td style='color:{colour}'>●&nbsp;</td>"
    return f"<tr>{dot}<td>{name}&nbsp;&nbsp;</td><td align='right'><b>{value}</b></td></tr>"


def hover_card(title: str, rows: Iterable[str], muted: str) -> str:
    return f"<span style='color:{muted}'>{title}</span><table cellspacing='0'>{''.join(rows)}</table>"
