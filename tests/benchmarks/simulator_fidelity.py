"""The simulator, calibrated on this machine's engine in under a minute, beside the engine's run of a trace.

What other processes take between the calibration and the run counts as error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, short

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = 15.0
CALIBRATION_S = 60.0
REQUESTS, RATE_PER_S, SEED, PLACES, REPEATS = 24, 1.2, 11, 8, 3


def run() -> Iterator[Figure]:
    from labs.context import Context
    from labs.models.location import locate
    from labs.simulator.own_engine import calibrated, fresh_requests, served, setting_for, simulated
    from labs.simulator.own_engine_views import errors
    from labs.spec import LabError

    try:
        locate(None)
    except LabError:
        return  # without the model there is nothing to calibrate on
    ctx = Context()
    setting = setting_for("int8", PLACES)
    table, taken_s = calibrated(ctx, setting, REPEATS)
    yield Figure("fidelity.calibration", "calibration on the engine", taken_s, "s", CALIBRATION_S)
    requests = fresh_requests(REQUESTS, RATE_PER_S, SEED)
    *_, engine = served(ctx, setting, requests)
    assert not isinstance(engine, float)
    ours = simulated(setting, table, requests)
    values = {
        "TTFT": (engine.ttft_s, ours.ttft_s),
        "TPOT": (engine.tpot_s, ours.tpot_s),
        "throughput": (engine.tokens_per_s, ours.tokens_per_s),
    }
    for name, error in errors(engine, ours).items():
        measured, told = values[name]
        yield Figure(
            f"fidelity.{name.lower()}",
            f"error of {name} simulated on a calibrated table",
            abs(100 * error),
            "%",
            ERROR,
            f"engine {short(measured)}, simulated {short(told)}",
        )
