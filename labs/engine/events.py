"""What the scheduler and the block manager decide, as one record that views replay and tests check."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class EventKind(enum.Enum):
    ARRIVE = "arrive"  # tokens: of the prompt
    ADMIT = "admit"  # tokens: spared by the prefix cache
    ALLOCATE = "allocate"  # blocks: new at the end of its table
    SHARE = "share"  # blocks: at the end of its table, owned by others or cached already
    COPY = "copy"  # blocks: (source, target), the last of its table becomes its own
    EVICT = "evict"  # blocks: cached ones that are forgotten
    RELEASE = "release"  # blocks: its whole table
    CACHE = "cache"  # blocks: without an owner now, but known by their contents
    PREEMPT = "preempt"  # reason: recompute or swap
    RESUME = "resume"
    STEP = "step"  # start_s: when it began; rows: who computed what in it; tokens: in all
    TOKEN = "token"  # tokens: the id
    FINISH = "finish"  # reason: length, stop, ...


class Row(NamedTuple):
    """A sequence's part in a step. ``padding``: computed for nothing, to fill a static batch."""

    sequence: int
    tokens: int
    phase: Literal["prefill", "decode", "padding"]


class Event(msgspec.Struct, frozen=True):
    """``sequence`` is -1 where no sequence is concerned. What the other fields mean, its kind says."""

    kind: EventKind
    time_s: float
    sequence: int = -1
    blocks: tuple[int, ...] = ()
    tokens: int = 0
    reason: str = ""
    start_s: float = 0.0
    rows: tuple[Row, ...] = ()


class EventLog:
    """Events in the order in which they happened, at the times that ``clock`` told (s)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.events: list[Event] = []

    def add(
        self,
        kind: EventKind,
        sequence: int = -1,
        blocks: Sequence[int] = (),
        tokens: int = 0,
        reason: str = "",
        start_s: float = 0.0,
        rows: Sequence[Row] = (),
    ) -> None:
        self.events.append(
            Event(kind, self.clock(), sequence, tuple(blocks), tokens, reason, start_s, tuple(rows))
        )
