"""The granularity lab's perplexity sweep, beside the plain forward passes that it contains.

The lab's own sweep runs in this process, as far as its first points. After each of them one plain pass over
the same tokens is timed, so that a busy moment of the machine meets both.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, median, short, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

RATIO = 1.3
WINDOWS = 1
# Four bit widths at three granularities; the other nine points cost as much each.
POINTS = 12


def run() -> Iterator[Figure]:
    from labs.context import Context
    from labs.models.location import locate
    from labs.models.perplexity import perplexity
    from labs.models.texts import load_text
    from labs.quantization.config import QuantizerConfig
    from labs.quantization.granularity_model import sweep
    from labs.quantization.perplexity import EVALUATION_TEXT, WINDOW, baseline
    from labs.spec import LabError

    try:
        locate(None)
    except LabError:
        return  # without the model the lab cannot run either, and says so itself
    ctx = Context()
    loaded = ctx.model()
    ids = loaded.tokenizer.encode(load_text(EVALUATION_TEXT))
    baseline(ctx, WINDOWS)  # the sweep finds it memoised, as after the lab's own baseline
    points_s, plain_s = [], []
    curves = sweep(ctx, QuantizerConfig(), WINDOWS)
    for _ in range(POINTS):
        start = time.perf_counter()
        next(curves)
        points_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        perplexity(loaded.model, ids, window=WINDOW, windows=WINDOWS)
        plain_s.append(time.perf_counter() - start)
    ratio = sum(points_s) / sum(plain_s)
    remark = (
        f"{len(points_s)} points: {short(sum(points_s))} s against {short(sum(plain_s))} s of plain passes; "
        f"by medians {short(median(points_s) / median(plain_s))} x"
    )
    yield Figure("sweep.ratio", "perplexity sweep, of its plain forward passes", ratio, "x", RATIO, remark)
    yield _seconds("sweep.point", "a point of the sweep", points_s)
    yield _seconds("sweep.pass", "a plain forward pass", plain_s)


def _seconds(name: str, what: str, samples_s: list[float]) -> Figure:
    return Figure(name, what, median(samples_s), "s", None, spread(samples_s, "s"), tuple(samples_s))
