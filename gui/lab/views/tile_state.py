"""How a tensor's elements stand after any event of a trace: by whom touched last, and how long ago.

Elements are gathered in cells, so that a tensor of millions costs no more than what can be seen of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gui.lab.playback.replay import LastRows

# Of cells in one tensor, and of touches of cells: beyond, cells are made coarser.
MOST_CELLS = 2**20
MOST_TOUCHES = 4_000_000
# How many looks a touch has by its age, and when an untouched cell will have been touched: beyond all events.
LEVELS, NEVER = 9, 2**30
# Of the snapshots: to keep one costs more here than to play many touches.
STRIDE = 8192
# A margin shows what lies outside, up to this part of the tensor on each side (and two elements at least).
MARGIN_SHARE = 8


class Margins(NamedTuple):
    """Elements around a tensor in which what lies outside it is drawn."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


class Runs(NamedTuple):
    """Those of one tensor; arrays, an entry a run, in the order of events."""

    event: Any
    row: Any
    start: Any
    stop: Any
    category: Any

    def where(self, chosen: Any) -> Runs:
        return Runs(*(column[chosen] for column in self))


class Cells(NamedTuple):
    """A grid of cells, ``across`` x ``down`` elements each. ``last`` finds the last touch of each cell;
    ``event`` and ``look`` say of a touch when and how: a category's touch looks like LEVELS times its place,
    and one. Both end with an entry for what was never touched, and looks like 0."""

    rows: int
    columns: int
    down: int
    across: int
    last: LastRows
    event: Any
    look: Any


class Touches:
    """Of one tensor of a tiles result."""

    def __init__(self, tensor: dict[str, Any], runs: Runs) -> None:
        self.rows, self.columns = int(tensor["rows"]), int(tensor["columns"])
        self.runs = runs.where(np.asarray(runs.stop) > np.asarray(runs.start))
        self.margins = self._margins()
        self._cells: dict[tuple[int, int], Cells] = {}

    @property
    def height(self) -> int:
        """In elements, with the margins."""
        return self.rows + self.margins.top + self.margins.bottom

    @property
    def width(self) -> int:
        return self.columns + self.margins.left + self.margins.right

    def _margins(self) -> Margins:
        if not len(self.runs.event):
            return Margins()
        most_down, most_across = (max(2, -(-size // MARGIN_SHARE)) for size in (self.rows, self.columns))
        return Margins(
            top=min(most_down, max(0, -int(self.runs.row.min()))),
            bottom=min(most_down, max(0, int(self.runs.row.max()) + 1 - self.rows)),
            left=min(most_across, max(0, -int(self.runs.start.min()))),
            right=min(most_across, max(0, int(self.runs.stop.max()) - self.columns)),
        )

    def cells(self, down: int, across: int) -> Cells:
        """Cells of ``down`` x ``across`` elements, or coarser where there would be too many of them."""
        while -(-self.height // down) * -(-self.width // across) > MOST_CELLS:
            down, across = down * 2, across * 2
        if (down, across) not in self._cells:
            self._cells = {(down, across): self._made(down, across)}  # one resolution is in sight at a time
        return self._cells[down, across]

    def _made(self, down: int, across: int) -> Cells:
        rows, columns = -(-self.height // down), -(-self.width // across)
        runs = self._in_cells(down, across, columns)
        counts = runs.stop - runs.start
        if counts.sum() > MOST_TOUCHES:
            return self._made(down, across * 2)
        firsts = np.cumsum(counts) - counts
        within = np.arange(int(counts.sum())) - np.repeat(firsts, counts)
        keys = np.repeat(runs.row * columns + runs.start, counts) + within
        event, look = np.repeat(runs.event, counts), np.repeat(1 + runs.category * LEVELS, counts)
        last = LastRows(event, keys, rows * columns, STRIDE)
        event = np.append(event, NEVER).astype(np.int32)
        return Cells(rows, columns, down, across, last, event, np.append(look, 0).astype(np.int32))

    def _in_cells(self, down: int, across: int, columns: int) -> Runs:
        """Runs by cells. Neighbours that fall on the same cells are one; what lies beyond the margin falls on
        its edge."""
        event, row, start, stop, category = self.runs
        row = np.clip(row + self.margins.top, 0, self.height - 1) // down
        start = np.clip(start + self.margins.left, 0, self.width - 1) // across
        stop = -(-np.clip(stop + self.margins.left, 1, self.width) // across)
        stop = np.maximum(stop, start + 1)
        made = Runs(event, row, start, np.minimum(stop, columns), category)
        if not len(event):
            return made
        fresh = np.zeros(len(event), dtype=bool)
        fresh[0] = True
        for column in made:
            fresh[1:] |= column[1:] != column[:-1]
        return made.where(fresh)

    def touching(self, row: int, column: int, until: int | None) -> Any:
        """Indices of the runs that touch an element, up to an event (None: all)."""
        runs = self.runs
        end = len(runs.event) if until is None else int(np.searchsorted(runs.event, until, side="right"))
        hit = (runs.row[:end] == row) & (runs.start[:end] <= column) & (column < runs.stop[:end])
        return np.flatnonzero(hit)


def touches_of(result: dict[str, Any]) -> list[Touches]:
    """One for each tensor."""
    runs = result["runs"]
    names = ("event", "row", "start", "stop", "category")
    columns = Runs(*(np.asarray(runs[name], dtype=np.int64) for name in names))
    tensor = np.asarray(runs["tensor"])
    return [Touches(one, columns.where(tensor == place)) for place, one in enumerate(result["tensors"])]


def touched_at(result: dict[str, Any], event: int) -> Any:
    """Elements touched at one event, by category: an array of counts."""
    runs = result["runs"]
    events = np.asarray(runs["event"])
    first, end = np.searchsorted(events, [event, event + 1])
    lengths = (np.asarray(runs["stop"]) - np.asarray(runs["start"]))[first:end]
    categories = np.asarray(runs["category"])[first:end]
    return np.bincount(categories, lengths, len(result["categories"])).astype(int)
