"""A figure enlarged: as big as its window, in the colours of the theme; Esc or a click closes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QDialog, QWidget

from gui.reading.figure import FigureStore, natural_size
from gui.theme import theme_switch

if TYPE_CHECKING:
    from pathlib import Path

    from PySide6.QtGui import QMouseEvent, QPaintEvent

_MARGIN = 24


class FigureWindow(QDialog):
    """Shows one figure file with its caption as the title."""

    def __init__(self, path: Path, figures: FigureStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = path
        self._figures = figures
        self.setWindowTitle(path.stem)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picture = figures.picture(path, theme_switch.current)
        if picture is not None:
            size = natural_size(picture) * 1.6
            self.resize(QSize(round(size.width()) + 2 * _MARGIN, round(size.height()) + 2 * _MARGIN))
        theme_switch.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_switch.current
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.paper))
        picture = self._figures.picture(self._path, theme)
        if picture is None:
            return
        free = self.rect().adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        size = natural_size(picture).scaled(free.size().toSizeF(), Qt.AspectRatioMode.KeepAspectRatio)
        box = QRectF(0, 0, size.width(), size.height())
        box.moveCenter(QRectF(free).center())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        picture.render(painter, box)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.close()
