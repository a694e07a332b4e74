"""What is computed in the next step: iteration-level (continuous) batching, with or without chunked prefill.

Orca (Yu et al., OSDI 2022) schedules at every iteration; Sarathi-Serve (Agrawal et al., OSDI 2024) splits
prompts so that a step's work stays within a budget and no decode waits for a long prompt.

The scheduler knows lengths and blocks, not tensors: the engine runs its batches on the model, the simulator
on a cost model.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from labs.engine.decode_set import DecodeSet
from labs.engine.events import EventKind, Row
from labs.engine.policies import FirstComeFirstServed
from labs.engine.sequence import Sequence, Status
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labs.engine.block_manager import BlockManager
    from labs.engine.events import EventLog
    from labs.engine.policies import Policy

Preemption = Literal["recompute", "swap"]

# Of all blocks, kept free when a sequence is admitted, so that those running do not run out at once (vLLM's).
WATERMARK = 0.01


class Chunk(msgspec.Struct):
    """The next ``tokens`` tokens of a sequence's prefill, ``start`` of which are computed, and ``padding``
    that only fills a static batch. The ``last`` one of a prefill gives a token."""

    sequence: Sequence
    start: int
    tokens: int
    last: bool
    padding: int = 0


class SwapOut(NamedTuple):
    """Save what these blocks hold: they are someone else's from now on."""

    sequence: Sequence
    blocks: list[int]


class SwapIn(NamedTuple):
    """Put what was saved of ``sequence`` into these blocks."""

    sequence: Sequence
    blocks: list[int]


class Copy(NamedTuple):
    source: int
    target: int


class Batch(msgspec.Struct):
    """A step: first the ``moves``, in their order, then the chunks and, if ``decodes``, a token for each
    sequence of the decode set. ``preempted`` had to make room for it."""

    chunks: list[Chunk] = []
    decodes: bool = False
    moves: list[SwapOut | SwapIn | Copy] = []
    preempted: list[Sequence] = []

    def __bool__(self) -> bool:
        return bool(self.chunks) or self.decodes

    def rows(self, decodes: Iterable[Sequence]) -> list[Row]:
        """Who computes what, ``decodes`` being the decode set if it takes part: in a static batch, some of it
        for nothing."""
        rows = [Row(chunk.sequence.id, chunk.tokens, "prefill") for chunk in self.chunks]
        rows += [Row(chunk.sequence.id, chunk.padding, "padding") for chunk in self.chunks if chunk.padding]
        for sequence in decodes:
            rows.append(Row(sequence.id, 1, "decode" if math.isnan(sequence.finished_s) else "padding"))
        return rows


class Scheduler:
    """Call ``add`` for each arrival, then in turn ``schedule`` and, when the batch has been computed,
    ``complete``; ``finish`` for what has ended.

    ``most_sequences`` bounds what runs at once, ``token_budget`` the tokens computed in a step. Without
    ``chunked`` prompts are computed in steps of their own, in which nothing decodes, each as a whole however
    long it is.
    """

    def __init__(
        self,
        manager: BlockManager,
        *,
        policy: Policy | None = None,
        most_sequences: int = 16,
        token_budget: int = 512,
        chunked: bool = True,
        preemption: Preemption = "recompute",
        log: EventLog | None = None,
    ) -> None:
        if most_sequences < 1 or token_budget < most_sequences:
            zh = f"每步 {token_budget} 个 token、最多 {most_sequences} 条序列：序列数至少为 1，预算不能比它小"
            en = f"{token_budget} tokens a step for {most_sequences} sequences: "
            raise LabError(Text(zh=zh, en=f"{en}at least one sequence, and as many tokens as sequences"))
        self.manager = manager
        # An empty policy has no length, so it is false.
        self.policy = FirstComeFirstServed() if policy is None else policy
        self.most_sequences, self.token_budget = most_sequences, token_budget
        self.chunked, self.preemption = chunked, preemption
        self.prefilling: dict[Sequence, None] = {}
        self.decoding = DecodeSet(manager.block_size)
        self.preemptions = 0
        self._forked: list[Sequence] = []  # may be about to write into a block that is still shared
        self._log = log

    # What comes and goes

    def add(self, sequence: Sequence, now: float) -> None:
        """A new arrival. LabError if it could never run, not even alone."""
        self._check(sequence)
        if self._log is not None:
            self._log.add(EventKind.ARRIVE, sequence.id, tokens=sequence.prompt)
        self.policy.add(sequence, now)

    def finish(self, sequence: Sequence, now: float, reason: str = "length") -> None:
        """It has ended, wherever it is: its blocks are given up."""
        if sequence.status in (Status.WAITING, Status.SWAPPED):
            self.policy.take(lambda other: other is sequence, 1)
        else:
            self._stop_running(sequence)
        sequence.status, sequence.finished_s = Status.FINISHED, now
        if self._log is not None:
            self._log.add(EventKind.FINISH, sequence.id, reason=reason)
        self.manager.release(sequence)

    def fork(self, parent: Sequence, child: Sequence) -> None:
        """``child`` goes on from where the decoding ``parent`` stands, reading what it has written."""
        parent.width = 1  # its places are taken by real sequences, one after the other
        child.length = parent.length
        child.computed = child.length - 1
        self.manager.fork(parent, child)
        self.decoding.add(child)
        self._forked += [parent, child]

    @property
    def running(self) -> int:
        return len(self.prefilling) + len(self.decoding)

    @property
    def waiting(self) -> int:
        return len(self.policy)

    def iter_running(self) -> Iterator[Sequence]:
        yield from self.prefilling
        yield from self.decoding

    # A step

    def schedule(self, now: float) -> Batch:
        """The next batch; an empty one if nothing can run."""
        batch = Batch()
        preempted = self.preemptions
        if not self.manager.grow_by_one(self.decoding.due(), self.decoding.clock):
            self._make_room(batch, now)
        if self._forked:
            self._privatise(batch, now)
        if self.preemptions == preempted:  # who was short of memory just now admits nobody
            if self.policy.preemptive:
                self._overtake(batch, now)
            self._fill(batch, now)
        else:
            self._continue_prefills(batch, self._budget())
        batch.decodes = len(self.decoding) > 0 and (self.chunked or not batch.chunks)
        return batch

    def complete(self, batch: Batch, steps: int = 1) -> list[Sequence]:
        """The batch has been computed, so many times if it decodes only. Returns those whose prefill it
        ended: they have a new token too, and decode from now on."""
        if batch.decodes:
            self._advance(steps)
        started = []
        for chunk in batch.chunks:
            sequence = chunk.sequence
            sequence.stored = chunk.start + chunk.tokens
            if self.manager.prefix_cache:
                self.manager.commit(sequence)
            if chunk.last:
                del self.prefilling[sequence]
                sequence.offset += 1
                self.decoding.add(sequence)
                started.append(sequence)
        return started

    def again(self, most: int = 1) -> int:
        """After a batch of decodes alone, for which nobody was preempted: how many such steps, at most
        ``most``, can follow with nothing to decide before any of them, if nothing comes or goes. They have
        their blocks then: what ``schedule`` would do, at a fraction of its cost. Where generated tokens have
        keys, ask for one step at a time: the prefix cache must know a block before it forgets another."""
        if self.prefilling or self._forked:
            return 0
        if len(self.policy) and not (self.policy.steady and not self.manager.prefix_cache):
            return 0
        for ahead in range(most):
            due = self.decoding.due(ahead)
            if self.manager.grow_by_one(due, self.decoding.clock + ahead):
                continue
            if len(due) > self.manager.available:
                return ahead
            for sequence in due:
                self.manager.grow(sequence, sequence.length + ahead)
        return most

    def _advance(self, steps: int) -> None:
        if not self.manager.prefix_cache:
            self.decoding.advance(steps)
            return
        for _ in range(steps):
            self.decoding.advance()
            for sequence in self.decoding.due():  # its last block has just been filled
                self.manager.commit(sequence)

    # Memory for what decodes

    def _make_room(self, batch: Batch, now: float) -> None:
        """A block for each sequence whose newest token starts one; the policy's victims pay."""
        for sequence in list(self.decoding.due()):
            while sequence in self.decoding and not self.manager.grow(sequence, sequence.length):
                self._preempt(self.policy.victim(self.iter_running()), batch, now)

    def _privatise(self, batch: Batch, now: float) -> None:
        """Copy on write: who is about to write into a block that others read gets a copy of it."""
        for sequence in self._forked:
            while sequence in self.decoding and self.manager.shares_last(sequence):
                copied = self.manager.own_last(sequence)
                if copied is not None:
                    batch.moves.append(Copy(*copied))
                else:
                    self._preempt(self.policy.victim(self.iter_running()), batch, now)
        self._forked.clear()

    def _preempt(self, victim: Sequence, batch: Batch, now: float) -> None:
        """Take the victim's memory. Beams go together and only to host memory: recomputed, each would reach
        its next token in a step of its own."""
        group = victim.together()
        for sequence in group:
            swap = bool(sequence.lockstep) or (self.preemption == "swap" and sequence in self.decoding)
            self._stop_running(sequence)
            sequence.preemptions += 1
            if self._log is not None:
                self._log.add(EventKind.PREEMPT, sequence.id, reason="swap" if swap else "recompute")
            if swap:
                batch.moves.append(SwapOut(sequence, self._written(sequence)))
                sequence.status = Status.SWAPPED
            else:
                sequence.computed, sequence.status = 0, Status.WAITING
            self.manager.release(sequence)
        batch.preempted += group
        self.preemptions += 1
        self.policy.add(group[0], now)

    def _written(self, sequence: Sequence) -> list[int]:
        return sequence.blocks[: self.manager.blocks_for(sequence.computed)]

    def _stop_running(self, sequence: Sequence) -> None:
        if sequence in self.decoding:
            self.decoding.remove(sequence)
        else:
            del self.prefilling[sequence]
        self.policy.left(sequence)

    # Filling the rest of the step

    def _budget(self) -> int:
        return self.token_budget - (len(self.decoding) if self.chunked else 0)

    def _overtake(self, batch: Batch, now: float) -> None:
        while len(self.policy) and self.running and not self._fits(self.policy.peek(now)):
            victim = self.policy.overtaken(self.iter_running(), now)
            if victim is None:
                break
            self._preempt(victim, batch, now)

    def _fill(self, batch: Batch, now: float) -> None:
        """The prefills that have begun, then new ones in the policy's order while slots, memory and the
        budget allow: the first that does not fit stops those behind it, or it would starve."""
        budget = self._continue_prefills(batch, self._budget())
        while budget > 0 and len(self.policy):
            sequence = self.policy.peek(now)
            whole = not self.chunked and batch.chunks and sequence.length > budget
            if whole or not self._fits(sequence):
                break
            self.policy.pop(now)
            budget -= self._admit(batch, sequence, budget, now)

    def _continue_prefills(self, batch: Batch, budget: int) -> int:
        for sequence in self.prefilling:
            if budget > 0:
                budget -= self._add_chunk(batch, sequence, budget)
        return budget

    def _fits(self, sequence: Sequence) -> bool:
        group = sequence.together()
        places = len(self.decoding)
        for one in chain(self.prefilling, group):
            places += one.width
        if places > self.most_sequences:
            return False
        manager = self.manager
        if sequence.status is Status.SWAPPED:
            wanted = sum(manager.blocks_for(one.length) for one in group)
        else:
            wanted = manager.wanted(sequence, sequence.length, manager.known_prefix(sequence))
        spare = int(WATERMARK * manager.blocks) if self.running else 0
        return wanted + spare <= manager.available

    def _admit(self, batch: Batch, sequence: Sequence, budget: int, now: float) -> int:
        """Let it run; the tokens of this step that it takes."""
        if math.isnan(sequence.admitted_s):
            sequence.admitted_s = now
        if sequence.status is Status.SWAPPED:
            return sum(self._swap_in(batch, one) for one in sequence.together())
        self.manager.share(sequence, self.manager.known_prefix(sequence))
        self._note_start(sequence)
        grown = self.manager.grow(sequence, sequence.length)
        assert grown, "it was seen to fit"
        sequence.status = Status.PREFILL
        self.prefilling[sequence] = None
        return self._add_chunk(batch, sequence, budget)

    def _swap_in(self, batch: Batch, sequence: Sequence) -> int:
        self._note_start(sequence)
        grown = self.manager.grow(sequence, sequence.length)
        assert grown, "it was seen to fit"
        batch.moves.append(SwapIn(sequence, self._written(sequence)))
        self.decoding.add(sequence)
        self.manager.commit(sequence)  # whoever reads these blocks does so after the move
        return 1

    def _add_chunk(self, batch: Batch, sequence: Sequence, budget: int) -> int:
        start = sequence.stored
        tokens = left = sequence.offset - start
        if left > budget and self.chunked:
            tokens = budget
        batch.chunks.append(Chunk(sequence, start, tokens, tokens == left))
        return tokens

    def _note_start(self, sequence: Sequence) -> None:
        if self._log is not None:
            kind = EventKind.RESUME if sequence.preemptions else EventKind.ADMIT
            self._log.add(kind, sequence.id, tokens=sequence.computed)

    def _check(self, sequence: Sequence) -> None:
        manager, most = self.manager, sequence.prompt + sequence.limit
        blocks = manager.blocks_for(most)
        if sequence.width > 1:  # what they share, and for each what it writes and the block it copies
            blocks = manager.blocks_for(sequence.prompt) + sequence.width * (
                manager.blocks_for(sequence.limit) + 1
            )
        if sequence.prompt < 1 or sequence.limit < 1:
            zh = f"提示词 {sequence.prompt} 个 token、生成 {sequence.limit} 个，两者至少为 1"
            en = f"a prompt of {sequence.prompt} tokens and {sequence.limit} to generate: "
            raise LabError(Text(zh=zh, en=f"{en}both must be at least 1"))
        if blocks > manager.blocks:
            zh = f"序列 {sequence.id} 最多要 {blocks} 个 KV 块，而一共只有 {manager.blocks} 块"
            en = f"sequence {sequence.id} may need {blocks} KV blocks, and there are only {manager.blocks}"
            raise LabError(Text(zh=zh, en=en))
        if sequence.width > self.most_sequences:
            zh = f"序列 {sequence.id} 会分成 {sequence.width} 条，而最多同时运行 {self.most_sequences} 条"
            en = f"sequence {sequence.id} becomes {sequence.width}, and at most {self.most_sequences} may run"
            raise LabError(Text(zh=zh, en=en))
