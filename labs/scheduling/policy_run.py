"""One order's run over one workload: every request's times, and the figures drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labs.engine.events import EventKind, EventLog
from labs.formulas import serving
from labs.scheduling.orders import make_policy
from labs.scheduling.workload import URGENT
from labs.simulator.report import Report, report
from labs.simulator.simulator import Simulator
from labs.simulator.workloads import OpenLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labs.results import Array
    from labs.scheduling.orders import Knobs, Order
    from labs.scheduling.server import Server
    from labs.scheduling.workload import Workload
    from labs.simulator.job import Job
    from labs.simulator.traces import Request


class Decision(NamedTuple):
    """``kind`` is admit, preempt or resume."""

    time_s: float
    sequence: int
    kind: EventKind


@dataclass(frozen=True)
class PolicyRun:
    """Arrays have an entry a request, in the order of arrival; times are s. ``alone_s`` is what a request
    takes on an idle server; ``idle_s`` is all that it waited, before its admission and while preempted."""

    order: Order
    requests: Sequence[Request]
    admitted_s: Array
    first_s: Array
    end_s: Array
    preempted: Array
    alone_s: Array
    kept: Array
    idle_s: Array
    decisions: list[Decision]
    figures: Report

    @property
    def arrival_s(self) -> Array:
        return np.array([one.arrival_s for one in self.requests])

    @property
    def wait_s(self) -> Array:
        """Before it was first admitted."""
        return self.admitted_s - self.arrival_s

    @property
    def ttft_s(self) -> Array:
        return self.first_s - self.arrival_s

    @property
    def latency_s(self) -> Array:
        return self.end_s - self.arrival_s

    @property
    def tpot_s(self) -> Array:
        """NaN for an answer of one token."""
        gaps = np.array([one.output_tokens - 1.0 for one in self.requests])
        return np.where(gaps > 0, (self.end_s - self.first_s) / np.maximum(gaps, 1), np.nan)

    @property
    def slowdown(self) -> Array:
        """How many times longer than alone."""
        return self.latency_s / self.alone_s

    @property
    def attainment(self) -> float:
        return float(self.kept.mean())

    @property
    def goodput_per_s(self) -> float:
        return float(self.kept.sum()) / self.figures.duration_s

    def of_users(self, users: Sequence[str]) -> Array:
        """Which requests are theirs."""
        return np.array([one.user in users for one in self.requests])

    @property
    def urgent(self) -> Array:
        return np.array([one.priority == URGENT for one in self.requests])


class DecisionLog(EventLog):
    """Keeps only who is admitted and preempted when: a log of all would be a hundred times as long."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.decisions: list[Decision] = []

    def add(self, kind: EventKind, sequence: int = -1, *args: Any, **fields: Any) -> None:
        if kind in (EventKind.ADMIT, EventKind.PREEMPT, EventKind.RESUME):
            self.decisions.append(Decision(self.clock(), sequence, kind))


@dataclass
class _Ended:
    jobs: dict[int, Job] = field(default_factory=dict)

    def __call__(self, job: Job) -> None:
        self.jobs[job.id] = job


def serve(
    order: Order,
    requests: Sequence[Request],
    alone_s: Array,
    server: Server,
    workload: Workload,
    knobs: Knobs,
    *,
    tpot_s: float,
    predict: Callable[[Request], int],
    check: Callable[[], None] | None = None,
) -> PolicyRun:
    """Requests as of ``workload``, all served to the end. ``predict`` is asked by SJF only."""
    log = DecisionLog(lambda: replica.now_s())
    replica = server.replica(make_policy(order, knobs), log)
    ended = _Ended()
    simulator = Simulator([replica], OpenLoop(requests), predict=predict, ended=ended)
    served = simulator.run(check)
    jobs = [ended.jobs[number] for number in range(len(requests))]
    return PolicyRun(
        order=order,
        requests=requests,
        admitted_s=np.array([job.admitted_s for job in jobs]),
        first_s=np.array([job.first_token_s for job in jobs]),
        end_s=np.array([job.finished_s for job in jobs]),
        preempted=np.array([job.preemptions for job in jobs]),
        alone_s=alone_s,
        kept=np.array([_kept(job, workload, tpot_s) for job in jobs]),
        idle_s=_idle(requests, log.decisions),
        decisions=log.decisions,
        figures=report(served, [replica]),
    )


def _kept(job: Job, workload: Workload, tpot_slo_s: float) -> bool:
    assert job.request is not None
    gaps = job.generated - 1
    tpot_s = (job.finished_s - job.first_token_s) / gaps if gaps else None
    objective_s = workload.objective_s(job.request.priority)
    return serving.meets_slo(job.first_token_s - job.arrival_s, tpot_s, objective_s, tpot_slo_s)


def _idle(requests: Sequence[Request], decisions: Sequence[Decision]) -> Array:
    """From arrival to admission, and from each preemption to the return."""
    idle, since = np.zeros(len(requests)), [one.arrival_s for one in requests]
    for time_s, sequence, kind in decisions:
        if kind is EventKind.PREEMPT:
            since[sequence] = time_s
        else:
            idle[sequence] += time_s - since[sequence]
    return idle
