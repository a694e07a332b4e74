"""Line icons from ``resources/icons``, drawn in the colour of the theme in force."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRect, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from gui.line_art import line_art
from gui.theme import theme_switch

DISABLED_OPACITY = 0.5


def icon(name: str, colour: str | None = None) -> QIcon:
    """The icon ``resources/icons/{name}.svg`` in ``colour``, by default the theme's ink."""
    theme = theme_switch.current
    return _icon(name, colour or theme.ink, theme.muted if colour is None else colour)


@lru_cache(maxsize=256)
def _icon(name: str, colour: str, disabled: str) -> QIcon:
    return QIcon(_LineIcon(name, colour, disabled))


class _LineIcon(QIconEngine):
    """Drawn when first seen, at the size asked for: a start draws few of them, crisp on any screen."""

    def __init__(self, name: str, colour: str, disabled: str) -> None:
        super().__init__()
        self._source = (name, colour, disabled)

    def clone(self) -> QIconEngine:
        return _LineIcon(*self._source)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        ratio = painter.deviceTransform().m11()  # not the device's own: to return it loads 15 ms of classes
        painter.save()
        if mode == QIcon.Mode.Disabled:
            painter.setOpacity(painter.opacity() * DISABLED_OPACITY)
        painter.drawPixmap(rect, self._drawn(rect.size() * ratio, mode, ratio))
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """``size`` is in the screen's own pixels; Qt sets the ratio."""
        drawn = self._drawn(size, mode, 1.0)
        if mode != QIcon.Mode.Disabled:
            return drawn
        faded = QPixmap(size)
        faded.fill(Qt.GlobalColor.transparent)
        painter = QPainter(faded)
        painter.setOpacity(DISABLED_OPACITY)
        painter.drawPixmap(0, 0, drawn)
        painter.end()
        return faded

    def _drawn(self, size: QSize, mode: QIcon.Mode, ratio: float) -> QPixmap:
        name, colour, disabled = self._source
        ink = disabled if mode == QIcon.Mode.Disabled else colour
        return _pixmap(name, ink, size.width(), size.height(), ratio)


@lru_cache(maxsize=256)
def _pixmap(name: str, colour: str, width: int, height: int, ratio: float) -> QPixmap:
    """Drawn once a size and screen; ``width`` and ``height`` are the screen's own pixels."""
    svg = line_art(name, colour)
    pixmap = QPixmap(QSize(width, height))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(painter)
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
