"""Line icons from ``resources/icons``, drawn in the colour of the theme in force."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from gui.theme import theme_switch

ICONS = Path(__file__).resolve().parent.parent / "resources" / "icons"
INK = "#1f2328"


def icon(name: str, colour: str | None = None) -> QIcon:
    """The icon ``resources/icons/{name}.svg`` in ``colour``, by default the theme's ink."""
    theme = theme_switch.current
    return _icon(name, colour or theme.ink, theme.muted if colour is None else colour)


@lru_cache(maxsize=256)
def _icon(name: str, colour: str, disabled: str) -> QIcon:
    svg = (ICONS / f"{name}.svg").read_text(encoding="utf-8")
    made = QIcon()
    for mode, ink in ((QIcon.Mode.Normal, colour), (QIcon.Mode.Disabled, disabled)):
        for side in (16, 20, 32, 40):
            pixmap = QPixmap(QSize(side, side))
            pixmap.fill(Qt.GlobalColor.transparent)
            painter = QPainter(pixmap)
            painter.setOpacity(1.0 if mode == QIcon.Mode.Normal else 0.5)
            QSvgRenderer(QByteArray(svg.replace(INK, ink).encode())).render(painter)
            painter.end()
            made.addPixmap(pixmap, mode)
    return made
