"""How the cache stood after each step, and what sharing did, read from the engine's events alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.engine.events import EventKind
from labs.engine.recording import CACHED

if TYPE_CHECKING:
    from labs.engine.events import Event, Row
    from labs.engine.recording import BlockRow, Recording


@dataclass(frozen=True)
class Moment:
    """After ``event`` (s since the start): blocks ``owned``, references to them, ``cached`` blocks; tokens
    ``filled`` in owned blocks, and ``logical`` ones, which count what is shared once for each sequence.
    ``live`` are the sequences that hold blocks."""

    event: int
    time_s: float
    owned: int
    references: int
    cached: int
    filled: int
    logical: int
    live: tuple[int, ...]


@dataclass
class Usage:
    """``moments``: one a step, then the end. ``forks`` counts sequences that began as another's copy,
    ``forked_tokens`` what they would have copied at once without sharing. ``spared`` tokens came from the
    prefix cache, ``recomputed`` ones were computed again after a preemption."""

    moments: list[Moment] = field(default_factory=list)
    copies: int = 0
    forks: int = 0
    forked_tokens: int = 0
    spared: int = 0
    recomputed: int = 0
    preempted: int = 0
    evicted: int = 0
    first_copy: int | None = None
    first_preemption: int | None = None

    @property
    def peak(self) -> Moment:
        """Where most blocks were owned."""
        return max(self.moments, key=lambda moment: moment.owned)

    @property
    def most_sharing(self) -> Moment:
        return max(self.moments, key=lambda moment: moment.references - moment.owned)

    def empty_slots(self, block_size: int) -> float:
        """Empty slots of owned blocks, a sequence that holds some, over all steps; 0 if nobody did."""
        empty = sum(one.owned * block_size - one.filled for one in self.moments)
        return empty / max(1, sum(len(one.live) for one in self.moments))


def read_usage(recording: Recording) -> Usage:
    """Walks the recording once."""
    reader = _Reader(recording)
    for index, event in enumerate(recording.events):
        reader.read(index, event)
    return reader.usage


class _Reader:
    def __init__(self, recording: Recording) -> None:
        self.usage = Usage()
        self._rows, self._next = recording.blocks, 0
        self._last = len(recording.events) - 1
        self._blocks = _Blocks()
        self._live: dict[int, None] = {}
        self._computed: dict[int, int] = {}  # by sequence: tokens whose KV it has
        self._furthest: dict[int, int] = {}  # and had at most

    def read(self, index: int, event: Event) -> None:
        while self._next < len(self._rows) and self._rows[self._next].event <= index:
            self._blocks.put(self._rows[self._next])
            self._next += 1
        self._count(index, event)
        if event.kind in (EventKind.ALLOCATE, EventKind.SHARE):
            self._live[event.sequence] = None
        elif event.kind is EventKind.RELEASE:
            self._live.pop(event.sequence, None)
        if event.kind is EventKind.STEP or index == self._last:
            self.usage.moments.append(self._blocks.moment(index, event.time_s, tuple(self._live)))

    def _count(self, index: int, event: Event) -> None:
        usage, sequence = self.usage, event.sequence
        match event.kind:
            case EventKind.ARRIVE:
                self._computed[sequence] = self._furthest[sequence] = 0
            case EventKind.ADMIT | EventKind.RESUME:
                usage.spared += event.tokens if event.kind is EventKind.ADMIT else 0
                self._computed[sequence] = event.tokens
            case EventKind.SHARE if sequence not in self._computed:
                self._fork(event)
            case EventKind.COPY:
                usage.copies += 1
                usage.first_copy = index if usage.first_copy is None else usage.first_copy
            case EventKind.EVICT:
                usage.evicted += len(event.blocks)
            case EventKind.PREEMPT:
                usage.preempted += 1
                usage.first_preemption = index if usage.first_preemption is None else usage.first_preemption
            case EventKind.STEP:
                for row in event.rows:
                    self._compute(row)

    def _fork(self, event: Event) -> None:
        tokens = self._blocks.filled_in(event.blocks)
        self.usage.forks += 1
        self.usage.forked_tokens += tokens
        self._computed[event.sequence] = self._furthest[event.sequence] = tokens

    def _compute(self, row: Row) -> None:
        before, furthest = self._computed[row.sequence], self._furthest[row.sequence]
        after = self._computed[row.sequence] = before + row.tokens
        self.usage.recomputed += max(0, min(after, furthest) - before)
        self._furthest[row.sequence] = max(after, furthest)


class _Blocks:
    """The last row of each block, summed up."""

    def __init__(self) -> None:
        self._rows: dict[int, BlockRow] = {}
        self._owned = self._references = self._cached = self._filled = self._logical = 0

    def put(self, row: BlockRow) -> None:
        before = self._rows.get(row.block)
        if before is not None:
            self._count(before, -1)
        self._count(row, +1)
        self._rows[row.block] = row

    def _count(self, row: BlockRow, sign: int) -> None:
        if row.owners:
            self._owned += sign
            self._references += sign * row.owners
            self._filled += sign * row.filled
            self._logical += sign * row.filled * row.owners
        elif row.owner == CACHED:
            self._cached += sign

    def filled_in(self, blocks: tuple[int, ...]) -> int:
        return sum(self._rows[block].filled for block in blocks)

    def moment(self, event: int, time_s: float, live: tuple[int, ...]) -> Moment:
        counts = (self._owned, self._references, self._cached, self._filled, self._logical)
        return Moment(event, time_s, *counts, live)
