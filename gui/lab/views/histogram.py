"""Distributions over one axis, and over them the values that a format can represent, as thin ticks."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor

from gui.lab.number_text import plain
from gui.lab.views.legend import Entry
from gui.lab.views.plot import PlotView, hover_card, hover_row
from gui.lab.views.view import csv_text, pick, with_unit_title

# A count of 0 has no logarithm; half a count puts it just under the axis.
FLOOR = 0.5


class HistogramView(PlotView):
    def draw(self) -> list[Entry]:
        self._log = bool(self.result.get("log_counts"))
        series = self.result["series"]
        y = {"title": {"zh": "个数", "en": "count"}, "unit": "", "log": self._log}
        self.setup_axes(
            self.result["x"], y, [one["edges"] for one in series], [one["counts"] for one in series]
        )
        if self.result["x"].get("log"):
            self.canvas.x_axis.set_axis(self.result["x"], [])
        entries = [self._draw_series(index, one) for index, one in enumerate(series)]
        levels = self._draw_levels()
        if levels:
            entries.append(levels)
        self.add_marks(self.result.get("marks", []))
        return entries

    def _draw_series(self, index: int, one: dict[str, Any]) -> Entry:
        colour = self.series_colour(index)
        edges = self.coordinates(one["edges"], self.canvas.x_axis)
        counts = self._heights(one["counts"])
        good = np.isfinite(edges)
        if len(counts) and good.all():
            fill = QColor(colour)
            fill.setAlphaF(0.30 if len(self.result["series"]) > 1 else 0.40)
            floor = np.log10(FLOOR) if self._log else 0.0
            self.plot.addItem(
                pg.PlotCurveItem(
                    edges,
                    counts,
                    stepMode="center",
                    fillLevel=floor,
                    brush=fill,
                    pen=pg.mkPen(colour, width=1),
                )
            )
        return Entry(pick(one["name"]), colour, "block")

    def _heights(self, counts: Any) -> Any:
        counts = np.asarray(counts, dtype=np.float64)
        return np.log10(np.maximum(counts, FLOOR)) if self._log else counts

    def _draw_levels(self) -> Entry | None:
        levels = self.result.get("levels")
        if levels is None or len(levels) == 0:
            return None
        xs = self.coordinates(levels, self.canvas.x_axis)
        xs = xs[np.isfinite(xs)]
        tops = [self._heights(one["counts"]).max(initial=0.0) for one in self.result["series"]]
        top = max([*tops, 1.0 if not self._log else 0.1]) * 1.04
        floor = float(np.log10(FLOOR)) if self._log else 0.0
        colour = self.theme.series[1]
        pen = QColor(colour)
        pen.setAlphaF(0.85 if len(xs) <= 64 else 0.45 if len(xs) <= 300 else 0.2)
        ends = np.tile([floor, top], len(xs))
        self.plot.addItem(
            pg.PlotCurveItem(np.repeat(xs, 2), ends, connect="pairs", pen=pg.mkPen(pen, width=1)),
            ignoreBounds=len(self.result["series"]) > 0,
        )
        name = pick(self.result["levels_name"]) if self.result.get("levels_name") else self.tr("levels")
        return Entry(name, colour, "tick")

    def reset_zoom(self) -> None:
        """Bars stand on the axis: no margin under them."""
        super().reset_zoom()
        tops = [self._heights(one["counts"]).max(initial=0.0) for one in self.result["series"]]
        floor = float(np.log10(FLOOR)) if self._log else 0.0
        self.plot.vb.setYRange(floor, max([*tops, floor + 0.1]) * 1.06, padding=0.0)

    def hover_text(self, x: float, y: float) -> tuple[float, str] | None:
        rows, at = [], None
        axis = self.canvas.x_axis
        title = ""
        for index, one in enumerate(self.result["series"]):
            edges = self.coordinates(one["edges"], axis)
            place = int(np.searchsorted(edges, x)) - 1
            if 0 <= place < len(one["counts"]):
                count = plain(float(one["counts"][place]))
                rows.append(hover_row(self.series_colour(index), html.escape(pick(one["name"])), count))
                if at is None:
                    at = float(edges[place] + edges[place + 1]) / 2
                    title = f"{axis.value_text(edges[place])} … {axis.value_text(edges[place + 1])}"
        return None if at is None else (at, hover_card(title, rows, self.theme.muted))

    def to_csv(self) -> str:
        x = self.result["x"]
        edge = with_unit_title(x["title"], x.get("unit") or "")
        rows = []
        for one in self.result["series"]:
            edges = one["edges"]
            for index, count in enumerate(one["counts"]):
                rows.append([pick(one["name"]), edges[index], edges[index + 1], count])
        return csv_text([self.tr("series"), f"{edge} ≥", f"{edge} <", self.tr("count")], rows)
