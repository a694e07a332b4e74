"""The whole engine on a trace of mixed lengths, beside transformers' ``generate`` on static padded batches.

Both compute the same weights in FP32, the same prompts, and as many tokens as each request asks for; a
padded batch goes on until its longest answer ends, and only tokens that were asked for count. Each has a
process of its own, whose threads wait as suits it best here and now; they serve in turn, so that a busy
moment meets both. The engine's own work beside the model is a figure of its own.
"""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, median, short, spread
from tests.benchmarks.peer import at_its_best

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.precision import Weights

REQUESTS, PLACES, ROUNDS = 32, 8, 3
PROMPTS, SHORT_ANSWERS, LONG_ANSWER, LONG_SHARE = (24, 160), (4, 20), 64, 0.25
# At most this share of transformers' time: 2.5 times the tokens/s.
SHARE = 1 / 2.5
OVERHEAD_BATCH, OVERHEAD_STEPS, OVERHEAD = 16, 24, 0.05
Lengths = tuple[int, int]


def run() -> Iterator[Figure]:
    from labs.context import Context
    from labs.models.location import locate
    from labs.spec import LabError

    try:
        locate(None)
    except LabError:
        return
    ctx = Context()
    requests = _requests()
    asked = sum(answer for _, answer in requests)
    ours, theirs, waiting = _in_turn(ctx, requests)
    ratio = median([one / other for one, other in zip(ours, theirs, strict=True)])
    what = f"{REQUESTS} requests of mixed lengths, FP32"
    yield Figure("engine.trace", what, asked / median(ours), "tokens/s", None, spread(ours, "s"), tuple(ours))
    yield Figure(
        "engine.trace.ratio",
        f"{what}: time, of padded batches of {PLACES}",
        ratio,
        "x",
        SHARE,
        f"{short(1 / ratio)} times the tokens/s; transformers: {short(asked / median(theirs))} tokens/s, "
        f"{spread(theirs, 's')}, threads waiting: {waiting}",
    )
    yield from _overhead(ctx)


def _in_turn(ctx: Context, requests: list[Lengths]) -> tuple[list[float], list[float], str]:
    """Seconds of the engine and of transformers for the trace, by round, and how the latter waits."""
    command = [sys.executable, "-m", "tests.benchmarks.transformers_peer", "fp32"]
    peer = at_its_best(command, f"decode {PLACES} 64 4")
    lengths = " ".join(f"{prompt}:{answer}" for prompt, answer in requests)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_engine_s(ctx, requests, "fp32"))
        theirs.append(peer.ask(f"padded {PLACES} {lengths}"))
    peer.close()
    return ours, theirs, peer.waiting


def _requests() -> list[Lengths]:
    """A quarter of the answers is long, as of a chat; seeded, so that every run serves the same."""
    draw = random.Random(11)
    return [
        (
            draw.randint(*PROMPTS),
            LONG_ANSWER if draw.random() < LONG_SHARE else draw.randint(*SHORT_ANSWERS),
        )
        for _ in range(REQUESTS)
    ]


def prompt(length: int) -> list[int]:
    return [100 + position % 1000 for position in range(length)]


def _engine_s(ctx: Context, requests: list[Lengths], weights: Weights) -> float:
    from labs.engine.sampling import SamplingParams
    from labs.engine.serving import Setting, make_engine

    engine = make_engine(ctx, Setting(weights=weights, most_sequences=PLACES), record=False)
    engine.add(prompt(40), SamplingParams(max_tokens=3, ignore_eos=True))
    list(engine.run())  # fresh memory is touched for the first time
    begin = time.perf_counter()
    for length, answer in requests:
        engine.add(prompt(length), SamplingParams(max_tokens=answer, ignore_eos=True))
    list(engine.run())
    seconds = time.perf_counter() - begin
    said = sum(len(answer.tokens) for one in engine.generations[1:] for answer in one.answers)
    assert said == sum(answer for _, answer in requests)
    return seconds


def _overhead(ctx: Context) -> Iterator[Figure]:
    """Scheduling, block tables and bookkeeping: what is not the model, of a step at batch 16."""
    from labs.engine.sampling import SamplingParams
    from labs.engine.serving import Setting, make_engine

    engine = make_engine(ctx, Setting(weights="fp32", most_sequences=OVERHEAD_BATCH), record=False)
    for _ in range(OVERHEAD_BATCH):
        engine.add(prompt(32), SamplingParams(max_tokens=OVERHEAD_STEPS, ignore_eos=True))
    steps = [
        step for step in engine.run() if not step.prefill_tokens and step.decode_tokens == OVERHEAD_BATCH
    ]
    shares = [
        (step.schedule_s + step.sample_s) / (step.schedule_s + step.model_s + step.sample_s) for step in steps
    ]
    scheduling = [1e6 * step.schedule_s for step in steps]
    remark = (
        f"choosing and keeping tokens included; scheduling alone {short(median(scheduling))} us; "
        f"{spread([100 * share for share in shares], '%')}"
    )
    yield Figure(
        "engine.overhead",
        f"engine's own share of a step at batch {OVERHEAD_BATCH}",
        median(shares),
        "x",
        OVERHEAD,
        remark,
    )
