"""The simulator against this machine's engine: calibrated on it, then both serve the same fresh trace."""

from __future__ import annotations

import math
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.engine.sampling import SamplingParams
from labs.engine.serving import Arrival, Setting, make_engine, make_scheduler, serve
from labs.formulas import serving
from labs.simulator.calibrate import CHUNKS, calibrate
from labs.simulator.replica import Replica
from labs.simulator.simulator import Simulator
from labs.simulator.table_cost import TableCost
from labs.simulator.traces import Request
from labs.simulator.workloads import OpenLoop, poisson_arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.engine.engine import Engine
    from labs.engine.precision import Weights
    from labs.simulator.job import Job
    from labs.simulator.table_cost import Timed


@dataclass(frozen=True)
class Times:
    """Of one request, in seconds: until its first token, and between its tokens (None: it has one)."""

    ttft_s: float
    tpot_s: float | None
    end_s: float  # since the start


@dataclass(frozen=True)
class Side:
    """What one of both did with the trace, a ``Times`` a request in order of arrival."""

    times: list[Times]
    tokens: int

    @property
    def ttft_s(self) -> float:
        return statistics.fmean(one.ttft_s for one in self.times)

    @property
    def tpot_s(self) -> float:
        gaps = [one.tpot_s for one in self.times if one.tpot_s is not None]
        return statistics.fmean(gaps) if gaps else math.nan

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / max(one.end_s for one in self.times)


def setting_for(weights: Weights, places: int) -> Setting:
    """What the engine and the simulator both run with."""
    return Setting(blocks=512, most_sequences=places, token_budget=max(CHUNKS), weights=weights)


def calibrated(ctx: Context, setting: Setting, repeats: int) -> tuple[list[Timed], float]:
    """The engine's steps timed, and how long that took (s)."""
    engine = make_engine(ctx, setting, record=False)
    start = time.perf_counter()
    table = calibrate(engine, lambda prompt, limit: engine.add(prompt, _params(limit)), ctx.check, repeats)
    return table, time.perf_counter() - start


def fresh_requests(count: int, rate_per_s: float, seed: int) -> list[Request]:
    """Poisson arrivals, prompts of 20 to 400 tokens and answers of 8 to 48, none of which calibration saw."""
    draw, arrivals = random.Random(f"{seed} fidelity"), poisson_arrivals(rate_per_s, seed)
    return [Request(next(arrivals), draw.randint(20, 400), draw.randint(8, 48)) for _ in range(count)]


def served(ctx: Context, setting: Setting, requests: Sequence[Request]) -> Iterator[Side | float]:
    """The real engine in real time: the share of requests answered so far, and at last the ``Side``."""
    engine = make_engine(ctx, setting, record=False)
    draw = random.Random(1)
    coming = [
        Arrival(
            one.arrival_s,
            [draw.randrange(1000) for _ in range(one.input_tokens)],
            _params(one.output_tokens),
        )
        for one in requests
    ]
    start = engine.clock()
    for record, generations in serve(ctx, engine, coming):
        if record is not None:
            yield sum(one.done for one in generations) / len(requests)
    yield _measured(engine, start)


def simulated(setting: Setting, table: Sequence[Timed], requests: Sequence[Request]) -> Side:
    """The same scheduler, settings and trace, with the table in place of the model."""
    jobs: list[Job] = []
    replica = Replica(make_scheduler(setting, None), TableCost(table))
    Simulator([replica], OpenLoop(requests), ended=jobs.append).run()
    jobs.sort(key=lambda job: job.id)
    times = [
        Times(
            job.first_token_s - job.arrival_s,
            (job.finished_s - job.first_token_s) / (job.generated - 1) if job.generated > 1 else None,
            job.finished_s,
        )
        for job in jobs
    ]
    return Side(times, sum(one.output_tokens for one in requests))


def _measured(engine: Engine, start: float) -> Side:
    found = []
    for one in engine.generations:
        times = one.token_times_s[one.root]
        found.append(Times(serving.ttft(one.root.arrival_s, times), serving.tpot(times), times[-1] - start))
    return Side(found, sum(len(one.token_times_s[one.root]) for one in engine.generations))


def _params(limit: int) -> SamplingParams:
    return SamplingParams(max_tokens=limit, ignore_eos=True)
