"""The simulator, calibrated on this machine's engine in under a minute, beside the engine's run of a trace.

The trace is served by the real model in real time, then simulated with the same arrivals and lengths. What
other processes take between the calibration and the run counts as error.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, short

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = 15.0
CALIBRATION_S = 60.0
REQUESTS, RATE_PER_S, SEED = 24, 1.2, 11


def run() -> Iterator[Figure]:
    from labs.context import Context
    from labs.engine.sampling import SamplingParams
    from labs.engine.serving import Arrival, Setting, make_engine, make_scheduler, serve
    from labs.formulas.serving import tpot, ttft
    from labs.models.location import locate
    from labs.simulator.calibrate import CHUNKS, calibrate
    from labs.simulator.replica import Replica
    from labs.simulator.report import report
    from labs.simulator.simulator import Simulator
    from labs.simulator.table_cost import TableCost
    from labs.simulator.traces import Request
    from labs.simulator.workloads import OpenLoop, poisson_arrivals
    from labs.spec import LabError

    try:
        locate(None)
    except LabError:
        return  # without the model there is nothing to calibrate on
    ctx = Context()
    setting = Setting(blocks=512, most_sequences=8, token_budget=max(CHUNKS))
    engine = make_engine(ctx, setting, record=False)

    def params(limit: int) -> SamplingParams:
        return SamplingParams(max_tokens=limit, ignore_eos=True)

    start = time.perf_counter()
    table = calibrate(engine, lambda prompt, limit: engine.add(prompt, params(limit)))
    taken = time.perf_counter() - start
    yield Figure("fidelity.calibration", "calibration on the engine", taken, "s", CALIBRATION_S)

    chance, arrivals = random.Random(SEED), poisson_arrivals(RATE_PER_S, SEED)
    requests = [
        Request(next(arrivals), chance.randint(20, 400), chance.randint(8, 64)) for _ in range(REQUESTS)
    ]
    engine = make_engine(ctx, setting, record=False)
    coming = [
        Arrival(
            one.arrival_s,
            [chance.randrange(1000) for _ in range(one.input_tokens)],
            params(one.output_tokens),
        )
        for one in requests
    ]
    for _ in serve(ctx, engine, coming):
        pass
    generations = engine.generations
    times = [one.token_times_s[one.root] for one in generations]
    arrived = [one.root.arrival_s for one in generations]
    measured = {
        "TTFT": sum(ttft(at, each) for at, each in zip(arrived, times, strict=True)) / REQUESTS,
        "TPOT": sum(tpot(each) or 0.0 for each in times) / REQUESTS,
        "throughput": sum(map(len, times)) / (max(each[-1] for each in times) - min(arrived)),
    }
    replica = Replica(make_scheduler(setting, None), TableCost(table))
    figures = report(Simulator([replica], OpenLoop(requests)).run(), [replica])
    simulated = {
        "TTFT": figures.ttft.mean,
        "TPOT": figures.tpot.mean,
        "throughput": figures.output_tokens_per_s,
    }
    for name, value in measured.items():
        error = 100 * (simulated[name] / value - 1)
        yield Figure(
            f"fidelity.{name.lower()}",
            f"error of {name} simulated on a calibrated table",
            abs(error),
            "%",
            ERROR,
            f"engine {short(value)}, simulated {short(simulated[name])}",
        )
