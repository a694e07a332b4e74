"""The race in the simulator: as a rehearsal of the engine's, and at a scale that no laptop serves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.batching.run import read_run
from labs.batching.strategies import BATCHING
from labs.engine.events import EventLog
from labs.engine.serving import make_scheduler
from labs.simulator.constants import constants
from labs.simulator.cost import RooflineCost
from labs.simulator.deployment import Deployment
from labs.simulator.disaggregation import DisaggregatedSimulator
from labs.simulator.hardware import device
from labs.simulator.line_cost import LineCost, fit_line
from labs.simulator.models import model
from labs.simulator.replica import Replica
from labs.simulator.report import report
from labs.simulator.simulator import Simulator
from labs.simulator.workloads import OpenLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labs.batching.run import Run
    from labs.batching.strategies import Strategy
    from labs.engine.serving import Batching, Setting
    from labs.simulator.job import Job
    from labs.simulator.report import Report
    from labs.simulator.traces import Request

SCALE_STRATEGIES: tuple[Strategy, ...] = ("static", "dynamic", "continuous", "chunked", "disaggregated")
SCALE_PROMPT, SCALE_ANSWER = 1024, 512  # the longest, in tokens
SCALE_MODEL, SCALE_DEVICE, SCALE_DEVICES = "llama-3.1-8b", "a100-80gb-sxm", 2
SCALE_CONSTANTS = constants("kernels", SCALE_DEVICE)  # what the host adds to a step is left out


# Before the engine's own steps are known.
GUESSED = LineCost(step_s=0.008, token_s=0.0015)


def fitted_cost(runs: Sequence[Run]) -> LineCost:
    """Of the measured steps; all their rows are tokens, those computed for nothing too."""
    steps = [step for run in runs for step in run.steps]
    tokens = np.array([step.prefill + step.decode + step.padding for step in steps], dtype=float)
    found = fit_line(tokens, np.zeros(len(steps)), np.array([step.seconds for step in steps]))
    return found._replace(step_s=max(1e-4, found.step_s))


def rehearse(strategy: Strategy, requests: Sequence[Request], setting: Setting, cost: LineCost) -> Run:
    """What the engine would do, were its steps to take what ``cost`` says."""
    log = EventLog(lambda: replica.now_s())
    replica = Replica(make_scheduler(replace(setting, batching=BATCHING[strategy]), log), cost, log)
    Simulator([replica], OpenLoop(requests)).run()
    return read_run(strategy, requests, log.events, setting.block_size)


class Life(NamedTuple):
    """When a request came, was admitted, had its first token and its last, and gave its place up. In s."""

    arrival_s: float
    admitted_s: float
    first_s: float
    end_s: float
    released_s: float
    tokens: int


@dataclass(frozen=True)
class ScaleRun:
    """``lives`` in order of arrival."""

    strategy: Strategy
    report: Report
    lives: list[Life]


def at_scale(
    strategy: Strategy,
    requests: Sequence[Request],
    setting: Setting,
    check: Callable[[], None],
) -> ScaleRun:
    """Two A100s with a replica each or, disaggregated, one that prefills and one that decodes."""
    deployment = Deployment(model=model(SCALE_MODEL), device=device(SCALE_DEVICE))
    cost = RooflineCost(deployment, SCALE_CONSTANTS)
    setting = replace(setting, blocks=deployment.kv_blocks(setting.block_size))
    jobs: list[Job] = []

    def replica(batching: Batching) -> Replica:
        return Replica(make_scheduler(replace(setting, batching=batching), None), cost)

    source = OpenLoop(requests)
    simulator: Simulator
    if strategy == "disaggregated":
        simulator = DisaggregatedSimulator(
            [replica("continuous")],
            [replica("chunked")],
            source,
            token_bytes=deployment.kv_token_bytes,
            link_bandwidth=deployment.device.link_bandwidth,
            ended=jobs.append,
        )
    else:
        replicas = [replica(BATCHING[strategy]) for _ in range(SCALE_DEVICES)]
        simulator = Simulator(replicas, source, ended=jobs.append)
    served = simulator.run(check)
    together = strategy in ("static", "dynamic")
    return ScaleRun(strategy, report(served, simulator.replicas), _lives(jobs, together))


def _lives(jobs: list[Job], together: bool) -> list[Life]:
    """``together``: those admitted at one moment are a batch, and keep their places until its last end."""
    released: dict[float, float] = {}
    for job in jobs:
        released[job.admitted_s] = max(released.get(job.admitted_s, 0.0), job.finished_s)
    return [
        Life(
            job.arrival_s,
            max(job.admitted_s, job.arrival_s),  # simulated time is in whole picoseconds
            job.first_token_s,
            job.finished_s,
            released[job.admitted_s] if together else job.finished_s,
            job.limit,
        )
        for job in sorted(jobs, key=lambda job: job.id)
    ]
