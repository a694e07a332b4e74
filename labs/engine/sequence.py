"""One sequence that is served: how long it is, how much of it is in the KV cache, and in which blocks."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from labs.engine.decode_set import DecodeSet


class Status(enum.Enum):
    WAITING = "waiting"  # nothing of it is in the cache
    PREFILL = "prefill"  # its prompt (after a preemption: all its tokens) is being computed
    DECODE = "decode"  # a token a step
    SWAPPED = "swapped"  # waiting, with its KV in host memory
    FINISHED = "finished"


@dataclass(slots=True, eq=False)
class Sequence:
    """``prompt`` and ``limit`` count tokens: of the prompt, and to generate at most. Times are in s.

    ``tokens`` holds the real ids, and stays empty where only lengths matter (a simulation). ``keys`` name the
    contents of its full blocks, prefix included, for the prefix cache. ``width`` is how many sequences it
    becomes after its prefill (parallel samples, beams). ``lockstep`` are the beams that step together with
    it, itself included; empty for a sequence of its own.
    """

    id: int
    prompt: int
    limit: int
    arrival_s: float = 0.0
    user: str = ""
    priority: int = 0  # 0 is the most urgent
    deadline_s: float = math.inf
    predicted: int = 0  # tokens that it is expected to generate; 0: no prediction
    width: int = 1
    tokens: list[int] = field(default_factory=list)
    keys: list[Hashable] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    lockstep: list[Sequence] = field(default_factory=list)
    status: Status = Status.WAITING
    decoding: DecodeSet | None = None
    cached: int = 0  # tokens that the prefix cache spared at the last admission
    committed: int = 0  # leading blocks that the prefix cache knows
    preemptions: int = 0
    admitted_s: float = math.nan
    first_token_s: float = math.nan
    finished_s: float = math.nan
    offset: int = field(default=0, init=False)  # its length, less the clock of the set in which it decodes
    stored: int = field(default=0, init=False)  # what is computed, while it does not decode

    def __post_init__(self) -> None:
        self.offset = self.prompt

    @property
    def length(self) -> int:
        """Tokens known: the prompt and what was generated."""
        return self.offset if self.decoding is None else self.offset + self.decoding.clock

    @length.setter
    def length(self, tokens: int) -> None:
        assert self.decoding is None, "a decoding sequence grows with its set's clock"
        self.offset = tokens

    @property
    def computed(self) -> int:
        """Tokens whose keys and values are stored; a decoding sequence lacks those of its newest token."""
        return self.stored if self.decoding is None else self.length - 1

    @computed.setter
    def computed(self, tokens: int) -> None:
        assert self.decoding is None, "a decoding sequence grows with its set's clock"
        self.stored = tokens

    @property
    def generated(self) -> int:
        return self.length - self.prompt

    @property
    def remaining(self) -> int:
        """Tokens that it may still generate."""
        return self.limit - self.generated

    def together(self) -> list[Sequence]:
        """Itself, or all beams that must run and wait together."""
        return self.lockstep or [self]
