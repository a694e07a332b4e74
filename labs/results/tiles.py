"""Which elements of which tensor a step touches: a kernel's tiles, a rank's block, a warp's access."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from labs.results.array import Array, array
from labs.results.checks import ascending, same_length, within
from labs.results.result import Result
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator


class TileTensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor seen as ``rows`` x ``columns``, further dimensions folded into the rows.

    ``values`` of that shape are printed where there is room for them.
    """

    name: Text
    rows: int
    columns: int
    values: Array | None = None

    def __post_init__(self) -> None:
        what = f"tensor {self.name.en!r}"
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"{what}: {self.rows} x {self.columns}, expected one element at least")
        if self.values is not None and self.values.shape != (self.rows, self.columns):
            raise ValueError(f"{what}: values {self.values.shape}, expected {(self.rows, self.columns)}")


class TileRuns(msgspec.Struct, frozen=True, kw_only=True):
    """A row says that at ``event`` (-1: before the first) elements ``[start, stop)`` of ``row`` of ``tensor``
    are touched, in the sense of ``category``.

    ``event`` ascends. A run may lie outside its tensor, above, below or beside it, as an access out of bounds
    does: it is drawn in a margin.
    """

    event: Array
    tensor: Array
    row: Array
    start: Array
    stop: Array
    category: Array

    def __post_init__(self) -> None:
        for other in (self.tensor, self.row, self.start, self.stop, self.category):
            same_length("tile runs", self.event, other)
        ascending("tile runs, event", self.event)
        if (self.stop < self.start).any():
            raise ValueError("tile runs: a run stops before it starts, expected start <= stop")


class Tiles(Result, frozen=True, kw_only=True, tag="tiles"):
    """Tensors as grids of elements, coloured by how they are touched.

    With a ``clock`` (a trace's id) what its event touches is bright, and what was touched before is faint;
    without, all runs are drawn. ``categories`` name ways of touching: read, written, out of bounds, kept.
    Those in ``faults`` stand out.
    """

    tensors: list[TileTensor]
    runs: TileRuns
    categories: list[Text]
    faults: list[int] = []
    clock: str = ""

    def __post_init__(self) -> None:
        what = f"tiles {self.id!r}"
        within(f"{what}, tensor", self.runs.tensor, 0, len(self.tensors))
        within(f"{what}, category", self.runs.category, 0, len(self.categories))
        within(f"{what}, faults", array(self.faults, np.int64), 0, len(self.categories))


def runs(places: Array) -> list[tuple[int, int]]:
    """Ascending numbers as runs ``[start, stop)``."""
    parts = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]


def grid_runs(elements: Array, columns: int) -> Iterator[tuple[int, int, int]]:
    """Ascending elements of a row-major grid as ``(row, start, stop)``, cut at the ends of rows."""
    for start, stop in runs(elements):
        for row in range(start // columns, (stop - 1) // columns + 1):
            first, last = max(start, row * columns), min(stop, (row + 1) * columns)
            yield row, first - row * columns, last - row * columns
