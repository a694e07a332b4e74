"""Axes with units: one SI or IEC prefix for the whole axis, and logarithmic ticks that one can read."""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph as pg
from PySide6.QtGui import QFont, QFontMetricsF, QPainter

from gui.lab.number_text import BYTES, plain, split, superscript, unit_scale
from gui.lab.views.kept_picture import KeptPicture
from gui.lab.views.view import pick

SCALABLE = ("s", *BYTES, "B/s", "FLOP/s", "FLOP", "OP/s", "OP", "Hz")
_OCTAVE = math.log10(2)
_TWO_OCTAVES = 2 * _OCTAVE


class UnitAxis(pg.AxisItem):  # type: ignore[misc]
    """On a log axis the plotted coordinate is log10 of the value: the plot transforms, the axis labels."""

    def __init__(self, orientation: str) -> None:
        super().__init__(orientation)
        self._title = ""
        self._unit = ""
        self._shown_unit = ""
        self._factor = 1.0
        self._log = False
        self._powers_of_two: list[float] = []
        self._kept = KeptPicture()
        self.names: dict[float, str] = {}  # of rows, on an axis that carries no numbers
        self.enableAutoSIPrefix(False)

    def paint(self, painter: QPainter, *arguments: Any) -> None:
        if self.picture is None:  # its range or its looks are new
            super().paint(painter, *arguments)
            return
        # Asked for again with each move of a line over the plot, and its texts are slow to draw.
        self._kept.paint(painter, self.picture, lambda inner: super(UnitAxis, self).paint(inner, *arguments))

    @property
    def log(self) -> bool:
        return self._log

    @property
    def unit(self) -> str:
        return self._unit

    def set_axis(self, axis: dict[str, Any], powers_of_two: list[float]) -> None:
        """``powers_of_two``: the values to label where all data stands at powers of two, else empty."""
        self._title, self._unit = pick(axis["title"]), axis.get("unit") or ""
        self._log = bool(axis.get("log"))
        self._powers_of_two = powers_of_two if self._log else []
        self._shown_unit, self._factor = self._unit, 1.0
        self.names = {float(tick["at"]): pick(tick["name"]) for tick in axis.get("ticks") or ()}
        if self.orientation == "left":
            # Known now: left to itself the axis hides names until it has been painted once.
            metrics = QFontMetricsF(QFont())
            widest = max((metrics.horizontalAdvance(name) for name in self.names.values()), default=0.0)
            self.setWidth(widest + 14 if self.names else None)
        self.picture = None
        self.update()

    def fit_prefix(self, largest: float) -> None:
        """Choose the prefix for values up to ``largest``. On a log axis each tick carries its own."""
        if self._log and self._unit in SCALABLE:
            self._shown_unit = ""
        else:
            self._factor, self._shown_unit = unit_scale(largest, self._unit)
        self.picture = None
        self.update()

    def make_room(self) -> None:
        """Widen the left axis for its labels now: it hides those that it has no room for, and by itself it
        learns of them when it is painted, which for a picture that is exported is too late."""
        if self.orientation != "left" or self.names:
            return
        low, high = self.range
        ticks = self.tickValues(low, high, max(1.0, self.size().height()))
        texts = [text for step, values in ticks for text in self.tickStrings(values, 1.0, step)]
        metrics = QFontMetricsF(self.style["tickFont"] or QFont())
        self._updateMaxTextSize(max((metrics.horizontalAdvance(text) for text in texts), default=0.0))

    def full_title(self) -> str:
        return f"{self._title} ({self._shown_unit})" if self._shown_unit else self._title

    def show_title(self, colour: str) -> None:
        """Write the title beside the axis. Only where it changed: laying out its rich text takes a while."""
        if (self.full_title(), colour) != (self.labelText, self.labelStyle.get("color")):
            self.setLabel(self.full_title(), color=colour, **{"font-size": "12px"})

    def value(self, coordinate: float) -> float:
        return 10.0**coordinate if self._log else coordinate

    def coordinate(self, value: float) -> float:
        return math.log10(value) if self._log and value > 0 else value

    def value_text(self, coordinate: float) -> str:
        """The value at a plotted coordinate, with its unit."""
        if self.names:
            return self.names.get(coordinate, "")
        number, unit = split(self.value(coordinate), self._unit)
        return f"{number} {unit}".strip()

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        low, high = min(low, high), max(low, high)  # an inverted axis gives them the other way round
        if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
            return []
        if self.names:
            return [(1.0, [at for at in self.names if low <= at <= high])]
        if self._log:
            return self._log_ticks(low, high, size)
        ticks = super().tickValues(low / self._factor, high / self._factor, size)
        # Two levels are enough: the third is a fog of grid lines.
        return [(step * self._factor, [v * self._factor for v in values]) for step, values in ticks[:2]]

    def _log_ticks(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        if self._powers_of_two:
            inside = [math.log10(v) for v in self._powers_of_two if low <= math.log10(v) <= high]
            if inside:
                return [(1.0, inside)]
        most = max(2.0, size / (32 if self.orientation == "left" else 70))
        if self._unit in BYTES and (high - low) > _TWO_OCTAVES:
            return [(1.0, _binary_ticks(low, high, most))]
        decades = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
        if len(decades) < 2:
            steps = [
                d + math.log10(m) for d in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)
            ]
            inside = [v for v in steps if low <= v <= high]
            if len(inside) >= 2:
                return [(1.0, inside)]
            return [(0.1, [math.log10(v) for v in _linear_ticks(10**low, 10**high)])]
        stride = max(1, math.ceil(len(decades) / most))
        major = [float(d) for d in decades if d % stride == 0]
        minor = []
        if stride == 1:
            span = range(math.floor(low), math.ceil(high) + 1)
            minor = [d + math.log10(m) for d in span for m in range(2, 10)]
        return [(1.0, major), (0.1, [v for v in minor if low <= v <= high])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self.names:
            return [self.names[value] for value in values]
        if self._log:
            if spacing < 1.0 and not self._labels_minor():
                return [""] * len(values)
            return [self._log_text(value) for value in values]
        return [self._linear_text(value, spacing) for value in values]

    def _linear_text(self, value: float, spacing: float) -> str:
        shown, step = value / self._factor, abs(spacing / self._factor)
        if abs(shown) < step * 1e-6:
            return "0"
        if abs(shown) >= 1e6 or step < 1e-5:
            return plain(shown, 3)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return f"{shown:.{digits}f}".replace("-", "−")

    def _labels_minor(self) -> bool:
        low, high = self.range
        return bool(math.floor(high) - math.ceil(low) < 1)

    def _log_text(self, coordinate: float) -> str:
        value = 10.0**coordinate
        if self._unit in SCALABLE:
            bits = round(coordinate / _OCTAVE)
            if self._unit in BYTES and abs(bits * _OCTAVE - coordinate) < 1e-9:
                value = 2.0**bits  # just so: a speck below 1 GiB would read 1024 MiB
            else:
                value = float(f"{value:.3g}")
            number, unit = split(value, self._unit, 3)
            return f"{number} {unit}"
        if 1e-3 <= value < 1e5:
            return plain(value) if value >= 1000 else f"{value:.3g}"
        exponent = round(coordinate)
        return f"10{superscript(exponent)}" if abs(coordinate - exponent) < 1e-6 else plain(value, 2)


def _binary_ticks(low: float, high: float, most: float) -> list[float]:
    """Bytes carry prefixes of 1024, so that powers of ten of them are no round figures: powers of two are."""
    bits = range(math.ceil(low / _OCTAVE - 1e-9), math.floor(high / _OCTAVE + 1e-9) + 1)
    stride = next((one for one in (1, 2, 5, 10, 20) if len(bits) / one <= most), 40)
    return [bit * _OCTAVE for bit in bits if bit % stride == 0]


def _linear_ticks(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    for multiple in (1, 2, 5):
        if (high - low) / (step * multiple) <= 6:
            step *= multiple
            break
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1) if k > 0]
