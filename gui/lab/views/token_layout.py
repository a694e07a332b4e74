"""Where each token's box stands: row by row under the row's name, wrapped like words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QRectF

if TYPE_CHECKING:
    from PySide6.QtGui import QFontMetricsF

LINE, NAME, ROW_GAP, GAP, PADDING = 22, 20, 8, 2, 4
# What has no shape of its own, as one can see it.
_VISIBLE = str.maketrans({"\n": "↵", "\r": "␍", "\t": "⇥", " ": "␣"})


def visible(token: str) -> str:
    return token.translate(_VISIBLE) or "∅"


@dataclass(frozen=True)
class TokenLayout:
    """``left``, ``top`` and ``width`` of each token's box, all rows' tokens in one sequence; ``names`` the
    tops of the rows' names; ``height`` of it all."""

    left: Any
    top: Any
    width: Any
    names: list[float]
    height: float

    def box(self, token: int) -> QRectF:
        return QRectF(self.left[token], self.top[token], self.width[token], LINE - GAP)

    def between(self, top: float, bottom: float) -> range:
        """The tokens whose boxes reach into this stretch; tops ascend."""
        first = int(np.searchsorted(self.top, top - LINE, side="left"))
        return range(first, int(np.searchsorted(self.top, bottom, side="right")))

    def at(self, x: float, y: float) -> int | None:
        for token in self.between(y, y):
            if self.box(token).contains(x, y):
                return token
        return None


def laid_out(rows: list[list[str]], width: float, metrics: QFontMetricsF) -> TokenLayout:
    """``rows``: the tokens of each row. After a line break a new line begins."""
    widths: dict[str, float] = {}
    lefts, tops, sizes, names = [], [], [], []
    y = 0.0
    for tokens in rows:
        names.append(y)
        x, y = 0.0, y + NAME
        for token in tokens:
            if token not in widths:
                widths[token] = min(width, metrics.horizontalAdvance(visible(token)) + 2 * PADDING)
            if x > 0 and x + widths[token] > width:
                x, y = 0.0, y + LINE
            lefts.append(x)
            tops.append(y)
            sizes.append(widths[token])
            x += widths[token] + GAP
            if token.endswith("\n"):
                x = width + 1
        y += LINE + ROW_GAP
    return TokenLayout(np.array(lefts), np.array(tops), np.array(sizes), names, y)
