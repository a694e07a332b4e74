"""The sequences that decode together: each step gives every one of them a token, so one clock counts for all.

Nothing is done a sequence and step: a step costs as much as the number of sequences whose last block is full.
That is what lets a simulation of thousands of requests, with this very code, run in a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.engine.sequence import Status

if TYPE_CHECKING:
    from collections.abc import Collection

    from labs.engine.sequence import Sequence


class DecodeSet(dict["Sequence", None]):
    """``clock`` counts decode steps. A member's length is an offset plus the clock.

    A dict, so that it keeps the order of joining; ``add`` and ``remove`` alone change it.
    """

    def __init__(self, block_size: int) -> None:
        self.clock = 0
        self._offsets = 0
        # By the clock, modulo the block size, at which a member's newest token falls into a new block.
        self._due: list[dict[Sequence, None]] = [{} for _ in range(block_size)]

    @property
    def context(self) -> int:
        """Tokens that the next step attends to, over all members: their lengths added up."""
        return self._offsets + len(self) * self.clock

    def add(self, sequence: Sequence) -> None:
        """From the next step on it decodes. All its tokens but the newest are computed."""
        assert sequence.stored == sequence.offset - 1, "only its newest token may be left to compute"
        offset = sequence.offset = sequence.offset - self.clock
        sequence.decoding, sequence.status = self, Status.DECODE
        self._offsets += offset
        self[sequence] = None
        self._due[(1 - offset) % len(self._due)][sequence] = None

    def remove(self, sequence: Sequence) -> None:
        """It keeps the length that it has reached."""
        offset = sequence.offset
        del self[sequence]
        del self._due[(1 - offset) % len(self._due)][sequence]
        self._offsets -= offset
        sequence.decoding = None
        sequence.offset = offset + self.clock
        sequence.stored = sequence.offset - 1

    def due(self, ahead: int = 0) -> Collection[Sequence]:
        """The members whose newest token, which the next step computes, is the first of a block; or, when
        ``ahead`` more steps have been made, will be. Whoever leaves meanwhile leaves it too."""
        return self._due[(self.clock + ahead) % len(self._due)]

    def advance(self, steps: int = 1) -> None:
        """Each step has given each member a token."""
        self.clock += steps
