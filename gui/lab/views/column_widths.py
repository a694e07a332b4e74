"""How the columns of a table share its width: what gives way first, before the reader must scroll sideways.

Heads take a second line, then a third, with narrower margins; then words are cut. Figures never are. Room
that is left goes first to heads that it spares a line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

ROOMY, TIGHT = 26, 16  # px beside a cell's text
# Of a head's width, what the longest of its lines needs when it is broken into two, into three.
HALF, THIRD = 0.62, 0.45
LEAST_WORDS = 96  # px: words cut shorter than this tell nothing
_UNBROKEN = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]{1,3}|[^\s\u2e80-\u9fff\uff00-\uffef]+")


class Column(NamedTuple):
    """What a column would like, in px of text: its widest cell, its head in one line, and the longest piece
    of the head that no line breaks. ``words``: its cells may be cut."""

    cells: int
    head: int
    piece: int
    words: bool


class Shares(NamedTuple):
    """The columns' widths in px, and whether the cells' margins are the narrow ones."""

    widths: list[int]
    tight: bool


def pieces(head: str) -> list[str]:
    """Words, and Chinese three characters at a time."""
    return _UNBROKEN.findall(head)


def shares(columns: list[Column], room: int) -> Shares:
    """Widths of at least what each column needs, together ``room`` where that is enough."""
    for lines, margin in ((1.0, ROOMY), (HALF, ROOMY), (THIRD, TIGHT)):
        widths = [_width(column, lines, margin) for column in columns]
        if sum(widths) <= room:
            unbroken = [_width(column, 1.0, margin) for column in columns]
            widths = _grown(widths, unbroken, room)
            spare = (room - sum(widths)) // max(1, len(widths))
            return Shares([width + spare for width in widths], margin == TIGHT)
    least = [
        _width(
            column._replace(cells=min(column.cells, LEAST_WORDS)) if column.words else column, THIRD, TIGHT
        )
        for column in columns
    ]
    return Shares(_grown(least, widths, room), True)


def _width(column: Column, lines: float, margin: int) -> int:
    head = column.head if lines == 1.0 else max(column.piece, round(column.head * lines))
    return max(column.cells, head) + margin


def _grown(least: list[int], wanted: list[int], room: int) -> list[int]:
    """What is left of ``room`` goes to those that want more, in equal parts, to none more than it wants."""
    widths = list(least)
    left = room - sum(least)
    hungry = sorted(
        (want - width, place)
        for place, (want, width) in enumerate(zip(wanted, least, strict=True))
        if want > width
    )
    for number, (want, place) in enumerate(hungry):
        given = max(0, min(want, left // (len(hungry) - number)))
        widths[place] += given
        left -= given
    return widths
