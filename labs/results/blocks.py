"""Blocks of memory and who holds them, over time."""

from __future__ import annotations

import msgspec

from labs.results.array import Array
from labs.results.checks import ascending, same_length, within
from labs.results.result import Result
from labs.text import Text

# An owner in ``BlockChanges`` that is none.
FREE, CACHED = -1, -2


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds blocks: a sequence, a request, a tensor."""

    name: Text


class BlockChanges(msgspec.Struct, frozen=True, kw_only=True):
    """A row says what a block is from its event on, whole, until the next row of the same block.

    ``event`` ascends (-1: before the first event). ``owner`` indexes the map's owners; FREE, or CACHED: its
    content is kept for reuse, nobody holds it. ``shared`` counts references (absent: one where there is an
    owner), ``filled`` the tokens in it (absent: full where it is not free).
    """

    event: Array
    block: Array
    owner: Array
    shared: Array | None = None
    filled: Array | None = None

    def __post_init__(self) -> None:
        for other in (self.block, self.owner, self.shared, self.filled):
            same_length("block changes", self.event, other)
        ascending("block changes, event", self.event)


class TableChanges(msgspec.Struct, frozen=True, kw_only=True):
    """A row says that from its event on ``owner``'s block number ``logical`` lies in ``block`` (-1: is gone).

    Several owners may point at one block: that is how sharing is drawn, and whom a block is shared by.
    """

    event: Array
    owner: Array
    logical: Array
    block: Array

    def __post_init__(self) -> None:
        for other in (self.owner, self.logical, self.block):
            same_length("table changes", self.event, other)
        ascending("table changes, event", self.event)


class BlockMap(Result, frozen=True, kw_only=True, tag="block_map"):
    """``count`` blocks of ``block_size`` tokens (or whatever ``unit`` says), and who holds each, over time.

    With a ``clock`` (a trace's id) it follows that trace; without, it shows the state after all changes.
    ``row_names`` give the map rows of equal length, a name before each: blocks 0 to count / rows - 1 lie in
    the first. Without them a row has as many blocks as fit.
    """

    count: int
    block_size: int
    owners: list[Owner]
    changes: BlockChanges
    tables: TableChanges | None = None
    clock: str = ""
    row_names: list[Text] = []

    def __post_init__(self) -> None:
        what = f"block map {self.id!r}"
        if self.row_names and self.count % len(self.row_names):
            raise ValueError(f"{what}: {self.count} blocks in {len(self.row_names)} rows of equal length")
        within(f"{what}, block", self.changes.block, 0, self.count)
        within(f"{what}, owner", self.changes.owner, CACHED, len(self.owners))
        if self.tables is not None:
            within(f"{what}, table block", self.tables.block, -1, self.count)
            within(f"{what}, table owner", self.tables.owner, 0, len(self.owners))
