"""Curves over a common x axis, with spread, baselines and marks."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor

from gui.lab.playback.clock import Follower
from gui.lab.views.clock_line import ClockLine
from gui.lab.views.legend import PEN_STYLES, Entry
from gui.lab.views.plot import SMOOTH_POINTS, PlotView, hover_card, hover_row
from gui.lab.views.points import PointNames, Points
from gui.lab.views.view import csv_text, pick, with_unit_title

MOST_MARKERS = 200
MOST_LABELS = 40
# More points than twice the pixels of a wide screen show nothing more, and drawing them stalls the event
# loop.
MOST_POINTS = 10_000
# Up to this many points a spread is drawn as whiskers, above as a band.
MOST_WHISKERS = 40
BASELINES = ("dash", "dot", "dashdot")  # all grey: they differ in their strokes


class LinesView(PlotView):
    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self._line = ClockLine(self, self.follower, veiled=False)

    def show_result(self, result: dict[str, Any]) -> None:
        self.follower.follow(str(result.get("clock") or ""))
        super().show_result(result)

    def clock_moved(self) -> None:
        self._line.move()

    def redraw(self) -> None:
        super().redraw()
        self._line.draw()

    def reset_zoom(self) -> None:
        super().reset_zoom()
        low, high = self.plot.vb.viewRange()[0]
        whole = self._line.over_the_trace(low, high)
        if whole != (low, high):
            self.plot.vb.setXRange(*whole, padding=0)

    def draw(self) -> list[Entry]:
        series = self.result["series"]
        x, y = self.result["x"], self.result["y"]
        self.setup_axes(x, y, [one["x"] for one in series], [one["y"] for one in series])
        self._points: list[tuple[str, str, Any, Any]] = []
        colours = self._colours(series)
        # Baselines first, so that they lie behind.
        order = sorted(range(len(series)), key=lambda index: not series[index].get("reference"))
        drawn = {index: self._draw_series(series[index], colours[index]) for index in order}
        entries = [drawn[index] for index in range(len(series))]
        self._points = [self._points[order.index(index)] for index in range(len(series))]
        self._draw_names(series)
        self.add_marks(self.result.get("marks", []))
        return entries

    def _colours(self, series: list[dict[str, Any]]) -> list[str]:
        """Baselines are grey and take no colour from the others."""
        place, colours = 0, []
        for one in series:
            colours.append(self.theme.muted if one.get("reference") else self.series_colour(place))
            place += not one.get("reference")
        return colours

    def _draw_series(self, one: dict[str, Any], colour: str) -> Entry:
        reference = bool(one.get("reference"))
        xs = self.coordinates(one["x"], self.canvas.x_axis)
        ys = self.coordinates(one["y"], self.canvas.y_axis)
        self._points.append((colour, pick(one["name"]), xs, ys))
        if not reference:
            self._draw_spread(one, xs, colour)
        self._draw_curve(one, xs, ys, colour)
        own = one.get("provenance")
        differs = own if own and own != self.result["provenance"] else None
        return Entry(pick(one["name"]), colour, self.swatch(one), differs)

    def swatch(self, one: dict[str, Any]) -> str:
        """Past the last colour the colours begin again, dotted; each baseline has strokes of its own."""
        reference = bool(one.get("reference"))
        alike = [other for other in self.result["series"] if bool(other.get("reference")) == reference]
        place = next(index for index, other in enumerate(alike) if other is one)
        if reference:
            return BASELINES[place % len(BASELINES)]
        return "line" if place < len(self.theme.series) else "dot"

    def _draw_curve(self, one: dict[str, Any], xs: Any, ys: Any, colour: str) -> None:
        good = np.isfinite(xs) & np.isfinite(ys)
        if not good.any():
            return  # pyqtgraph asks such a curve for its bounds and fails
        xs, ys = np.where(good, xs, np.nan), np.where(good, ys, np.nan)
        xs, ys = _thinned(xs, ys)
        few = len(xs) <= SMOOTH_POINTS
        style = PEN_STYLES[self.swatch(one)]
        # Not a PlotDataItem: it is thinned already, and that machinery takes 2 ms a curve.
        pen = pg.mkPen(colour, width=self.pen_width(one, few), style=style)
        self.plot.addItem(pg.PlotCurveItem(xs, ys, pen=pen, antialias=few, connect="finite"))
        if self.shows_points(one, len(xs)):
            self._draw_points(xs[good], ys[good], colour)

    def pen_width(self, one: dict[str, Any], few: bool) -> int:
        """2 where the points are few enough to cost nothing, else 1: wider pens are many times slower."""
        return 2 if few and not one.get("reference") else 1

    def _draw_points(self, xs: Any, ys: Any, colour: str) -> None:
        """An item of its own: that of a PlotDataItem turns to pixmaps whenever the view moves."""
        self.plot.addItem(Points(xs, ys, 6 if len(xs) > 40 else 7, colour, self.theme.raised))

    def shows_points(self, one: dict[str, Any], count: int) -> bool:
        if one.get("reference"):
            return False
        return count == 1 or (bool(self.result.get("markers", True)) and count <= MOST_MARKERS)

    def _draw_spread(self, one: dict[str, Any], xs: Any, colour: str) -> None:
        if one.get("low") is None or one.get("high") is None or len(xs) == 0:
            return
        low = self.coordinates(one["low"], self.canvas.y_axis)
        high = self.coordinates(one["high"], self.canvas.y_axis)
        good = np.isfinite(xs) & np.isfinite(low) & np.isfinite(high)
        xs, low, high = xs[good], low[good], high[good]
        if len(xs) <= MOST_WHISKERS:
            span = float(xs.max() - xs.min()) if len(xs) > 1 else 1.0
            middle = (low + high) / 2
            self.plot.addItem(
                pg.ErrorBarItem(
                    x=xs,
                    y=middle,
                    top=high - middle,
                    bottom=middle - low,
                    beam=span * 0.012,
                    pen=pg.mkPen(colour, width=1),
                )
            )
            return
        tint = QColor(colour)
        tint.setAlphaF(0.18)
        edges = [pg.PlotDataItem(xs, edge, pen=None) for edge in (low, high)]
        self.plot.addItem(pg.FillBetweenItem(*edges, brush=tint))

    def _draw_names(self, series: list[dict[str, Any]]) -> None:
        """Names beside the points, where they are few in all; else they are for the pointer to ask."""
        if sum(len(one.get("labels") or []) for one in series) > MOST_LABELS:
            return
        named = [
            (x, y, pick(label))
            for one, (_, _, xs, ys) in zip(series, self._points, strict=True)
            for label, x, y in zip(one.get("labels") or [], xs, ys, strict=False)
            if np.isfinite(x) and np.isfinite(y)
        ]
        if named:
            xs, ys, names = zip(*named, strict=True)
            ground = QColor(self.theme.raised)
            ground.setAlphaF(0.75)
            item = PointNames(xs, ys, list(names), self.small_font(), self.theme.ink, ground)
            self.plot.addItem(item, ignoreBounds=True)

    def hover_text(self, x: float, y: float) -> tuple[float, str] | None:
        nearest: float | None = None
        for _, _, xs, ys in self._points:
            good = xs[np.isfinite(xs) & np.isfinite(ys)]
            if good.size:
                near = float(good[np.argmin(np.abs(good - x))])
                nearest = near if nearest is None or abs(near - x) < abs(nearest - x) else nearest
        if nearest is None:
            return None
        rows = []
        for colour, name, xs, ys in self._points:
            if not np.isfinite(xs).any():
                continue
            index = int(np.nanargmin(np.abs(xs - nearest)))
            if abs(xs[index] - nearest) < 1e-9 * max(1.0, abs(nearest)) and np.isfinite(ys[index]):
                rows.append(hover_row(colour, html.escape(name), self.canvas.y_axis.value_text(ys[index])))
        title = f"{html.escape(pick(self.result['x']['title']))} {self.canvas.x_axis.value_text(nearest)}"
        return nearest, hover_card(title, rows, self.theme.muted)

    def to_csv(self) -> str:
        x, y = self.result["x"], self.result["y"]
        header = [
            self.tr("series"),
            with_unit_title(x["title"], x.get("unit") or ""),
            with_unit_title(y["title"], y.get("unit") or ""),
            "low",
            "high",
            "provenance",
        ]
        rows: list[tuple[Any, ...]] = []
        for one in self.result["series"]:
            count = len(one["x"])
            low, high = (
                [""] * count if one.get(side) is None else np.asarray(one[side]).tolist()
                for side in ("low", "high")
            )
            values = (np.asarray(one[side]).tolist() for side in ("x", "y"))
            source = one.get("provenance") or self.result["provenance"]
            rows += zip([pick(one["name"])] * count, *values, low, high, [source] * count, strict=True)
        return csv_text(header, rows)


def _thinned(xs: Any, ys: Any) -> tuple[Any, Any]:
    """At most MOST_POINTS points: the lowest and the highest of each stretch, in their order, so that peaks
    stay."""
    stretch = -(-2 * len(xs) // MOST_POINTS)
    if stretch <= 2:
        return xs, ys
    used = len(xs) // stretch * stretch
    blocks = np.where(np.isnan(ys[:used]), 0.0, ys[:used]).reshape(-1, stretch)
    starts = np.arange(0, used, stretch)
    ends = np.stack([starts + blocks.argmin(axis=1), starts + blocks.argmax(axis=1)], axis=1)
    kept = np.unique(np.concatenate([np.sort(ends, axis=1).ravel(), [0, len(xs) - 1]]))
    return xs[kept], ys[kept]
