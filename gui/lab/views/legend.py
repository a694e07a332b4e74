"""The legend of a plot, outside it: swatches and names that flow in lines, a badge where provenance
differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.lab.badge import badge_font, paint_badge, provenance_word

if TYPE_CHECKING:
    from gui.theme import Theme

LINE = 20
SWATCH = 16
PEN_STYLES = {
    "line": Qt.PenStyle.SolidLine,
    "dash": Qt.PenStyle.DashLine,
    "dot": Qt.PenStyle.DotLine,
    "dashdot": Qt.PenStyle.DashDotLine,
}
BLOCK_BRUSHES = {
    "hollow": Qt.BrushStyle.NoBrush,
    "ring": Qt.BrushStyle.NoBrush,
    "hatch": Qt.BrushStyle.BDiagPattern,
    "dots": Qt.BrushStyle.Dense4Pattern,
}


@dataclass(frozen=True)
class Entry:
    """``style`` is how the series is drawn: ``line``, ``dash``, ``dot``, ``dashdot``, ``point``, ``block``,
    ``tick``, or a block that is ``hollow``, ``hatch`` ed, full of ``dots`` or marked by a ``ring``."""

    name: str
    colour: str
    style: str
    provenance: str | None = None


class Legend(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] = []
        self._theme: Theme | None = None
        self._title = ""
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setSizePolicy(policy)

    def show_entries(self, entries: list[Entry], theme: Theme, title: str = "") -> None:
        """``title`` is the y axis': upright and at the top it reads better than rotated, above all in
        Chinese."""
        self._entries, self._theme, self._title = entries, theme, title
        self.setAccessibleName(", ".join(entry.name for entry in entries))
        self._fit()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(120, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def _fit(self) -> None:
        boxes = self._boxes()
        height = int(boxes[-1].bottom()) + 2 if boxes else 0
        if self._title:
            height = max(height, LINE)
        if height != self.height() or self.maximumHeight() != height:
            self.setFixedHeight(height)

    def _text_font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(12)
        return font

    def _boxes(self) -> list[QRectF]:
        metrics, small = QFontMetricsF(self._text_font()), QFontMetricsF(badge_font(self.font()))
        x = metrics.horizontalAdvance(self._title) + 18 if self._title else 0.0
        y, boxes = 0.0, []
        if x > self.width() * 0.6 and self._entries:
            x, y = 0.0, float(LINE)
        for entry in self._entries:
            width = SWATCH + 6 + metrics.horizontalAdvance(entry.name)
            if entry.provenance:
                width += 6 + small.horizontalAdvance(provenance_word(entry.provenance)) + 24
            if x > 0 and x + width > self.width():
                x, y = 0.0, y + LINE
            boxes.append(QRectF(x, y, width, LINE))
            x += width + 16
        return boxes

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._theme
        if theme is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = self._text_font()
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        if self._title:
            painter.setPen(QColor(theme.muted))
            painter.drawText(
                QRectF(0, 0, self.width(), LINE), int(Qt.AlignmentFlag.AlignVCenter), self._title
            )
        for entry, box in zip(self._entries, self._boxes(), strict=True):
            paint_swatch(painter, QPointF(box.left(), box.center().y()), entry)
            painter.setPen(QColor(theme.ink))
            text = box.adjusted(SWATCH + 6, 0, 0, 0)
            painter.drawText(text, int(Qt.AlignmentFlag.AlignVCenter), entry.name)
            if entry.provenance:
                left = text.left() + metrics.horizontalAdvance(entry.name) + 6
                badge = QRectF(left, box.top() + 2, box.right() - left, LINE - 4)
                paint_badge(painter, badge, entry.provenance, theme, badge_font(self.font()))
        painter.end()


def paint_swatch(painter: QPainter, left: QPointF, entry: Entry) -> None:
    """The series' look, ``SWATCH`` wide, its middle at the height of ``left``."""
    colour = QColor(entry.colour)
    x, y = left.x(), left.y()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    box = QRectF(x + 2, y - 5, 10, 10)
    if entry.style == "block":
        painter.drawRoundedRect(box, 2, 2)
    elif entry.style in BLOCK_BRUSHES:
        painter.setPen(QPen(colour, 2 if entry.style == "ring" else 1))
        painter.setBrush(QBrush(colour, BLOCK_BRUSHES[entry.style]))
        painter.drawRect(box)
    elif entry.style == "point":
        painter.drawEllipse(QPointF(x + 7, y), 4, 4)
    elif entry.style == "tick":
        for offset in (3, 7, 11):
            painter.drawRect(QRectF(x + offset, y - 5, 1, 10))
    else:
        pen = QPen(colour, 2)
        pen.setStyle(PEN_STYLES.get(entry.style, Qt.PenStyle.SolidLine))
        painter.setPen(pen)
        painter.drawLine(QPointF(x, y), QPointF(x + SWATCH, y))
