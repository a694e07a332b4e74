"""How a block is drawn: colour and pattern for its owner, filled from below with its tokens, ringed if it is
shared. Thousands are drawn at once, as copies of the few tiles that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPen

if TYPE_CHECKING:
    from gui.theme import Theme

FREE, CACHED = -1, -2  # as in labs.results
# The theme's last colour is grey, which is for what has no owner.
COLOURS = 6
PATTERNS = ("block", "hatch", "dots")
LOOKS = COLOURS * len(PATTERNS)
LEVELS = 8  # of filling
_BRUSHES = {"hatch": Qt.BrushStyle.BDiagPattern, "dots": Qt.BrushStyle.Dense6Pattern}
# Below this size a pattern is a blur.
LEAST_PATTERNED = 6


@dataclass(frozen=True)
class Look:
    owner: int  # FREE, CACHED, or an owner's place
    level: int = LEVELS
    shared: bool = False


def owner_colour(owner: int, theme: Theme) -> str:
    return theme.series[owner % COLOURS]


def owner_style(owner: int) -> str:
    """After all colours they begin again, patterned."""
    return PATTERNS[owner // COLOURS % len(PATTERNS)]


def mixed(colour: str, ground: str, share: float) -> QColor:
    one, other = QColor(colour), QColor(ground)
    parts = zip(_rgb(one), _rgb(other), strict=True)
    return QColor(*(round(a * share + b * (1 - share)) for a, b in parts))


def _rgb(colour: QColor) -> tuple[int, int, int]:
    return colour.red(), colour.green(), colour.blue()


def paint_block(painter: QPainter, box: QRectF, look: Look, theme: Theme) -> None:
    """Fills ``box``, except for the gap to its neighbours at the right and below."""
    gap = 1.0 if box.width() >= 4 else 0.0
    box = box.adjusted(0, 0, -gap, -gap)
    if look.owner == FREE:
        painter.fillRect(box, mixed(theme.rule, theme.raised, 0.55 if theme.dark else 0.5))
        return
    if look.owner == CACHED:
        painter.fillRect(box, mixed(theme.muted, theme.raised, 0.35))
        if box.width() >= LEAST_PATTERNED:
            painter.fillRect(box, QBrush(QColor(theme.muted), Qt.BrushStyle.BDiagPattern))
        return
    colour = owner_colour(look.owner, theme)
    painter.fillRect(box, mixed(colour, theme.raised, 0.3))
    height = box.height() * look.level / LEVELS
    full = QRectF(box.left(), box.bottom() - height, box.width(), height)
    painter.fillRect(full, QColor(colour))
    style = owner_style(look.owner)
    if style in _BRUSHES and box.width() >= LEAST_PATTERNED:
        painter.fillRect(box, QBrush(mixed(theme.raised, colour, 0.75), _BRUSHES[style]))
    if look.shared:
        _paint_ring(painter, box, theme)


def _paint_ring(painter: QPainter, box: QRectF, theme: Theme) -> None:
    if box.width() < 5:
        side = max(1.0, box.width() / 2)
        dot = QRectF(0, 0, side, side)
        dot.moveCenter(box.center())
        painter.fillRect(dot, QColor(theme.ink))
        return
    width = max(1.0, round(min(box.width(), box.height()) / 10))
    painter.setPen(QPen(QColor(theme.ink), width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(box.adjusted(width / 2, width / 2, -width / 2, -width / 2))


def readable_on(colour: QColor) -> QColor:
    """Black or white, whichever stands out."""
    red, green, blue = _rgb(colour)
    return QColor("#101418" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff")


def tile_numbers(owner: Any, level: Any, shared: Any) -> Any:
    """The tile of each block in ``Tiles``; ``level`` 0..LEVELS, ``shared`` boolean, all of equal length."""
    owned = 2 + (owner % LOOKS) * (LEVELS + 1) * 2 + level * 2 + shared
    return np.where(owner >= 0, owned, np.where(owner == CACHED, 1, 0))


class Tiles:
    """All tiles of ``side`` pixels, and one that is blank, as pixels of a QImage in Format_RGB32."""

    def __init__(self, side: int, owners: int, theme: Theme) -> None:
        looks = [Look(FREE), Look(CACHED)]
        for owner in range(min(owners, LOOKS)):
            looks += [Look(owner, level, bool(shared)) for level in range(LEVELS + 1) for shared in range(2)]
        self.blank = len(looks)
        self._columns, self._numbers = 0, np.empty(0, dtype=np.int64)
        picture = QImage(side, side * (len(looks) + 1), QImage.Format.Format_RGB32)
        picture.fill(QColor(theme.raised))
        painter = QPainter(picture)
        for place, look in enumerate(looks):
            painter.setClipRect(QRectF(0, place * side, side, side))
            paint_block(painter, QRectF(0, place * side, side, side), look, theme)
        painter.end()
        pixels = np.frombuffer(picture.constBits(), dtype=np.uint32)
        self._tiles = pixels.reshape(len(looks) + 1, side, picture.bytesPerLine() // 4)[:, :, :side].copy()

    def laid_out(self, numbers: Any, columns: int) -> QImage:
        """Tile ``numbers`` row by row, ``columns`` in each. Of the picture made last only the tiles that
        differ are replaced: what was returned before changes too."""
        rows = -(-len(numbers) // columns)
        if self._numbers.shape != (rows * columns,) or self._columns != columns:
            self._start(rows, columns)
        padded = np.full(rows * columns, self.blank)
        padded[: len(numbers)] = numbers
        changed = np.flatnonzero(padded != self._numbers)
        self._pixels[changed // columns, :, changed % columns, :] = self._tiles[padded[changed]]
        self._numbers = padded
        return self._picture

    def _start(self, rows: int, columns: int) -> None:
        side = self._tiles.shape[1]
        self._columns = columns
        self._numbers = np.full(rows * columns, -1)
        self._pixels = np.empty((rows, side, columns, side), dtype=np.uint32)  # which a QImage does not own
        size = (columns * side, rows * side, columns * side * 4)
        self._picture = QImage(self._pixels.data, *size, QImage.Format.Format_RGB32)
