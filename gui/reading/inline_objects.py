"""Everything that the page draws where HTML has an ``<img>``: formulas, figures, lab chips, difficulty dots.

One text object is registered for Qt's image format, so nothing is ever loaded as an image: a name that
is none of these draws as an empty frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QFontMetricsF,
    QPainter,
    QPen,
    QPyTextObject,
    QTextCharFormat,
    QTextDocument,
    QTextFormat,
)

from gui.reading.figure import find_figure

if TYPE_CHECKING:
    from pathlib import Path

    from PySide6.QtSvg import QSvgRenderer

    from gui.reading.figure import FigureStore
    from gui.reading.formula import Extent, FormulaStore
    from gui.theme import Theme

# The maths font has a smaller x-height than the text font.
FORMULA_EM = 1.1
# What an object's size depends on, read without a Python object for each kind of format: Qt asks forty times.
_NAME, _PIXEL_SIZE, _ALIGNMENT, _WEIGHT = (
    which.value
    for which in (
        QTextFormat.Property.ImageName,
        QTextFormat.Property.FontPixelSize,
        QTextFormat.Property.TextVerticalAlignment,
        QTextFormat.Property.FontWeight,
    )
)
DOT_EM = 0.55


@dataclass(slots=True)
class Drawing:
    """What drawing depends on; the view changes it before it lays the page out again."""

    theme: Theme
    language: str
    column: float  # width available, in pixels
    content_dir: Path
    figures_dir: Path


class InlineObjects(QPyTextObject):
    """Sizes and draws the objects. Keep a reference: the document's layout does not."""

    def __init__(self, drawing: Drawing, formulas: FormulaStore, figures: FigureStore) -> None:
        super().__init__()
        self.drawing = drawing
        self._formulas = formulas
        self._figures = figures
        # Qt asks for each size several times; an object's depends on its name and the text around it.
        self._sizes: dict[tuple[str, int, float, int, int], QSizeF] = {}
        self._paths: dict[tuple[str, str], Path | None] = {}

    def forget_sizes(self) -> None:
        """Call it for each page: the files of its figures may be others now."""
        self._sizes.clear()
        self._paths.clear()

    def attach(self, document: QTextDocument) -> None:
        """Draw the objects of ``document``, which keeps its layout through every setHtml."""
        document.documentLayout().registerHandler(QTextFormat.ObjectTypes.ImageObject.value, self)

    # The names and arguments of the two methods are Qt's.
    def intrinsicSize(self, doc: QTextDocument, posInDocument: int, format: QTextFormat) -> QSizeF:
        key = (
            format.stringProperty(_NAME),
            format.intProperty(_PIXEL_SIZE),
            self.drawing.column,
            format.intProperty(_ALIGNMENT),
            format.intProperty(_WEIGHT),
        )
        size = self._sizes.get(key)
        if size is None:
            size = self._sizes[key] = self._size(doc, format, _em(doc, format))
        return size

    def _size(self, doc: QTextDocument, format: QTextFormat, em: float) -> QSizeF:
        kind, name = object_name(format)
        if kind.startswith("formula"):
            tex, _bar, after = name.partition("|")
            size = self._formula_size(tex, kind == "formula-display", em, format)
            if after:
                punctuation = QFontMetricsF(_text_font(doc, em)).horizontalAdvance(unquote(after))
                size.setWidth(size.width() + punctuation)
            return size
        if kind == "figure":
            return self._figure_size(name, em)
        if kind == "chip":
            metrics = QFontMetricsF(_chip_font(doc, em))
            return QSizeF(metrics.horizontalAdvance(unquote(name)) + 2.4 * em, 1.75 * em)
        if kind == "difficulty":
            return QSizeF(3 * DOT_EM * em * 1.35, 0.78 * em)
        return QSizeF(em, em)

    def drawObject(
        self,
        painter: QPainter,
        rect: QRectF | QRect,
        doc: QTextDocument,
        posInDocument: int,
        format: QTextFormat,
    ) -> None:
        kind, name = object_name(format)
        em = _em(doc, format)
        rect = QRectF(rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if kind.startswith("formula"):
            tex, _bar, after = name.partition("|")
            box, baseline = self._draw_formula(painter, rect, tex, kind == "formula-display", em, format)
            painter.setPen(QColor(self.drawing.theme.ink))
            painter.setFont(_text_font(doc, em))
            painter.drawText(QPointF(box.right(), baseline), unquote(after))
        elif kind == "figure":
            self._draw_figure(painter, rect, name)
        elif kind == "chip":
            self._draw_chip(painter, rect, _chip_font(doc, em), unquote(name))
        elif kind == "difficulty":
            self._draw_difficulty(painter, rect, int(name), em)
        else:
            painter.setPen(QColor(self.drawing.theme.rule))
            painter.drawRect(rect)
        painter.restore()

    def figure_path(self, name: str) -> Path | None:
        """The file of the figure that an image or a ``figure:`` link names."""
        drawing = self.drawing
        key = (name, drawing.language)
        if key not in self._paths:
            self._paths[key] = find_figure(name, drawing.content_dir, drawing.figures_dir, drawing.language)
        return self._paths[key]

    def _formula_size(self, name: str, display: bool, em: float, format: QTextFormat) -> QSizeF:
        formula = self._formulas.extent(unquote(name), display)
        scale = self._formula_scale(formula, em)
        if display:
            return QSizeF(formula.width * scale, formula.height * scale)
        if _is_middle(format):
            # Qt puts (height + x/2) / 2 above the baseline, (height - x/2) / 2 below: room for both parts.
            half_x = _half_x(format)
            height = max(2 * formula.ascent * scale - half_x, 2 * formula.depth * scale + half_x)
            return QSizeF(formula.width * scale, height)
        # The depth hangs below the line, which the line height leaves room for.
        return QSizeF(formula.width * scale, formula.ascent * scale)

    def _formula_scale(self, formula: Extent, em: float) -> float:
        """Pixels an em, smaller for a formula wider than the column."""
        wanted = em * FORMULA_EM
        return min(wanted, self.drawing.column / formula.width) if formula.width else wanted

    def _draw_formula(
        self,
        painter: QPainter,
        rect: QRectF,
        name: str,
        display: bool,
        em: float,
        format: QTextFormat,
    ) -> tuple[QRectF, float]:
        """Draw it, and return its box and the y of its baseline."""
        tex = unquote(name)
        formula = self._formulas.extent(tex, display)
        scale = self._formula_scale(formula, em)
        if display:
            baseline = rect.top() + formula.ascent * scale
        elif _is_middle(format):
            baseline = rect.top() + (rect.height() + _half_x(format)) / 2
        else:
            baseline = rect.bottom()
        box = QRectF(
            rect.left(), baseline - formula.ascent * scale, formula.width * scale, formula.height * scale
        )
        if formula.error:
            _draw_source(painter, box, tex, self.drawing.theme, scale)
        else:
            self._formulas.picture(tex, display, self.drawing.theme.ink).render(painter, box)
        return box, baseline

    def _figure(self, name: str) -> QSvgRenderer | None:
        path = self.figure_path(name)
        return self._figures.picture(path, self.drawing.theme) if path else None

    def _figure_size(self, name: str, em: float) -> QSizeF:
        path = self.figure_path(name)
        natural = self._figures.size(path, self.drawing.theme) if path else None
        if natural is None:
            return QSizeF(min(20 * em, self.drawing.column), 2.5 * em)
        # Figures are drawn for 16 px text and grow with the zoom, up to the column.
        size = natural * (em / 16)
        return size * min(1.0, self.drawing.column / size.width())

    def _draw_figure(self, painter: QPainter, rect: QRectF, name: str) -> None:
        picture = self._figure(name)
        if picture is not None:
            picture.render(painter, rect)
            return
        painter.setPen(QPen(QColor(self.drawing.theme.rule), 1, Qt.PenStyle.DashLine))
        painter.drawRect(rect.adjusted(0.5, 0.5, -0.5, -0.5))
        painter.setPen(QColor(self.drawing.theme.bad))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, f"⚠ {unquote(name)}")

    def _draw_chip(self, painter: QPainter, rect: QRectF, font: QFont, label: str) -> None:
        theme = self.drawing.theme
        box = rect.adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(QColor(theme.accent), 1))
        painter.setBrush(QColor(theme.selection))
        painter.drawRoundedRect(box, box.height() / 2, box.height() / 2)
        side = box.height() * 0.34
        left, middle = box.left() + box.height() * 0.5, box.center().y()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.accent))
        tip = QPointF(left + side * 0.9, middle)
        painter.drawPolygon([QPointF(left, middle - side / 2), tip, QPointF(left, middle + side / 2)])
        painter.setPen(QColor(theme.accent))
        painter.setFont(font)
        text = box.adjusted(box.height() * 0.5 + side * 1.5, 0, 0, 0)
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, label)

    def _draw_difficulty(self, painter: QPainter, rect: QRectF, level: int, em: float) -> None:
        side = DOT_EM * em
        for place in range(3):
            dot = QRectF(rect.left() + place * side * 1.35, rect.bottom() - side - 0.1 * em, side, side)
            colour = QColor(self.drawing.theme.accent if place < level else self.drawing.theme.rule)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawEllipse(dot)


def object_name(format: QTextFormat) -> tuple[str, str]:
    """("formula-inline", percent-encoded TeX), ("figure", path), ... of an image format."""
    kind, _colon, name = format.stringProperty(_NAME).partition(":")
    return kind, name


def _em(doc: QTextDocument, format: QTextFormat) -> float:
    """The pixel size of the text around the object."""
    return float(format.intProperty(_PIXEL_SIZE) or doc.defaultFont().pixelSize())


def _is_middle(format: QTextFormat) -> bool:
    return format.toCharFormat().verticalAlignment() == QTextCharFormat.VerticalAlignment.AlignMiddle


def _half_x(format: QTextFormat) -> float:
    return QFontMetricsF(format.toCharFormat().font()).xHeight() / 2


def _text_font(doc: QTextDocument, em: float) -> QFont:
    font = QFont(doc.defaultFont())
    font.setPixelSize(round(em))
    return font


def _chip_font(doc: QTextDocument, em: float) -> QFont:
    font = QFont(doc.defaultFont())
    font.setPixelSize(round(em * 0.84))
    return font


def _draw_source(painter: QPainter, box: QRectF, tex: str, theme: Theme, scale: float) -> None:
    """A formula that cannot be set, as its source."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setPixelSize(max(1, round(scale * 0.9)))
    painter.fillRect(box, QColor(theme.code))
    painter.setPen(QColor(theme.bad))
    painter.setFont(font)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, tex)
