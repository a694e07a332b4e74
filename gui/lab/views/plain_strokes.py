"""SVG whose strokes every viewer draws as wide as they are.

A plot's lines are in units of its data, under a matrix that scales them, with pens that do not scale. Qt
writes that as ``vector-effect="non-scaling-stroke"``, which browsers know and many other viewers do not:
there a line fills the picture. So such lines are written in the picture's own units.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_GROUP = re.compile(r'(<g [^>]*transform=")matrix\(([^)]*)\)("[^>]*>)(.*?)</g>', re.DOTALL)
_UNSCALED = ' vector-effect="non-scaling-stroke"'
_SHAPES = re.compile(r'(<(?:polyline|path) [^>]*?(?:points|d)=")([^"]*)"')
_PAIR = re.compile(r"(-?[\d.]+(?:e[-+]?\d+)?),(-?[\d.]+(?:e[-+]?\d+)?)")


def plain_strokes(svg: str) -> str:
    """``svg`` as QSvgGenerator writes it, the same to a viewer that knows ``vector-effect``."""
    return _GROUP.sub(_plain_group, svg)


def _plain_group(group: re.Match[str]) -> str:
    head, matrix, tail, body = group.groups()
    if _UNSCALED not in body:
        return group[0]
    numbers = [float(number) for number in matrix.split(",")]
    if numbers[:4] != [1, 0, 0, 1]:
        if len(_SHAPES.findall(body)) != body.count("<"):
            return group[0]  # not lines alone: a rectangle or a text would have to scale too
        body, matrix = _SHAPES.sub(_moved(numbers), body), "1,0,0,1,0,0"
    return f"{head}matrix({matrix}){tail}{body.replace(_UNSCALED, '')}</g>"


def _moved(numbers: list[float]) -> Callable[[re.Match[str]], str]:
    a, b, c, d, e, f = numbers

    def point(pair: re.Match[str]) -> str:
        x, y = float(pair[1]), float(pair[2])
        return f"{a * x + c * y + e:.6g},{b * x + d * y + f:.6g}"

    return lambda shape: f'{shape[1]}{_PAIR.sub(point, shape[2])}"'
