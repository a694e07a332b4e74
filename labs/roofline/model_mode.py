"""The model under this machine's roofs: roofs, the whole step, its parts, and what a change would buy."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from labs.quantization.threads import threads as limited
from labs.results import Metric, Provenance
from labs.roofline import model_views as views
from labs.roofline.bandwidths import QUICK_S
from labs.roofline.explanation import model_explanation
from labs.roofline.machine import known_machine, measure_machine
from labs.roofline.next_steps import next_steps
from labs.roofline.parts import make_parts, model_as
from labs.roofline.placed import Placed, Roof
from labs.roofline.setting import TITLES, count_of, demands
from labs.roofline.whole import counted_flops, step_call
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from labs.context import Context
    from labs.measure import Timing
    from labs.models.llama import Llama
    from labs.results import Result
    from labs.roofline.machine import Machine
    from labs.roofline.setting import Setting

_BUDGET_S: Final = 0.2
_TRIED_S: Final = 3.0  # a longer step is not tried at twice the batch
_LONGEST_S: Final = 15.0  # that a step may be expected to take


def run_model(ctx: Context, setting: Setting, threads: int, again: bool, quick: bool) -> Iterator[Result]:
    """Formulas at once, then roofs, the step, its parts, and what follows from them."""
    found = views.Found(setting)
    _place(ctx, found, known_machine(ctx, threads))
    if ctx.preview:
        yield from views.metrics(found)
        if found.roof is not None:
            yield views.preview_roofline(found)
        return
    yield from views.metrics(found)
    levels = 0
    for machine in measure_machine(ctx, threads, again=again, quick=quick):
        if len(machine.levels()) != levels:
            levels = len(machine.levels())
            yield views.growing_roofline(found, machine.levels(), machine.peak(setting.precision))
    _place(ctx, found, machine)
    yield views.preview_roofline(found)
    if found.bound_s > _LONGEST_S:
        raise _too_long(found.bound_s)
    with limited(threads), torch.inference_mode():
        model = model_as(ctx, setting.precision)
        budget_s = QUICK_S if quick else _BUDGET_S
        yield from _step(ctx, found, model, budget_s)
        yield from _parts(ctx, found, model, budget_s)
        yield from _next(ctx, found, model, machine, budget_s)


def _place(ctx: Context, found: views.Found, machine: Machine | None) -> None:
    """Parts by formula, under the roofs as far as they are known."""
    config, setting = ctx.model_config(), found.setting
    nothing_known = Roof(float("inf"), float("inf"), 0.0)
    roof = nothing_known
    if machine is not None:
        found.roof = roof = roof_of(machine, setting.precision)
        found.levels = machine.levels()
    found.parts = [
        Placed(name, TITLES[name], demand, roof, count=count_of(config, name))
        for name, demand in demands(config, setting).items()
    ]


def roof_of(machine: Machine, precision: str) -> Roof:
    return Roof(machine.peak(precision), machine.bandwidth, machine.call_s)


def _step(ctx: Context, found: views.Found, model: Llama, budget_s: float) -> Iterator[Result]:
    ctx.progress(0.55, Text(zh="整步计时", en="Timing the whole step"))
    step = step_call(ctx, model, found.setting)
    found.whole = ctx.measure(step, budget_s=2 * budget_s)
    yield _flops(ctx, step, found)
    yield from views.metrics(found)


def _flops(ctx: Context, step: Callable[[], object], found: views.Found) -> Metric:
    """What torch's own counter says; the runner puts the formula's figure beside it."""
    decode = found.setting.phase == "decode"
    return Metric(
        id="flops",
        title=Text(zh="一步矩阵乘的浮点运算", en="FLOPs of a step's matrix products"),
        provenance=Provenance.MEASURED,
        unit="FLOP",
        value=float(counted_flops(step, ctx.device)),
        source=Text(
            zh="torch 的 profiler 在真实的一步里按每个算子的形状数出",
            en="counted by torch's profiler in a real step, operator by operator",
        ),
        help=None
        if decode
        else Text(
            zh="不含注意力：融合的注意力不在 profiler 的计数之内。",
            en="Without attention: the profiler does not count a fused one.",
        ),
    )


def _parts(ctx: Context, found: views.Found, model: Llama, budget_s: float) -> Iterator[Result]:
    parts = make_parts(ctx, model, found.setting)
    for index, part in enumerate(parts):
        ctx.progress(0.6 + 0.3 * index / len(parts), TITLES[part.name])
        timing = ctx.measure(part.call, budget_s=budget_s)
        found.parts[index] = replace(found.parts[index], demand=part.demand, timing=timing)
        yield views.roofline(found)
    yield from views.metrics(found)
    yield from views.tables(found)
    yield views.time_bars(found)


def _next(
    ctx: Context, found: views.Found, model: Llama, machine: Machine, budget_s: float
) -> Iterator[Result]:
    steps = list(next_steps(model.config, found.setting, found.parts))
    checked: dict[str, Timing] = {}
    yield views.next_table(found, steps, checked)
    assert found.whole is not None
    if found.setting.phase == "decode" and found.whole.median_s < _TRIED_S:
        ctx.progress(0.93, Text(zh="当场验证：批大小翻倍", en="Trying it: twice the batch"))
        double = replace(found.setting, batch=2 * found.setting.batch)
        with contextlib.suppress(LabError):  # where twice the KV does not fit, the prediction stands alone
            checked["batch"] = ctx.measure(step_call(ctx, model, double), budget_s=2 * budget_s)
        yield views.next_table(found, steps, checked)
    yield model_explanation(found, steps, checked, machine)


def _too_long(seconds: float) -> LabError:
    return LabError(
        Text(
            zh=f"这样的一步在这台机器上至少要 {seconds:.0f} 秒。把批大小或上下文调小。",
            en=f"Such a step takes at least {seconds:.0f} s on this machine. Use a smaller batch or a "
            "shorter "
            "context.",
        )
    )
