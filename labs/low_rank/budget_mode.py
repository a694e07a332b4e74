"""One kind of projection in all layers: a rank for each under a budget, and what the model then makes of a
text."""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from labs.caches import copies_beyond_cache, rotate
from labs.formulas.low_rank import (
    factor_parameters,
    low_rank_seconds,
    parameter_break_even,
    product_seconds,
    rank_for_error,
)
from labs.low_rank.allocation import FULL, Choice, allocate, uniform
from labs.low_rank.decomposition import LowRankLinear
from labs.low_rank.layers import decomposition, measured_roofs, weight_of
from labs.low_rank.race import low_rank
from labs.models.llama import linear, replace_linear
from labs.models.perplexity import Perplexity, paired_difference, perplexity
from labs.models.texts import load_text
from labs.results import Axis, Column, Lines, Metric, Provenance, Series, Table, array
from labs.roofline.explanation import prose
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from labs.context import Context
    from labs.formulas.low_rank import Roofs
    from labs.low_rank.layers import Aim
    from labs.measure import Timing
    from labs.results import Result

_Layers = list[tuple[torch.Tensor, ...]]
Goal = Literal["parameters", "time", "error"]
_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_STEP = 8  # ranks differ by: a multiple that matrix units like
_WINDOW, _WINDOWS = 256, 2
_BUDGET_S, _ROUNDS = 0.1, 3
NAMES = {
    "greedy": Text(zh="逐层（贪心）", en="a rank a layer (greedy)"),
    "uniform": Text(zh="统一的秩", en="one rank for all"),
}


@dataclass(frozen=True)
class Setting:
    """``share`` of parameters or seconds to keep, or ``error`` of the outputs allowed; ``rows`` is m."""

    projection: str
    aim: Aim
    goal: Goal
    share: float
    error: float
    rows: int


def run_budget(ctx: Context, setting: Setting) -> Iterator[Result]:
    count = ctx.model_config().layers
    spectra: list[list[float]] = []
    for layer in range(count):
        ctx.progress(0.6 * layer / count, Text(zh=f"分解第 {layer} 层", en=f"decomposing layer {layer}"))
        spectra.append(decomposition(ctx, layer, setting.projection, setting.aim).singular_values)
        yield needed(spectra, setting)
    n, k = weight_of(ctx, 0, setting.projection).shape
    choices = [_choices(ctx, setting, n, k, values) for values in spectra]
    plans = plan(choices, setting)
    yield allotted(plans, n, k)
    yield from figures(plans, n, k)
    ctx.progress(0.65, Text(zh="给全部层计时", en="timing all layers"))
    timings = yield from times(ctx, setting, plans, n, k)
    losses: dict[str, Perplexity] = {"": _baseline(ctx)}
    for step, (name, chosen) in enumerate(plans.items()):
        ctx.progress(
            0.8 + 0.1 * step, Text(zh=f"困惑度：{NAMES[name].zh}", en=f"perplexity: {NAMES[name].en}")
        )
        losses[name] = _perplexity(ctx, setting, chosen)
    yield table(plans, losses, n, k)
    yield from perplexities(losses)
    yield explanation(plans, losses, setting, spectra, n, k, noise_warning(timings))


def _choices(ctx: Context, setting: Setting, n: int, k: int, values: list[float]) -> list[Choice]:
    """Ranks below the break-even in parameters, and the full matrix."""
    energy = math.fsum(value * value for value in values)
    tail, damages = energy, {0: 1.0}
    for rank, value in enumerate(values, 1):
        tail -= value * value
        damages[rank] = max(0.0, tail / energy)
    below = [rank for rank in range(_STEP, len(values), _STEP) if factor_parameters(n, k, rank) < n * k]
    found = [Choice(rank, _cost(ctx, setting, n, k, rank), damages[rank]) for rank in below]
    return [*found, Choice(FULL, _cost(ctx, setting, n, k, FULL), 0.0)]


def _cost(ctx: Context, setting: Setting, n: int, k: int, rank: int) -> float:
    if setting.goal == "time":
        return _seconds(setting.rows, n, k, rank, measured_roofs(ctx))
    return factor_parameters(n, k, rank) if rank else n * k


def _seconds(m: int, n: int, k: int, rank: int, roofs: Roofs) -> float:
    return low_rank_seconds(m, n, k, rank, roofs) if rank else product_seconds(m, n, k, roofs)


def plan(choices: list[list[Choice]], setting: Setting) -> dict[str, list[Choice]]:
    """Both ways at the same cost: where an error is the budget, the uniform rank gets what the greedy
    took."""
    if setting.goal == "error":
        greedy = allocate(choices, damage=len(choices) * setting.error**2)
        return {"greedy": greedy, "uniform": uniform(choices, math.fsum(one.cost for one in greedy))}
    one_rank = uniform(choices, setting.share * math.fsum(layer[-1].cost for layer in choices))
    spent = math.fsum(one.cost for one in one_rank)
    return {"greedy": allocate(choices, budget=spent), "uniform": one_rank}


def needed(spectra: list[list[float]], setting: Setting) -> Lines:
    """What each layer's own singular values ask for, whatever the budget."""
    ranks = [rank_for_error(values, setting.error) for values in spectra]
    return _by_layer(
        "needed",
        Text(
            zh=f"各层误差 ≤ {setting.error:.0%} 要的秩",
            en=f"Rank for {setting.error:.0%} error, layer by layer",
        ),
        {"needed": ranks},
        _MEASURED,
    )


def allotted(plans: dict[str, list[Choice]], n: int, k: int) -> Lines:
    """A layer that stays as it was stands at the rank that costs as much."""
    even = round(parameter_break_even(n, k))
    ranks = {name: [one.rank or even for one in chosen] for name, chosen in plans.items()}
    return _by_layer(
        "ranks",
        Text(zh="每层分到的秩（满秩记作打平的秩）", en="Ranks given (full: the break-even)"),
        ranks,
        _ESTIMATED,
    )


def _by_layer(name: str, title: Text, ranks: dict[str, list[int]], provenance: Provenance) -> Lines:
    return Lines(
        id=name,
        title=title,
        provenance=provenance,
        x=Axis(title=Text(zh="层", en="layer")),
        y=Axis(title=Text(zh="秩", en="rank")),
        series=[
            Series(
                name=NAMES.get(way, Text(zh="要的秩", en="rank needed")),
                x=array(range(len(values))),
                y=array(values),
            )
            for way, values in ranks.items()
        ],
        wide=True,
    )


def _parameters(chosen: Sequence[Choice], n: int, k: int) -> int:
    return sum(factor_parameters(n, k, one.rank) if one.rank else n * k for one in chosen)


def figures(plans: dict[str, list[Choice]], n: int, k: int) -> Iterator[Metric]:
    whole = n * k * len(plans["greedy"])
    for name, chosen in plans.items():
        yield Metric(
            id=f"parameters_{name}",
            title=Text(zh=f"参数，{NAMES[name].zh}", en=f"Parameters, {NAMES[name].en}"),
            provenance=_ESTIMATED,
            unit="%",
            value=100 * _parameters(chosen, n, k) / whole,
            better="lower",
        )


def times(
    ctx: Context, setting: Setting, plans: dict[str, list[Choice]], n: int, k: int
) -> Generator[Metric, None, list[Timing]]:
    """All layers' products one after the other, the weights cold; returns the timings."""
    roofs, x = measured_roofs(ctx), torch.randn(setting.rows, k, device=ctx.device)
    count = len(plans["greedy"])
    ways = {"full": [Choice(FULL, 0, 0)] * count, **plans}
    held = {name: _turns(ctx, chosen, n, k) for name, chosen in ways.items()}
    best: dict[str, Timing] = {}
    for _ in range(_ROUNDS):  # interleaved, so that a neighbour's burst does not hit one way alone
        for name, layers in held.items():
            timing = ctx.measure(functools.partial(_step, x, layers), budget_s=_BUDGET_S)
            if name not in best or timing.low_s < best[name].low_s:
                best[name] = timing
    for name, chosen in ways.items():
        what = NAMES.get(name, Text(zh="不分解", en="not decomposed"))
        yield Metric(
            id=f"time_{name}",
            title=Text(zh=f"{count} 层一步的时间，{what.zh}", en=f"A step of {count} layers, {what.en}"),
            provenance=_MEASURED,
            unit="s",
            value=best[name].low_s,
            predicted=math.fsum(_seconds(setting.rows, n, k, one.rank, roofs) for one in chosen),
            formula=Text(
                zh="各层 max(算力, 带宽) + 空调用 之和", en="sum of max(compute, bandwidth) + empty calls"
            ),
            better="lower",
            source=Text(
                zh=f"FP32，m = {setting.rows}；{_ROUNDS} 轮交错，取最快一轮的 20% 分位",
                en=f"fp32, m = {setting.rows}; 20th percentile of the fastest of {_ROUNDS} interleaved "
                "rounds",
            ),
        )
    return list(best.values())


def _held(ctx: Context, n: int, k: int, rank: int) -> tuple[torch.Tensor, ...]:
    shapes = [(n, k)] if rank == FULL else [(rank, k), (n, rank)]
    return tuple(torch.randn(*shape, device=ctx.device) for shape in shapes)


def _turns(ctx: Context, chosen: Sequence[Choice], n: int, k: int) -> Callable[[], _Layers]:
    """All layers, in copies that take turns: in the model the rest of its weights empties the cache."""
    size = 4 * _parameters(chosen, n, k)
    copies = size * copies_beyond_cache(size, ctx.device)
    ctx.reserve(copies + size, Text(zh="轮换用的权重副本", en="the copies of weights to rotate over"))
    first = [_held(ctx, n, k, one.rank) for one in chosen]
    # Copies: drawing random numbers for each would take longer than the timing.
    return rotate(lambda: [tuple(one.clone() for one in held) for held in first], size, ctx.device)


def _step(x: torch.Tensor, layers: Callable[[], _Layers]) -> None:
    for held in layers():
        _apply(x, held)


def _apply(x: torch.Tensor, held: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return F.linear(x, held[0]) if len(held) == 1 else low_rank(x, *held)


def _baseline(ctx: Context) -> Perplexity:
    return ctx.memo("low-rank baseline perplexity", lambda: _measured(ctx))


def _measured(ctx: Context) -> Perplexity:
    loaded = ctx.model()
    ids = loaded.tokenizer.encode(load_text("evaluation.en"))[: _WINDOW * _WINDOWS]
    return perplexity(loaded.model, ids, _WINDOW, _WINDOWS, on_window=lambda *_: ctx.check())


def _perplexity(ctx: Context, setting: Setting, chosen: Sequence[Choice]) -> Perplexity:
    """The model with its layers decomposed; it gets its own back, whatever happens."""
    model = ctx.model().model
    with contextlib.ExitStack() as stack:
        for layer, one in enumerate(chosen):
            if one.rank == FULL:
                continue
            own = linear(model, layer, setting.projection)
            down, up = decomposition(ctx, layer, setting.projection, setting.aim).factors(one.rank)
            stack.callback(replace_linear, model, layer, setting.projection, own)
            replace_linear(model, layer, setting.projection, LowRankLinear(down, up))
        return _measured(ctx)


def perplexities(losses: dict[str, Perplexity]) -> Iterator[Metric]:
    for name, found in losses.items():
        what = NAMES.get(name, Text(zh="不分解", en="not decomposed"))
        yield Metric(
            id=f"perplexity_{name or 'full'}",
            title=Text(zh=f"困惑度，{what.zh}", en=f"Perplexity, {what.en}"),
            provenance=_MEASURED,
            value=found.value,
            better="lower",
            source=Text(
                zh=f"评测文本的 {_WINDOWS} 个 {_WINDOW} token 窗口",
                en=f"{_WINDOWS} windows of {_WINDOW} tokens",
            ),
        )


def table(plans: dict[str, list[Choice]], losses: dict[str, Perplexity], n: int, k: int) -> Table:
    greedy, same_rank = plans["greedy"], plans["uniform"]
    rows: list[list[Text | float | int | None]] = [
        [
            layer,
            one.rank or Text(zh="满", en="full"),
            100 * (factor_parameters(n, k, one.rank) / (n * k) if one.rank else 1),
            100 * math.sqrt(one.damage),
            other.rank or Text(zh="满", en="full"),
            100 * math.sqrt(other.damage),
        ]
        for layer, (one, other) in enumerate(zip(greedy, same_rank, strict=True))
    ]
    return Table(
        id="layers",
        title=Text(zh="每层", en="Each layer"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="层", en="layer")),
            Column(title=Text(zh="秩（贪心）", en="rank (greedy)")),
            Column(title=Text(zh="参数", en="parameters"), unit="%"),
            Column(title=Text(zh="误差", en="error"), unit="%"),
            Column(title=Text(zh="秩（统一）", en="rank (uniform)")),
            Column(title=Text(zh="误差", en="error"), unit="%"),
        ],
        rows=rows,
        source=Text(
            zh="误差由真实奇异值算出：√(舍去的 σ² ÷ 全部)", en="errors from the real σ: √(discarded / all)"
        ),
    )


def explanation(
    plans: dict[str, list[Choice]],
    losses: dict[str, Perplexity],
    setting: Setting,
    spectra: list[list[float]],
    n: int,
    k: int,
    warning: Text | None,
) -> Result:
    wanted = [rank_for_error(values, setting.error) for values in spectra]
    kept = sum(one.rank == FULL for one in plans["greedy"])
    cut = [one.rank for one in plans["greedy"] if one.rank]
    base, greedy, one_rank = (losses[name].value for name in ("", "greedy", "uniform"))
    gap = paired_difference(losses["uniform"], losses["greedy"])
    clear = abs(gap.mean) > 2 * gap.stderr
    span = f"{min(cut)}–{max(cut)}" if cut else "-"
    least, most = min(wanted), max(wanted)
    shares = [100 * _parameters(plans[name], n, k) / (n * k * len(spectra)) for name in NAMES]
    verdict = (
        Text(zh="分得出高下", en="a clear difference")
        if clear
        else Text(zh="分不出高下", en="no clear difference")
    )
    return prose(
        [
            Text(
                zh=f"**层与层不同。** 同样 {setting.error:.0%} 的误差，最省的层要秩 {least}（第 "
                f"{wanted.index(least)} 层），最费的要 {most}（第 {wanted.index(most)} 层）。贪心让 {kept} 层"
                f"保持原样，其余的秩是 {span}。",
                en=f"**Layers differ.** For the same error of {setting.error:.0%} the easiest takes rank "
                f"{least} "
                f"(layer {wanted.index(least)}), the hardest {most} (layer {wanted.index(most)}). Layers "
                "that "
                f"the greedy plan leaves as they are: {kept}; the others' ranks: {span}.",
            ),
            Text(
                zh=f"**困惑度说了算。** 原模型 {base:.1f}，贪心 {greedy:.1f}（参数 {shares[0]:.0f}%），统一 "
                f"{one_rank:.1f}（{shares[1]:.0f}%）；每 token 损失之差 {gap.mean:+.3f} ± {gap.stderr:.3f}"
                f"（贪心减统一）：{verdict.zh}。贪心最小化的是各层误差之和，而层的误差对最终损失的影响并不一样，"
                "所以最后总要量一遍。",
                en=f"**Perplexity decides.** {base:.1f} before, {greedy:.1f} greedy ({shares[0]:.0f}% of the "
                f"parameters), {one_rank:.1f} uniform ({shares[1]:.0f}%); loss a token differs by "
                f"{gap.mean:+.3f} "
                f"± {gap.stderr:.3f} (greedy less uniform): {verdict.en}. Greedy minimises the sum of "
                "layers' "
                "errors, and an error does not weigh alike in every layer: measure at the end.",
            ),
            *([warning] if warning else []),
        ]
    )
