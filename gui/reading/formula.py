"""TeX to vectors: a formula is set once, kept on disk as SVG with its extent in em, and drawn at any size."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QByteArray
from PySide6.QtSvg import QSvgRenderer

from gui.reading.digest import digest
from gui.reading.mathml import prepared

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A new number discards what older versions of this file have cached.
VERSION = 6
# The size at which formulas are set; large, because the paths are rounded to hundredths of a pixel.
EM = 100
INK = "black"
# More blank than this left of the ink is a mistake, not a side bearing.
_WIDEST_MARGIN = 0.12 * EM
_PATHS = re.compile(r' d="([^"]*)"')
# Paths hold absolute M, L and Q only, so that all numbers are pairs.
_X_OF_PAIR = re.compile(r"(-?[\d.]+)[ ,]+-?[\d.]+")
_RECTANGLES = re.compile(r'<rect x="(-?[\d.]+)"')
_VIEW = re.compile(r'viewBox="(\S+) (\S+) (\S+) (\S+)"')


class Formula(NamedTuple):
    """A set formula. ``width``, ``ascent`` and ``depth`` are in em; ``error`` says why ``svg`` is empty."""

    tex: str
    svg: str
    width: float
    ascent: float
    depth: float
    error: str = ""

    @property
    def height(self) -> float:
        return self.ascent + self.depth


class Extent(NamedTuple):
    """The room that a formula takes, in em: all that laying a page out asks of it."""

    tex: str
    display: bool
    width: float
    ascent: float
    depth: float
    error: str = ""

    @property
    def height(self) -> float:
        return self.ascent + self.depth


class FormulaStore:
    """Formulas by (tex, display), from memory, from ``folder``, or set afresh. ``get`` never raises."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._formulas: dict[tuple[str, bool], Formula] = {}
        self._extents: dict[tuple[str, bool], Extent] = {}
        self._pictures: dict[tuple[str, bool, str], QSvgRenderer] = {}

    def get(self, tex: str, display: bool) -> Formula:
        """The formula; one that fails carries its source and the reason instead of a picture."""
        key = (tex, display)
        found = self._formulas.get(key)
        if found is None:
            path = self._path(tex, display)
            found = _load(path)
            if found is None:
                found = typeset(tex, display)
                _save(path, found)
            self._formulas[key] = found
        return found

    def extent(self, tex: str, display: bool) -> Extent:
        """The formula's room, without its picture where ``recall`` has told it."""
        key = (tex, display)
        if key not in self._extents:
            formula = self.get(tex, display)
            self._extents[key] = Extent(
                tex, display, formula.width, formula.ascent, formula.depth, formula.error
            )
        return self._extents[key]

    def recall(self, extents: Iterable[Extent]) -> None:
        """Take over what ``extent`` returned once: a page keeps its own; pictures have files of their own."""
        self._extents.update(((extent.tex, extent.display), extent) for extent in extents)

    def picture(self, tex: str, display: bool, colour: str) -> QSvgRenderer:
        """The formula's vectors in ``colour``, parsed once."""
        key = (tex, display, colour)
        if key not in self._pictures:
            svg = self.get(tex, display).svg.replace(f'"{INK}"', f'"{colour}"')
            self._pictures[key] = QSvgRenderer(QByteArray(svg.encode()))
        return self._pictures[key]

    def _path(self, tex: str, display: bool) -> Path:
        name = digest(f"{VERSION}\0{display}\0{tex}")
        return self._folder / f"{name}.json"


def typeset(tex: str, display: bool) -> Formula:
    """Set ``tex``; what cannot be set becomes a Formula with ``error``."""
    # 0.2 s for the first: the math font is read.
    import ziamath
    from ziamath.tex import tex2mml

    from gui.reading import math_nodes  # noqa: F401 takes the place of some of ziamath's

    # QtSvg drops glyphs that are <symbol>s, as SVG 2 writes them.
    ziamath.config.svg2 = False
    try:
        # With the space the parser sets the binomial; ziamath's own way stumbles over braces in it.
        mathml = tex2mml(tex.replace(r"\binom{", r"\binom {"), inline=not display)
        svg = ziamath.Math(prepared(mathml), size=EM).svg()
    except Exception as error:  # the parser raises bare IndexError, AssertionError and a dozen of its own
        return _failed(tex, f"{type(error).__name__}: {error}".rstrip(": "))
    view = _VIEW.search(svg)
    if view is None:
        return _failed(tex, "the renderer drew nothing")
    left, top, width, height = (float(part) for part in view.groups())
    spare = _blank_at_left(svg) - left
    if spare > _WIDEST_MARGIN:
        left, width = left + spare, width - spare
        svg = svg.replace(view.group(0), f'viewBox="{left:.2f} {top} {width:.2f} {height}"')
    return Formula(tex, svg, width / EM, -top / EM, (height + top) / EM)


def _blank_at_left(svg: str) -> float:
    """Where the ink starts, less a thin margin: the renderer leaves room left of a letter with a hat."""
    starts = [float(number) for path in _PATHS.findall(svg) for number in _X_OF_PAIR.findall(path)]
    starts += [float(number) for number in _RECTANGLES.findall(svg)]
    return min(starts, default=0.0) - 0.04 * EM


def _failed(tex: str, reason: str) -> Formula:
    # Room for the source in a typewriter face, whose letters are 0.6 em wide.
    return Formula(tex, "", 0.62 * (len(tex) + 2), 0.9, 0.3, reason)


def _load(path: Path) -> Formula | None:
    try:
        return Formula(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _save(path: Path, formula: Formula) -> None:
    """Written aside and renamed, so that a killed app leaves no half file. A full disk costs time only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(formula._asdict()), encoding="utf-8")
        aside.replace(path)
    except OSError:
        pass
