"""The visualiser's run: results as the engine goes, all once more at its end, then tokens without a cache."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from labs.engine import replay
from labs.engine.model_runner import ModelRunner
from labs.kv_cache import figures, views
from labs.kv_cache.explanation import explanation
from labs.kv_cache.geometry import recomputed_flops
from labs.kv_cache.measured_run import MeasuredRun
from labs.kv_cache.token_times import token_times
from labs.results import Metric, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from labs.context import Context
    from labs.engine.engine import Engine
    from labs.engine.serving import Setting
    from labs.kv_cache.scenario import Scenario
    from labs.kv_cache.token_times import TokenTime
    from labs.results import Result

LOOK_S = 0.5  # between two looks at a run that goes on
_BLOCK = 16  # of the store in which tokens are timed
_MEASURED = Provenance.MEASURED


def serve(
    ctx: Context, engine: Engine, setting: Setting, scenario: Scenario
) -> Generator[Result, None, MeasuredRun]:
    """Yields everything that is replayed, now and then while it grows and at the end; returns the run."""
    if setting.reserved:
        scenario = scenario.without_forks()
    looked, most = time.monotonic(), scenario.most_steps
    for step, _ in enumerate(scenario.run(ctx, engine), start=1):
        ctx.progress(min(1.0, step / most), Text(zh=f"引擎第 {step} 步", en=f"step {step} of the engine"))
        if time.monotonic() - looked > LOOK_S:
            yield from _look(MeasuredRun(engine, setting, scenario), ended=False)
            looked = time.monotonic()
    run = MeasuredRun(engine, setting, scenario)
    yield from _look(run, ended=True)
    yield views.allocations(run)
    return run


def without_cache(ctx: Context, run: MeasuredRun, longest: int) -> Iterator[Result]:
    """Time tokens both ways up to ``longest`` (0: not at all), and explain the whole run."""
    times: list[TokenTime] = []
    if longest:
        runner = ModelRunner(
            ctx.model().model,
            blocks=-(-longest // _BLOCK),
            block_size=_BLOCK,
            kv=run.setting.kv,
            device=ctx.device,
        )
        for one in token_times(ctx, runner, run.scenario.prompts[0], longest):
            times.append(one)
            yield views.token_curves(times)
        if len(times) > 1:
            yield _gain(run, times)
    yield explanation(run, times)


def _gain(run: MeasuredRun, times: list[TokenTime]) -> Metric:
    last, before = times[-1], times[-2]
    grown = recomputed_flops(run.config, last.length) / recomputed_flops(run.config, before.length)
    return Metric(
        id="cache_gain",
        title=Text(zh="缓存让一个 token 快几倍", en="A token is faster with the cache"),
        provenance=_MEASURED,
        unit="×",
        value=last.recomputed_s / last.cached_s,
        predicted=grown * before.recomputed_s / before.cached_s,
        formula=Text(
            zh=f"由长 {before.length} 的实测外推：不用缓存按计算量涨 {grown:.2f} 倍，用缓存不变",
            en=f"from what {before.length} tokens took: without the cache {grown:.2f} times as long, by its "
            "FLOPs; with it no longer",
        ),
        better="higher",
        help=Text(
            zh=f"文本长 {last.length} 时的时间之比。两种算法的 logits 最多差 {last.difference:.1e}。",
            en=f"Ratio of times with {last.length} tokens of text. The logits of both ways differ by "
            f"{last.difference:.1e} at most.",
        ),
    )


def _look(run: MeasuredRun, *, ended: bool) -> Iterator[Result]:
    yield from figures.byte_figures(run)
    yield figures.peak_figure(run)
    yield figures.waste_figure(run)
    yield from figures.sharing_figures(run)
    yield figures.speed_figure(run)
    yield from _pictures(run, ended=ended)


def _pictures(run: MeasuredRun, *, ended: bool) -> Iterator[Result]:
    recording, tokenizer = run.recording, run.engine.tokenizer
    yield replay.trace(recording, _MEASURED, tokenizer, _place(run) if ended else None)
    yield replay.block_map(
        recording,
        run.setting.blocks,
        _MEASURED,
        Text(zh="物理块归谁", en="Who holds each physical block"),
        Text(
            zh="一格是一块，颜色是序列，填色多少是装了几成；角标是被几条序列共用。灰色斜纹是无主的缓存块。",
            en="A cell is a block, its colour the sequence, its fill the tokens in it; a count says how many "
            "share "
            "it. Hatched grey: cached, without an owner.",
        ),
    )
    yield views.occupancy(run)
    yield views.waste(run)
    yield replay.timeline(recording, _MEASURED)
    yield replay.spoken(recording, _MEASURED, tokenizer, run.inherited())


def _place(run: MeasuredRun) -> int:
    """Where the run shows what it is about: memory runs out, a block is copied, or most is held."""
    usage = run.usage
    for event in (usage.first_preemption, usage.first_copy):
        if event is not None:
            return event
    return usage.peak.event
