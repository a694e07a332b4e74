"""A 2-D array as colours, rows downwards, with the value under the pointer and a scale that maps may
share."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtWidgets import QHBoxLayout

from gui.lab.number_text import plain, with_unit
from gui.lab.views.colour_scale import ColourBar, ColourScale
from gui.lab.views.plot import PlotView, hover_card, hover_row
from gui.lab.views.view import csv_text, pick

if TYPE_CHECKING:
    from gui.lab.views.legend import Entry

# A screen shows no more; a larger array would stall the event loop.
MOST_CELLS = 1_000_000


class HeatmapView(PlotView):
    gridded = False

    def __init__(self) -> None:
        super().__init__()
        self._bar = ColourBar()
        self._values: Any = np.zeros((0, 0), dtype=np.float32)
        self._shared: tuple[float, float] | None = None
        self.body.removeWidget(self.canvas)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.canvas, 1)
        row.addWidget(self._bar)
        self.body.addLayout(row, 1)
        self.plot.vb.invertY(True)

    @property
    def scale_group(self) -> str:
        return str(self.result.get("scale_group") or "")

    def value_range(self) -> tuple[float, float] | None:
        """The finite extent of the values; None where there is none."""
        finite = self._values[np.isfinite(self._values)]
        if self.result.get("log") and not self.result.get("diverging"):
            finite = finite[finite > 0]
        return (float(finite.min()), float(finite.max())) if finite.size else None

    def share_range(self, low: float, high: float) -> None:
        """Use a colour scale that covers the other maps of the group too."""
        if self._shared != (low, high):
            self._shared = (low, high)
            self.redraw()

    def show_result(self, result: dict[str, Any]) -> None:
        values = np.asarray(result["values"], dtype=np.float32)
        self._values, self._reduced = _reduced(values)
        self._shared = None
        super().show_result(result)

    def draw(self) -> list[Entry]:
        rows, columns = self._values.shape
        x, y = dict(self.result["columns"], log=False), dict(self.result["rows"], log=False)
        self._row_step = float(self.result.get("row_step") or 1.0) * self._reduced[0]
        self._column_step = float(self.result.get("column_step") or 1.0) * self._reduced[1]
        self.setup_axes(x, y, [[columns * self._column_step]], [[rows * self._row_step]])
        low, high = self._shared or self.value_range() or (0.0, 1.0)
        scale = ColourScale(low, high, bool(self.result.get("diverging")), bool(self.result.get("log")))
        self._bar.show_scale(scale, self.result.get("unit") or "", self.theme)
        if rows and columns:
            image = pg.ImageItem(scale.pixels(self._values, self.theme), axisOrder="row-major")
            image.setRect(0, 0, columns * self._column_step, rows * self._row_step)
            self.plot.addItem(image)
        return []

    def reset_zoom(self) -> None:
        rows, columns = self._values.shape
        area = QRectF(0, 0, max(1, columns) * self._column_step, max(1, rows) * self._row_step)
        self.plot.vb.setRange(area, padding=0.0)

    def hover_text(self, x: float, y: float) -> tuple[float, str] | None:
        row, column = int(y // self._row_step), int(x // self._column_step)
        rows, columns = self._values.shape
        if not (0 <= row < rows and 0 <= column < columns):
            return None
        value = float(self._values[row, column])
        where = (
            f"{html.escape(pick(self.result['rows']['title']))} {_span(row, self._row_step)}"
            f" · {html.escape(pick(self.result['columns']['title']))} {_span(column, self._column_step)}"
        )
        how = {"max": self.tr("largest of the cell"), "mean": self.tr("mean of the cell")}
        name = how.get(self.result.get("reduction") or "none", self.tr("value"))
        line = hover_row(self.theme.accent, name, with_unit(value, self.result.get("unit") or ""))
        return (column + 0.5) * self._column_step, hover_card(where, [line], self.theme.muted)

    def to_csv(self) -> str:
        values = np.asarray(self.result["values"])
        step = float(self.result.get("column_step") or 1.0)
        row_step = float(self.result.get("row_step") or 1.0)
        corner = f"{pick(self.result['rows']['title'])} \\ {pick(self.result['columns']['title'])}"
        header = [corner, *(f"{index * step:g}" for index in range(values.shape[1]))]
        return csv_text(
            header, ([f"{index * row_step:g}", *row] for index, row in enumerate(values.tolist()))
        )


def _span(index: int, step: float) -> str:
    """The real rows or columns that one cell stands for."""
    first = index * step
    if step <= 1.0:
        return plain(float(f"{first:g}"))
    return f"{plain(float(int(first)))}–{plain(float(int(first + step) - 1))}"


def _reduced(values: Any) -> tuple[Any, tuple[int, int]]:
    """At most MOST_CELLS cells, keeping the value largest in magnitude of each block: an outlier stays
    visible."""
    rows, columns = values.shape
    if rows * columns <= MOST_CELLS:
        return values, (1, 1)
    factor = int(np.ceil(np.sqrt(rows * columns / MOST_CELLS)))
    by_row, by_column = min(factor, rows), min(factor, columns)
    cut = values[: rows // by_row * by_row, : columns // by_column * by_column]
    blocks = cut.reshape(cut.shape[0] // by_row, by_row, cut.shape[1] // by_column, by_column)
    high, low = blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3))
    return np.where(high >= -low, high, low), (by_row, by_column)
