"""Values to colours: viridis for magnitudes, blue to orange through the paper's grey for signed values."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.lab.number_text import split

if TYPE_CHECKING:
    from gui.theme import Theme

# Decades below the largest value that a logarithmic scale still tells apart.
LOG_DECADES = 6.0
# Values closer than this part of themselves are one value: rounding of single precision sets them apart.
ONE_VALUE = 1e-6
# Labels of the bar: as many digits as tell them apart, up to those of single precision.
FEWEST_DIGITS, MOST_DIGITS = 3, 7


@lru_cache(maxsize=4)
def colour_table(diverging: bool, theme: Theme) -> Any:
    """256 RGBA rows. Both maps are even in lightness and safe for colour-blind eyes."""
    if diverging:
        middle = "#2b313a" if theme.dark else "#f4f4f2"
        ends = ("#7cc4ff", "#1f78c1", middle, "#d8691a", "#ffb066") if theme.dark else (
            "#08427a", "#4d9bd6", middle, "#ec8a3c", "#8a3a00"
        )  # fmt: skip
        colours = [QColor(end).getRgb() for end in ends]
        return pg.ColorMap(np.linspace(0, 1, 5), np.array(colours, dtype=np.ubyte)).getLookupTable(
            0, 1, 256, alpha=True
        )
    return pg.colormap.get("viridis").getLookupTable(0, 1, 256, alpha=True)


class ColourScale:
    """``low`` and ``high`` are values; ``fractions`` maps values to 0..1, NaN stays NaN. Where all is one
    value, the scale begins at zero, or, being logarithmic, a decade below."""

    def __init__(self, low: float, high: float, diverging: bool, log: bool) -> None:
        self.diverging, self.log = diverging, log
        if diverging:
            size = max(abs(low), abs(high)) or 1.0
            low, high = -size, size
        elif log:
            high = high if high > 0 else 1.0
            low = max(low, high * 10**-LOG_DECADES) if low > 0 else high * 10**-LOG_DECADES
        if not high - low > ONE_VALUE * max(abs(low), abs(high)):
            low, high = (high / 10, high) if log else (min(0.0, low), max(0.0, high))
            high = high if high > low else 1.0
        self.low, self.high = low, high

    def fractions(self, values: Any) -> Any:
        values = np.asarray(values, dtype=np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.diverging and self.log:
                return 0.5 + 0.5 * np.sign(values) * self._log_part(np.abs(values), self.high)
            if self.log:
                return self._log_part(values, self.high, self.low)
            return np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0)

    def _log_part(self, values: Any, high: float, low: float | None = None) -> Any:
        low = high * 10**-LOG_DECADES if low is None else low
        span = np.log10(high) - np.log10(low)
        part = (np.log10(np.maximum(values, low)) - np.log10(low)) / span
        return np.where(np.isnan(values), np.nan, np.clip(part, 0.0, 1.0))

    def value_at(self, fraction: float) -> float:
        if self.diverging and self.log:
            side = (fraction - 0.5) * 2
            if side == 0:
                return 0.0
            return float(np.sign(side) * self.high * 10 ** (LOG_DECADES * (abs(side) - 1)))
        if self.log:
            return float(self.low * (self.high / self.low) ** fraction)
        return self.low + (self.high - self.low) * fraction

    def pixels(self, values: Any, theme: Theme) -> Any:
        """RGBA bytes of the shape of ``values``; what is not a number is drawn in the rule's grey."""
        fractions = self.fractions(values)
        missing = ~np.isfinite(fractions)
        indices = (np.where(missing, 0.0, fractions) * 255).astype(np.uint8)
        table = np.ascontiguousarray(colour_table(self.diverging, theme), dtype=np.uint8)
        picture = table[indices]
        if missing.any():
            picture[missing] = np.array(QColor(theme.rule).getRgb(), dtype=np.uint8)
        return picture


class ColourBar(QWidget):
    """The scale beside the map: a gradient with labelled values."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self._scale: ColourScale | None = None
        self._theme: Theme | None = None
        self._unit = ""

    def show_scale(self, scale: ColourScale, unit: str, theme: Theme) -> None:
        self._scale, self._unit, self._theme = scale, unit, theme
        self.setFixedWidth(self.sizeHint().width())
        self.update()

    def labels(self) -> list[tuple[float, str]]:
        """Where a label stands, as a part of the bar from its foot, and its text; no two are alike."""
        assert self._scale is not None
        stops = (0.0, 0.25, 0.5, 0.75, 1.0)
        values = [self._scale.value_at(stop) for stop in stops]
        for digits in range(FEWEST_DIGITS, MOST_DIGITS + 1):
            texts = [" ".join(split(value, self._unit, digits)).strip() for value in values]
            if len(set(texts)) == len(texts):
                break
        return list({text: (stop, text) for stop, text in zip(stops, texts, strict=True)}.values())

    def _small_font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(11)
        return font

    def sizeHint(self) -> QSize:
        if self._scale is None:
            return QSize(60, 100)
        metrics = QFontMetricsF(self._small_font())
        return QSize(round(max(metrics.horizontalAdvance(text) for _, text in self.labels())) + 24, 100)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._scale is None or self._theme is None:
            return
        painter = QPainter(self)
        font = self._small_font()
        painter.setFont(font)
        bar = QRectF(4, 8, 10, max(10.0, self.height() - 48.0))
        rows = np.ascontiguousarray(colour_table(self._scale.diverging, self._theme), dtype=np.uint8)[::-1]
        picture = QImage(rows.tobytes(), 1, 256, 4, QImage.Format.Format_RGBA8888)
        painter.drawImage(bar, picture)
        painter.setPen(QColor(self._theme.muted))
        for stop, text in self.labels():
            y = bar.bottom() - stop * bar.height()
            box = QRectF(bar.right() + 6, y - 8, self.width(), 16)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.end()
