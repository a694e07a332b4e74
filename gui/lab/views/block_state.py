"""Who holds which block after any event, and what the owners' block tables then hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gui.lab.playback.replay import LastRows
from gui.lab.views.block_look import CACHED, FREE


@dataclass(frozen=True)
class Blocks:
    """Arrays with an entry a block: owner (FREE, CACHED or an index), references, tokens in it."""

    owner: Any
    shared: Any
    filled: Any


@dataclass(frozen=True)
class TableEntries:
    """The entries of all block tables, by owner and then by place in the table."""

    owner: Any
    logical: Any
    block: Any

    def owners_of(self, block: int) -> list[int]:
        return [int(owner) for owner in np.unique(self.owner[self.block == block])]


class BlockStates:
    """Of a block map's result; ``at(None)`` is after everything."""

    def __init__(self, result: dict[str, Any]) -> None:
        changes, self._size = result["changes"], int(result["block_size"])
        owner = np.asarray(changes["owner"], dtype=np.int64)
        self._rows = LastRows(changes["event"], changes["block"], int(result["count"]))
        # The last entry is for blocks without a row, whose row is -1.
        self._owner = np.append(owner, FREE)
        self._shared = _with_default(changes.get("shared"), np.where(owner >= 0, 1, 0))
        self._filled = _with_default(changes.get("filled"), np.where(owner == FREE, 0, self._size))
        self.tracks_tokens = changes.get("filled") is not None

    def at(self, event: int | None) -> Blocks:
        rows = self._rows.at(event)
        return Blocks(self._owner[rows], self._shared[rows], self._filled[rows])


class TableStates:
    """Of a block map's ``tables``."""

    def __init__(self, tables: dict[str, Any]) -> None:
        owner, logical = (np.asarray(tables[name], dtype=np.int64) for name in ("owner", "logical"))
        most = int(logical.max()) + 1 if len(logical) else 1
        keys, places = np.unique(owner * most + logical, return_inverse=True)
        self._owner, self._logical = keys // most, keys % most
        self._rows = LastRows(tables["event"], places, len(keys))
        self._block = np.append(np.asarray(tables["block"], dtype=np.int64), -1)
        self.most_owners = _most_at_once(np.asarray(tables["event"]), places, owner, self._block[:-1])
        """How many owners hold blocks at once, at most."""

    def at(self, event: int | None) -> TableEntries:
        block = self._block[self._rows.at(event)]
        live = block >= 0
        return TableEntries(self._owner[live], self._logical[live], block[live])


def _most_at_once(events: Any, places: Any, owner: Any, block: Any) -> int:
    """``places``: which entry of the tables each row is about; ``owner``: whose each row is."""
    if not len(events):
        return 0
    holds = (block >= 0).astype(np.int64)
    gained = _changes_within(places, holds)
    order = np.argsort(owner, kind="stable")
    entries = np.empty_like(gained)
    entries[order] = np.cumsum(gained[order])  # each owner's rows follow on those of the owner before
    entries -= _totals_before(owner, gained)
    holders = np.cumsum(_changes_within(owner, (entries > 0).astype(np.int64)))
    ends = np.append(events[1:] != events[:-1], True)  # what one event does, it does at once
    return int(holders[ends].max())


def _changes_within(groups: Any, values: Any) -> Any:
    """Each value less the one before it in its group, the first less 0."""
    order = np.argsort(groups, kind="stable")
    sorted_groups, sorted_values = groups[order], values[order]
    before = np.append(0, sorted_values[:-1])
    before[np.append(True, sorted_groups[1:] != sorted_groups[:-1])] = 0
    changes = np.empty_like(values)
    changes[order] = sorted_values - before
    return changes


def _totals_before(groups: Any, values: Any) -> Any:
    """For each row the sum of all values of smaller groups."""
    totals = np.bincount(groups, weights=values).astype(np.int64)
    return (np.cumsum(totals) - totals)[groups]


def _with_default(values: Any, default: Any) -> Any:
    return np.append(default if values is None else np.asarray(values, dtype=np.int64), 0)


def counts(blocks: Blocks) -> tuple[int, int, int, int]:
    """Blocks in use, cached, free, and shared."""
    cached, free = int((blocks.owner == CACHED).sum()), int((blocks.owner == FREE).sum())
    return blocks.owner.size - cached - free, cached, free, int((blocks.shared > 1).sum())
