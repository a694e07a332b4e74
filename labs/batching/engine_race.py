"""The engine serves the same requests once with each way of batching, in real time, one after the other."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from labs.batching.run import read_run
from labs.batching.strategies import BATCHING, TITLES
from labs.engine.engine import Engine
from labs.engine.events import EventLog
from labs.engine.sampling import SamplingParams
from labs.engine.serving import Arrival, Setting, make_engine, make_scheduler, serve
from labs.models.texts import load_text
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.batching.run import Run
    from labs.batching.strategies import Strategy
    from labs.context import Context
    from labs.engine.model_runner import ModelRunner
    from labs.simulator.traces import Request

# The window draws what the last strategy did; on a machine with few cores the next one would be slowed by it.
_DRAWING_S = 0.25


def race(
    ctx: Context, strategies: Sequence[Strategy], requests: Sequence[Request], setting: Setting
) -> Iterator[Run]:
    """A run a strategy, times from its own start. Greedy, and as long as the request says.

    All share one runner, whose KV cache each overwrites: the weights are packed once.
    """
    ctx.progress(0.0, Text(zh="打包权重", en="Packing the weights"))
    runner = make_engine(ctx, setting, record=False).runner
    arrivals = _arrivals(ctx, requests)
    _warm_up(ctx, runner, setting, arrivals[0].prompt)
    for index, strategy in enumerate(strategies):
        if index:
            time.sleep(_DRAWING_S)
        own = replace(setting, batching=BATCHING[strategy])
        yield _run(ctx, strategy, runner, own, requests, arrivals, (index, len(strategies)))


def _run(
    ctx: Context,
    strategy: Strategy,
    runner: ModelRunner,
    setting: Setting,
    requests: Sequence[Request],
    arrivals: Sequence[Arrival],
    place: tuple[int, int],
) -> Run:
    clock = _Clock()
    log = EventLog(clock)
    engine = Engine(runner, make_scheduler(setting, log), ctx.model().tokenizer, (), log, clock)
    number, count = place
    tokens, said = sum(one.output_tokens for one in requests), 0
    for record, _ in serve(ctx, engine, arrivals):
        said += record.decode_tokens if record else 0
        ctx.progress((number + min(1.0, said / tokens)) / count, TITLES[strategy])
    return read_run(strategy, requests, log.events, setting.block_size)


def _warm_up(ctx: Context, runner: ModelRunner, setting: Setting, prompt: list[int]) -> None:
    """The first steps of a process touch fresh memory: no strategy shall pay for them."""
    engine = Engine(runner, make_scheduler(setting, None), ctx.model().tokenizer)
    for _ in range(setting.most_sequences):
        engine.add(prompt, SamplingParams(max_tokens=3, ignore_eos=True))
    for _ in engine.run():
        ctx.check()


def _arrivals(ctx: Context, requests: Sequence[Request]) -> list[Arrival]:
    """Prompts are stretches of the evaluation text, each from another place."""
    ids = ctx.memo("race prompts", lambda: ctx.model().tokenizer.encode(load_text("evaluation.en")))
    arrivals = []
    for index, request in enumerate(requests):
        start = 997 * index % max(1, len(ids) - request.input_tokens)
        prompt = ids[start : start + request.input_tokens]
        params = SamplingParams(max_tokens=request.output_tokens, ignore_eos=True)
        arrivals.append(Arrival(request.arrival_s, prompt, params))
    return arrivals


class _Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self._start
