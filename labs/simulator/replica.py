"""One simulated server: the engine's own scheduler and block manager, with a cost model for the model.

A step is decided when it starts, and costs what its sums say. Stretches of steps that decode only, and
between which nothing comes or goes, are taken at once; that changes no time, no metric and no decision.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, cast

from labs.engine.events import EventKind
from labs.engine.scheduler import Batch, Copy, SwapIn
from labs.engine.static_scheduler import StaticScheduler
from labs.simulator.ticks import NEVER, PER_SECOND, ticks
from labs.simulator.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.engine.events import EventLog, Row
    from labs.engine.scheduler import Scheduler
    from labs.simulator.cost import CostModel
    from labs.simulator.job import Job

_DECODES = Batch(decodes=True)

# Simulated tokens have no id.
NO_ID = -1


class Replica:
    """``at`` is the tick of its next move: the end of the step under way or, if it is not ``busy``, the start
    of the next; never, while it waits for arrivals.

    A log's clock must be ``now_s`` of this replica. With a log, or without ``fast_forward``, every step is
    made by itself.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        cost: CostModel,
        log: EventLog | None = None,
        *,
        fast_forward: bool = True,
    ) -> None:
        self.scheduler, self.cost = scheduler, cost
        self.at, self.now, self.busy = NEVER, 0, False
        self.usage = Usage()
        self._fast, self._log = fast_forward, log
        self._static = scheduler if isinstance(scheduler, StaticScheduler) else None
        self._batch = Batch()
        self._step: tuple[int, list[Row]] = (0, [])  # for the log: when it began, and who computes what
        self._same = False  # nothing has come, gone or been computed but decodes since the last decision
        self._ends: list[tuple[int, int, Job]] = []  # by the decode set's clock
        self._last = 0  # when the decode set was last given tokens
        self._joined: dict[Job, None] = {}  # those of it whose last token came at another time

    def now_s(self) -> float:
        return self.now / PER_SECOND

    @property
    def jobs(self) -> int:
        """Here, running or waiting; what has ended in a static batch is not."""
        ended = len(self._static.ended) if self._static else 0
        return self.scheduler.running + self.scheduler.waiting - ended

    def add(self, job: Job, now: int) -> None:
        """An arrival; with ``Status.SWAPPED`` one whose KV has been computed elsewhere."""
        self.now = now
        self.scheduler.add(job, now / PER_SECOND)
        self._same = False
        if not self.busy:
            self.at = now

    def expect_no_more(self, now: int) -> None:
        """No arrival is in sight: a static batch need not wait to be full."""
        if self._static is not None and not self._static.drained:
            self._static.drained = True
            if not self.busy and self.scheduler.waiting:
                self.at = min(self.at, now)

    def expect_more(self) -> None:
        if self._static is not None:
            self._static.drained = False

    def advance(self, horizon: int) -> Sequence[Job]:
        """Go on until jobs end, or until ``horizon``, when something may come: what ends then is completed,
        nothing is started."""
        while self.at <= horizon:
            if self.busy:
                ended = self._complete()
                if ended:
                    return ended
            if self.at >= horizon:
                break
            self._start(horizon)
        return ()

    # A step starts

    def _start(self, horizon: int) -> None:
        self.now = self.at
        scheduler, decoding = self.scheduler, self.scheduler.decoding
        if self._fast and decoding and not scheduler.prefilling and (self._same or not scheduler.waiting):
            if self._repeat(horizon):
                return
        batch = scheduler.schedule(self.now / PER_SECOND)
        if batch.preempted:
            self._note_preempted(cast("list[Job]", batch.preempted))
        if not (batch.decodes or batch.chunks):
            self.at = self._wakes()
            return
        self._same = not batch.chunks and not batch.preempted
        moving = self._move(batch) if batch.moves else 0
        rows, context = len(decoding), decoding.context
        self._begin(batch, moving + self._measure(batch, rows, context))
        self._occupy(self.at - self.now, rows, context)
        if batch.decodes:
            self._give_tokens(rows)

    def _repeat(self, horizon: int) -> bool:
        """Nothing is to be decided: the decode set steps as often as can be foreseen. The last of these steps
        is then under way. False: there is something to decide."""
        scheduler, decoding = self.scheduler, self.scheduler.decoding
        rows, context = len(decoding), decoding.context
        attention = self.cost.decode_attention(rows, context)
        first, rise = self.cost.linear(rows, rows) + attention.ticks, attention.rise
        most = 1
        if self._log is None:
            ends, room = self._ends[0][0] - decoding.clock, horizon - self.now
            most = min(attention.steps, ends, starts(first, rise, room))
        owned = scheduler.manager.owned
        steps = scheduler.again(most)
        if not steps:
            return False
        self._begin(_DECODES, first)
        self._give_tokens(rows)
        if steps > 1:
            self._skip(first, rise, steps, owned)
        else:
            self._occupy(first, rows, context)
        return True

    def _skip(self, first: int, rise: int, steps: int, owned: int) -> None:
        """Of ``steps`` steps that are due, the first of which has begun, complete all but the last.
        ``owned`` blocks were so before these steps took theirs."""
        decoding, usage, manager = self.scheduler.decoding, self.usage, self.scheduler.manager
        total = first * steps + rise * (steps * (steps - 1) // 2)
        rows, idle = len(decoding), self._idle
        usage.gaps.add_ramp(first + rise, rise, steps - 1, rows - idle)
        usage.decode_tokens += (rows - idle) * (steps - 1)
        usage.padding_tokens += idle * (steps - 1)
        usage.steps += steps
        usage.busy += total
        usage.sequences_time += rows * total
        # Backwards: in the first step some may have had their block already.
        owned, grown = manager.owned, manager.owned > owned
        usage.most_blocks = max(usage.most_blocks, owned)
        stored, duration = decoding.context + rows * (steps - 2), first + rise * (steps - 1)
        for ahead in range(steps - 1, -1, -1):
            usage.blocks_time += owned * duration
            usage.stored_time += stored * duration
            if grown:
                owned -= len(decoding.due(ahead))
            stored -= rows
            duration -= rise
        if manager.extra_owners:
            usage.shared_time += sum(manager.extra_owners.values()) * total
        self.scheduler.complete(_DECODES, steps - 1)
        self.at = self._last = self.now + total

    def _begin(self, batch: Batch, duration: int) -> None:
        self._batch, self.busy = batch, True
        self.at = self.now + duration
        if self._log is not None:
            self._step = self.now, batch.rows(self.scheduler.decoding if batch.decodes else ())

    @property
    def _idle(self) -> int:
        """Of the decode set, those that have ended and are computed for nothing."""
        return len(self._static.ended) if self._static else 0

    def _measure(self, batch: Batch, rows: int, context: int) -> int:
        """What computing ``batch`` takes, if of it ``rows`` decode that attend to ``context`` tokens."""
        usage, cost = self.usage, self.cost
        tokens = padding = sampled = ticks = 0
        for chunk in batch.chunks:
            ticks += cost.prefill_attention(chunk.tokens + chunk.padding, chunk.start)
            tokens += chunk.tokens
            padding += chunk.padding
            sampled += chunk.last
        usage.prefill_tokens += tokens
        usage.padding_tokens += padding
        if not batch.decodes:
            return ticks + cost.linear(tokens + padding, sampled)
        ticks += cost.decode_attention(rows, context).ticks
        return ticks + cost.linear(tokens + padding + rows, sampled + rows)

    def _occupy(self, duration: int, rows: int, context: int) -> None:
        """Memory and places are held for so long."""
        usage, scheduler = self.usage, self.scheduler
        manager = scheduler.manager
        owned, stored = manager.blocks - manager.available, context - rows
        for sequence in scheduler.prefilling:
            stored += sequence.stored
        usage.steps += 1
        usage.busy += duration
        usage.sequences_time += (rows + len(scheduler.prefilling)) * duration
        usage.blocks_time += owned * duration
        usage.stored_time += stored * duration
        if manager.extra_owners:
            usage.shared_time += sum(manager.extra_owners.values()) * duration
        if owned > usage.most_blocks:
            usage.most_blocks = owned

    def _give_tokens(self, rows: int) -> None:
        """At ``at`` the decode set has its next tokens: the gaps since those before."""
        usage, joined = self.usage, self._joined
        if self._static is not None:
            usage.padding_tokens += self._idle
            rows -= self._idle
        usage.decode_tokens += rows
        if rows > len(joined):
            usage.gaps.add(self.at - self._last, rows - len(joined))
        if joined:
            for job in joined:
                usage.gaps.add(self.at - job.last_token)
            joined.clear()
        self._last = self.at

    # Those who go and come back

    def _note_preempted(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.stepping:
                job.stepping = False
                if job in self._joined:
                    del self._joined[job]
                else:
                    job.last_token = self._last

    def _move(self, batch: Batch) -> int:
        """KV goes to host memory and comes back; what was prefilled elsewhere has been paid for."""
        moved = 0
        for move in batch.moves:
            assert not isinstance(move, Copy), "a job does not fork"
            job = cast("Job", move.sequence)
            if job.preemptions:
                moved += len(move.blocks) * self.scheduler.manager.block_size
            if isinstance(move, SwapIn):
                self._join(job)
        self.usage.swapped_tokens += moved
        return self.cost.swap(moved) if moved else 0

    def _join(self, job: Job) -> None:
        """It decodes from the next step on, until it has all its tokens."""
        job.stepping = True
        if job.last_token != self._last:
            self._joined[job] = None
        heapq.heappush(self._ends, (self.scheduler.decoding.clock + job.remaining, job.id, job))

    # A step ends

    def _complete(self) -> list[Job]:
        """Tokens are handed out; those who have all theirs end."""
        self.now, self.busy = self.at, False
        batch, scheduler = self._batch, self.scheduler
        started: list[Job] = scheduler.complete(batch)  # type: ignore[assignment]  # a replica has jobs only
        ended: list[Job] = []
        for job in started:
            self._hand_first(job)
            if job.remaining > 0:
                self._join(job)
            else:
                ended.append(job)
        if self._log is not None:
            self._tell(batch, started)
        ends, clock = self._ends, scheduler.decoding.clock
        while ends and ends[0][0] <= clock:
            job = heapq.heappop(ends)[-1]
            # One that was preempted on its way is found again under a later clock.
            if job.stepping and job.remaining <= 0:
                job.stepping = False
                ended.append(job)
        for job in ended:
            scheduler.finish(job, self.now / PER_SECOND)
            self._same = False
        return ended

    def _hand_first(self, job: Job) -> None:
        """Its prefill has given it a token: its first one, or the next after a preemption."""
        if job.generated > 1:
            self.usage.gaps.add(self.now - job.last_token)
        else:
            job.first_token, job.first_token_s = self.now, self.now / PER_SECOND
            self.usage.prompt_tokens += job.prompt
            self.usage.cached_tokens += job.cached
        job.last_token = self.now

    def _tell(self, batch: Batch, started: list[Job]) -> None:
        assert self._log is not None
        begin, rows = self._step
        tokens = sum(row.tokens for row in rows)
        self._log.add(EventKind.STEP, start_s=begin / PER_SECOND, rows=rows, tokens=tokens)
        speaking = [job.id for job in started] + [row.sequence for row in rows if row.phase == "decode"]
        for sequence in speaking:
            self._log.add(EventKind.TOKEN, sequence, tokens=NO_ID)

    def _wakes(self) -> int:
        """When a static batch starts that waits for company."""
        if self._static is None or math.isinf(at_s := self._static.starts_s()):
            return NEVER
        at = ticks(at_s)
        while at / PER_SECOND < at_s:  # rounded down, it would find nothing to do
            at += 1
        return at


def starts(first: int, rise: int, room: int) -> int:
    """How many steps that take ``first``, ``first + rise`` and so on start in less than ``room`` ticks.

    ``k`` steps take ``k first + k (k - 1) / 2 rise``; the largest ``k`` for which that is below ``room``, and
    one more, which starts then.
    """
    if room <= 0:
        return 0
    if not rise:
        return (room - 1) // first + 1
    middle = 2 * first - rise
    return (math.isqrt(middle * middle + 8 * rise * (room - 1)) - middle) // (2 * rise) + 1
