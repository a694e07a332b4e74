"""A discrete-event simulation of serving: requests arrive, replicas step, everything in order of time.

Nothing is kept of a request that has ended but what it adds to the sums, so that a million requests take no
more memory than a thousand.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import math
from typing import TYPE_CHECKING

from labs.engine.static_scheduler import StaticScheduler
from labs.simulator.job import Job, block_keys
from labs.simulator.routing import LeastLoaded
from labs.simulator.served import Objective, Served
from labs.simulator.ticks import NEVER, ticks
from labs.simulator.workloads import OpenLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.simulator.replica import Replica
    from labs.simulator.routing import Router
    from labs.simulator.traces import Request
    from labs.simulator.workloads import Source


class Simulator:
    """``replicas`` serve what ``source`` sends. ``predict`` guesses a request's output tokens for policies
    that go by length; without it they go by the most that it may generate. ``ended`` is told of each job."""

    def __init__(
        self,
        replicas: list[Replica],
        source: Source,
        *,
        router: Router | None = None,
        objective: Objective | None = None,
        predict: Callable[[Request], int] | None = None,
        ended: Callable[[Job], None] | None = None,
    ) -> None:
        self.replicas, self.source = replicas, source
        self.router = router or LeastLoaded()
        self.served = Served(objective or Objective())
        self._predict, self._told = predict, ended
        self._deliveries: list[tuple[int, int, Job]] = []  # jobs that are on their way between replicas
        self._arrival = _tick(source.next_arrival_s)
        # A replica may run ahead to the next arrival, unless what others do can make one earlier.
        self._independent = isinstance(source, OpenLoop)
        self._waits = any(isinstance(one.scheduler, StaticScheduler) for one in replicas)
        self._ids = 0

    def run(self, check: Callable[[], None] | None = None) -> Served:
        """Until all have been served. ``check`` is called now and then, and may raise to stop."""
        moves = 0
        with _without_collector():
            while self._move():
                moves += 1
                if check is not None and moves % 4096 == 0:
                    check()
        return self.served

    def _move(self) -> bool:
        """What happens next; False, if nothing will. At one time steps end first, then requests arrive, then
        steps start."""
        replica = self.replicas[0] if len(self.replicas) == 1 else self._first()
        arrival = self._next_arrival() if self._deliveries else self._arrival
        if arrival < replica.at or (arrival == replica.at and not replica.busy):
            if arrival == NEVER:
                return False
            self._arrive(arrival)
            return True
        for job in replica.advance(self._horizon(replica, arrival)):
            self._end(replica, job)
        return True

    def _first(self) -> Replica:
        return min(self.replicas, key=lambda one: (one.at, not one.busy))

    def _next_arrival(self) -> int:
        return min(self._arrival, self._deliveries[0][0]) if self._deliveries else self._arrival

    def _horizon(self, replica: Replica, arrival: int) -> int:
        if self._independent or len(self.replicas) == 1:
            return arrival
        # A step that starts now can bring an arrival at the next tick at the earliest.
        return min(arrival, *(one.at + (not one.busy) for one in self.replicas if one is not replica))

    def _arrive(self, now: int) -> None:
        if self._deliveries and self._deliveries[0][0] == now:
            self._deliver(heapq.heappop(self._deliveries)[-1], now)
        else:
            job = self._job(self.source.take(), now)
            self._arrival = _tick(self.source.next_arrival_s)
            self.served.arrive(now)
            self._route(job, now)
        self._foresee(now)

    def _route(self, job: Job, now: int) -> None:
        self._choose(job, self.router, self.replicas).add(job, now)

    def _choose(self, job: Job, router: Router, replicas: list[Replica]) -> Replica:
        return replicas[0] if len(replicas) == 1 else router.choose(job, replicas)

    def _deliver(self, job: Job, now: int) -> None:
        raise NotImplementedError

    def _end(self, replica: Replica, job: Job) -> None:
        assert job.request is not None
        # The scheduler tells seconds; those of an admission at once may round to before the arrival.
        admitted = max(job.arrived, ticks(job.admitted_s))
        self.served.end(job.prompt, job.generated, job.arrived, admitted, job.first_token, replica.now)
        if self._told is not None:
            self._told(job)
        if not self._independent:
            self.source.completed(job.request, job.finished_s)
            self._arrival = _tick(self.source.next_arrival_s)
        self._foresee(replica.now)

    def _foresee(self, now: int) -> None:
        """Static batches need not wait where no arrival is in sight."""
        if not self._waits:
            return
        if self._next_arrival() == NEVER:
            for replica in self.replicas:
                replica.expect_no_more(now)
        elif not self._independent:
            for replica in self.replicas:
                replica.expect_more()

    def _job(self, request: Request, now: int) -> Job:
        self._ids += 1
        manager = self.replicas[0].scheduler.manager
        return Job(
            id=self._ids - 1,
            prompt=request.input_tokens,
            limit=request.output_tokens,
            arrival_s=request.arrival_s,
            user=request.user,
            priority=-request.priority,  # here 0 is the most urgent
            deadline_s=math.inf if request.deadline_s is None else request.deadline_s,
            predicted=self._predict(request) if self._predict else 0,
            keys=block_keys(request, manager.block_size) if manager.prefix_cache else [],
            request=request,
            arrived=now,
        )


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """A simulation makes no cycles of references, and looking for some takes a tenth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _tick(time_s: float) -> int:
    return NEVER if math.isinf(time_s) else ticks(time_s)
