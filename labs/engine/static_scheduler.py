"""Batching before Orca: a batch starts together and ends together, each sequence as long as the longest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from labs.engine.scheduler import Batch, Chunk, Scheduler
from labs.engine.sequence import Status

if TYPE_CHECKING:
    from labs.engine.block_manager import BlockManager
    from labs.engine.sequence import Sequence


class StaticScheduler(Scheduler):
    """A batch is ``most_sequences`` wide, or what has come when somebody has waited for ``wait_s`` (dynamic
    batching; infinite: only full batches, until ``drained`` says that nothing more will come).

    Prompts are padded to the longest, and each sequence reserves memory for the longest prompt and the
    longest answer. A sequence that has ended keeps its place, and the model keeps computing it, until the
    last one of the batch ends: ``ended`` are these. With ``buckets`` a batch takes only prompts whose lengths
    fall between the same powers of two, so that less is padding.
    """

    def __init__(
        self, manager: BlockManager, *, wait_s: float = math.inf, buckets: bool = False, **options: Any
    ) -> None:
        super().__init__(manager, chunked=False, **options)
        self.wait_s, self.buckets = wait_s, buckets
        self.drained = False
        self.ended: dict[Sequence, str] = {}  # and why
        self._since: dict[Sequence, float] = {}  # of those waiting

    def add(self, sequence: Sequence, now: float) -> None:
        super().add(sequence, now)
        self._since[sequence] = now

    def finish(self, sequence: Sequence, now: float, reason: str = "length") -> None:
        if sequence not in self.decoding:
            self._since.pop(sequence, None)
            super().finish(sequence, now, reason)
            return
        sequence.finished_s = now
        self.ended[sequence] = reason
        if len(self.ended) == self.running:
            for member, why in self.ended.items():
                super().finish(member, member.finished_s, why)
            self.ended.clear()

    def schedule(self, now: float) -> Batch:
        if self.running:
            return Batch(decodes=True)
        members = self._members(now)
        prompt = max((member.prompt for member in members), default=0)
        limit = max((member.limit for member in members), default=0)
        for member in members:
            member.admitted_s, member.status = now, Status.PREFILL
            self._note_start(member)
            grown = self.manager.grow(member, prompt + limit)
            assert grown, "members are chosen so that they fit"
            self.prefilling[member] = None
        return Batch([Chunk(one, 0, one.prompt, True, prompt - one.prompt) for one in members])

    def again(self, most: int = 1) -> int:
        return most if len(self.decoding) else 0

    def starts_s(self) -> float:
        """When a batch starts without another arrival; infinite if nothing waits, or waits for company."""
        return min(self._since.values(), default=math.inf) + self.wait_s

    def _members(self, now: float) -> list[Sequence]:
        if not self.waiting:
            return []
        bucket = _bucket(self.policy.peek(now))
        alike = sum(self._goes_with(bucket, one) for one in self.policy)
        if alike < self.most_sequences and not self.drained and now < self.starts_s():
            return []
        members = self.policy.take(lambda one: self._goes_with(bucket, one), self.most_sequences)
        while len(members) > 1 and self._reserved(members) > self.manager.available:
            self.policy.add(members.pop(), now)
        for member in members:
            del self._since[member]
        return members

    def _goes_with(self, bucket: int, sequence: Sequence) -> bool:
        return not self.buckets or _bucket(sequence) == bucket

    def _reserved(self, members: list[Sequence]) -> int:
        longest = max(one.prompt for one in members) + max(one.limit for one in members)
        return len(members) * self.manager.blocks_for(longest)


def _bucket(sequence: Sequence) -> int:
    """Prompts of 2^b to 2^(b+1) - 1 tokens share a bucket."""
    return sequence.prompt.bit_length()
