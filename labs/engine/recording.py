"""What an engine's events say about every block and every sequence: the state behind each event, as rows.

Works from the events alone, so that a run of the engine and one of the simulator are replayed alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from labs.engine.events import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labs.engine.events import Event, Row

FREE, CACHED = -1, -2


class BlockRow(NamedTuple):
    """From ``event`` on ``block`` is held by ``owner`` (a sequence's number, FREE or CACHED) and so many
    ``owners`` in all, and holds ``filled`` tokens."""

    event: int
    block: int
    owner: int
    owners: int
    filled: int


class TableRow(NamedTuple):
    """From ``event`` on, block ``logical`` of a sequence is the physical ``block`` (-1: it is gone)."""

    event: int
    sequence: int
    logical: int
    block: int


class Span(NamedTuple):
    """What a sequence did from ``start_s`` to ``end_s``; ``tokens`` were computed in it."""

    sequence: int
    start_s: float
    end_s: float
    phase: str  # waiting, preempted, swapped, prefill, decode, padding
    tokens: int


@dataclass
class _Sequence:
    computed: int = 0
    table: list[int] = field(default_factory=list)
    idle_since: float | None = None
    idle_phase: str = "waiting"


class Recording:
    """Reads ``events`` once. ``blocks`` and ``tables`` ascend by event, ``spans`` are in no order."""

    def __init__(self, events: Iterable[Event], block_size: int) -> None:
        self.block_size = block_size
        self.events: list[Event] = []
        self.blocks: list[BlockRow] = []
        self.tables: list[TableRow] = []
        self.spans: list[Span] = []
        self._sequences: dict[int, _Sequence] = {}
        self._owners: dict[int, list[int]] = {}  # by block, in the order in which they came
        self._filled: dict[int, int] = {}
        for event in events:
            self.events.append(event)
            self._read(event)

    @property
    def sequences(self) -> list[int]:
        """Their numbers, in the order in which they appeared."""
        return list(self._sequences)

    def _read(self, event: Event) -> None:
        one = self._sequences.setdefault(event.sequence, _Sequence()) if event.sequence >= 0 else _Sequence()
        match event.kind:
            case EventKind.ARRIVE:
                one.idle_since = event.time_s
            case EventKind.ADMIT | EventKind.RESUME:
                one.computed = event.tokens
                self._end_idling(event.sequence, one, event.time_s)
            case EventKind.ALLOCATE:
                self._allocate(event, one)
            case EventKind.SHARE:
                self._share(event, one)
            case EventKind.COPY:
                self._copy(event, one)
            case EventKind.PREEMPT:
                one.idle_since = event.time_s
                one.idle_phase = "swapped" if event.reason == "swap" else "preempted"
            case EventKind.RELEASE:
                self._release(event, one)
            case EventKind.CACHE:
                self._forget_owners(event.blocks, CACHED)
            case EventKind.EVICT:
                for block in event.blocks:
                    self._filled[block] = 0
                self._forget_owners(event.blocks, FREE)
            case EventKind.STEP:
                for row in event.rows:
                    self._compute(event, row)
            case EventKind.FINISH:
                self._end_idling(event.sequence, one, event.time_s)

    # Blocks

    @property
    def _event(self) -> int:
        return len(self.events) - 1

    def _allocate(self, event: Event, one: _Sequence) -> None:
        for block in event.blocks:
            logical = len(one.table)
            self._filled[block] = max(0, min(self.block_size, one.computed - logical * self.block_size))
            self._owners[block] = []
            self._attach(event.sequence, one, block)

    def _share(self, event: Event, one: _Sequence) -> None:
        for block in event.blocks:
            self._attach(event.sequence, one, block)
        if event.blocks:
            last = self._filled.get(event.blocks[-1], 0)
            one.computed = (len(one.table) - 1) * self.block_size + last

    def _copy(self, event: Event, one: _Sequence) -> None:
        """The target has been allocated behind the source, whose place in the table it takes."""
        source, target = event.blocks
        self.tables.append(TableRow(self._event, event.sequence, len(one.table) - 1, -1))
        one.table.remove(source)
        self.tables.append(TableRow(self._event, event.sequence, len(one.table) - 1, target))
        self._filled[target] = self._filled[source]
        self._owners[source].remove(event.sequence)
        self._note(source)
        self._note(target)

    def _release(self, event: Event, one: _Sequence) -> None:
        for logical, block in enumerate(one.table):
            self._owners[block].remove(event.sequence)
            self._note(block)
            self.tables.append(TableRow(self._event, event.sequence, logical, -1))
        one.table = []

    def _attach(self, sequence: int, one: _Sequence, block: int) -> None:
        self._owners.setdefault(block, []).append(sequence)
        self.tables.append(TableRow(self._event, sequence, len(one.table), block))
        one.table.append(block)
        self._note(block)

    def _forget_owners(self, blocks: Iterable[int], state: int) -> None:
        for block in blocks:
            self.blocks.append(BlockRow(self._event, block, state, 0, self._filled.get(block, 0)))

    def _note(self, block: int) -> None:
        owners = self._owners[block]
        filled = self._filled[block] if owners else 0
        self.blocks.append(BlockRow(self._event, block, owners[0] if owners else FREE, len(owners), filled))

    # Sequences

    def _compute(self, event: Event, row: Row) -> None:
        one = self._sequences[row.sequence]
        self.spans.append(Span(row.sequence, event.start_s, event.time_s, row.phase, row.tokens))
        if row.phase == "padding":
            return
        size, before = self.block_size, one.computed
        one.computed += row.tokens
        for logical in range(before // size, -(-one.computed // size)):
            block = one.table[logical]
            self._filled[block] = max(self._filled[block], min(size, one.computed - logical * size))
            self._note(block)

    def _end_idling(self, sequence: int, one: _Sequence, now: float) -> None:
        if one.idle_since is not None:
            self.spans.append(Span(sequence, one.idle_since, now, one.idle_phase, 0))
            one.idle_since = None
