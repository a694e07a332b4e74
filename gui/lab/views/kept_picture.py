"""What a graphics item drew, kept as a picture: a cursor that moves over it costs a copy, not a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QPaintEngine, QPainter, QPixmap, QTransform

if TYPE_CHECKING:
    from collections.abc import Callable


class KeptPicture:
    """Of one item. Where the painter makes a vector picture the item is drawn, as vectors."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._picture: QPixmap | None = None

    def paint(self, painter: QPainter, state: object, draw: Callable[[QPainter], None]) -> None:
        """``draw`` draws the item with the painter given to it, which has ``painter``'s transformation. It is
        called the first two times that it is asked for one ``state`` of the item on one view: what is kept
        is the second drawing, so that an item that changes with each frame costs no more than without."""
        engine = painter.paintEngine()
        place, size = painter.transform(), painter.viewport().size()
        if size.isEmpty() or (engine is not None and engine.type() == QPaintEngine.Type.SVG):
            draw(painter)
            return
        ratio = painter.deviceTransform().m11() / place.m11()
        key = (state, place, size.width(), size.height(), ratio)
        if key != self._key:
            self._key, self._picture = key, None
            draw(painter)
            return
        if self._picture is None:
            self._picture = QPixmap(size * ratio)
            self._picture.setDevicePixelRatio(ratio)
            self._picture.fill(Qt.GlobalColor.transparent)
            inner = QPainter(self._picture)
            inner.setTransform(place)
            draw(inner)
            inner.end()
        painter.save()
        painter.setTransform(QTransform())
        painter.drawPixmap(0, 0, self._picture)
        painter.restore()
