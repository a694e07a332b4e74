"""The whole engine on a trace of mixed lengths, beside transformers' ``generate`` on static padded batches.

Both compute the same weights in FP32, the same prompts, and as many tokens as each request asks for; a
padded batch goes on until its longest answer ends, and only tokens that were asked for count. The engine's
own work beside the model is a figure of its own.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from tests.benchmarks.figures import Figure, median, short, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.precision import Weights

REQUESTS, PLACES = 32, 8
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
    ours_s = _engine_s(ctx, requests, "fp32")
    theirs_s = _transformers_s(ctx, requests)
    remark = (
        f"{short(theirs_s / ours_s)} times the tokens/s; transformers: {short(asked / theirs_s)} tokens/s"
    )
    what = f"{REQUESTS} requests of mixed lengths, FP32"
    yield Figure("engine.trace", what, asked / ours_s, "tokens/s")
    yield Figure(
        "engine.trace.ratio",
        f"{what}: time, of padded batches of {PLACES}",
        ours_s / theirs_s,
        "x",
        SHARE,
        remark,
    )
    yield from _overhead(ctx)


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


def _prompt(length: int) -> list[int]:
    return [100 + position % 1000 for position in range(length)]


def _engine_s(ctx: Context, requests: list[Lengths], weights: Weights) -> float:
    from labs.engine.sampling import SamplingParams
    from labs.engine.serving import Setting, make_engine

    engine = make_engine(ctx, Setting(weights=weights, most_sequences=PLACES), record=False)
    engine.add(_prompt(40), SamplingParams(max_tokens=3, ignore_eos=True))
    list(engine.run())  # fresh memory is touched for the first time
    begin = time.perf_counter()
    for prompt, answer in requests:
        engine.add(_prompt(prompt), SamplingParams(max_tokens=answer, ignore_eos=True))
    list(engine.run())
    seconds = time.perf_counter() - begin
    said = sum(len(answer.tokens) for one in engine.generations[1:] for answer in one.answers)
    assert said == sum(answer for _, answer in requests)
    return seconds


def _transformers_s(ctx: Context, requests: list[Lengths]) -> float:
    """Batches in order of arrival, padded on the left as decoder-only models must be."""
    import torch

    from tests.labs.models.test_llama import transformers_twin

    model: Any = transformers_twin(ctx.model())
    model.generation_config.pad_token_id = 0
    model.generation_config.eos_token_id = None

    def generate(batch: list[Lengths]) -> None:
        longest, new = max(prompt for prompt, _ in batch), max(answer for _, answer in batch)
        ids, mask = torch.zeros(len(batch), longest, dtype=torch.long), torch.zeros(len(batch), longest)
        for row, (prompt, _) in enumerate(batch):
            ids[row, -prompt:], mask[row, -prompt:] = torch.tensor(_prompt(prompt)), 1
        out = model.generate(ids, attention_mask=mask.long(), max_new_tokens=new, do_sample=False)
        assert out.shape[1] == longest + new

    with torch.inference_mode():
        generate([(40, 3)])
        begin = time.perf_counter()
        for start in range(0, len(requests), PLACES):
            generate(requests[start : start + PLACES])
        return time.perf_counter() - begin


def _overhead(ctx: Context) -> Iterator[Figure]:
    """Scheduling, block tables and bookkeeping: what is not the model, of a step at batch 16."""
    from labs.engine.sampling import SamplingParams
    from labs.engine.serving import Setting, make_engine

    engine = make_engine(ctx, Setting(weights="fp32", most_sequences=OVERHEAD_BATCH), record=False)
    for _ in range(OVERHEAD_BATCH):
        engine.add(_prompt(32), SamplingParams(max_tokens=OVERHEAD_STEPS, ignore_eos=True))
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
