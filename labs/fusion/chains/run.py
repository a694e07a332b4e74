"""One run: the graph and the kernels at once, then counted, compiled, expected, and timed where torch can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.device import no_kernels
from labs.fusion.chains import kernel_runs, views
from labs.fusion.chains.outcome import COUNTED_ROWS, CUT_NAMES, CUTS, Outcome, Setting
from labs.fusion.chains.product_views import slack
from labs.fusion.chains.story import story
from labs.inspection.process import HAS_TRITON, NO_TRITON, KernelError, kernel_process
from labs.results import Markdown, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.results import Result

_BUDGET_S = 0.4
_COMPILED_ROWS = 64  # more make no other kernel
_MOST_FLOPS = 100e9  # on a CPU: a call is some seconds long, and cannot be stopped
_TENSORS_AT_ONCE = 12  # inputs, intermediates of the eager chain, and one to spare


def run_kernel_fusion(ctx: Context, setting: Setting) -> Iterator[Result]:
    outcome = Outcome(setting)
    yield views.graph(setting)
    yield views.code(setting)
    if ctx.preview:
        return
    if HAS_TRITON:
        yield from _counted(ctx, outcome)
    else:
        yield _notice("story", Text(zh="没有 Triton", en="No Triton"), NO_TRITON)
    if outcome.passed and no_kernels() is None:
        try:
            yield from _native(ctx, outcome)
        except KernelError as error:  # too little memory, or registers; the rest needs no such kernel
            yield _notice("native_failed", Text(zh="GPU 上没有跑成", en="Not run on the GPU"), error.text)
    yield from _timed(ctx, outcome)
    if HAS_TRITON:
        yield from _compiled(ctx, outcome)
        yield story(outcome)


def _counted(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    setting, process = outcome.setting, kernel_process(ctx, "interpret")
    for place, cut in enumerate(CUTS):
        name = CUT_NAMES[cut]
        ctx.progress(0.1 + 0.1 * place, Text(zh=f"解释执行：{name.zh}", en=f"interpreting: {name.en}"))
        outcome.counted[cut] = process.ask(
            kernel_runs.count,
            ctx.check,
            name=setting.name,
            groups=setting.groups(cut),
            rows=COUNTED_ROWS,
            columns=setting.counted_columns,
            dtype=setting.dtype,
        )
        yield views.moved_bytes(outcome)
    yield from views.counts(outcome)
    if outcome.passed:  # a kernel that is wrong shows no speed
        yield views.expected(outcome)
        if setting.multiplies:
            yield slack(setting)


def _compiled(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    setting, process = outcome.setting, kernel_process(ctx, "compile")
    for place, cut in enumerate(CUTS):
        same_as = next((one for one in outcome.built if setting.groups(one) == setting.groups(cut)), None)
        if same_as:
            outcome.built[cut] = outcome.built[same_as]
            continue
        ctx.progress(
            0.7 + 0.1 * place, Text(zh=f"编译给 {setting.target}", en=f"compiling for {setting.target}")
        )
        outcome.built[cut] = process.ask(
            kernel_runs.build,
            ctx.check,
            name=setting.name,
            groups=setting.groups(cut),
            columns=setting.columns,
            dtype=setting.dtype,
            warps=setting.warps,
            target=setting.target,
            rows=min(setting.tokens, _COMPILED_ROWS),
        )
        yield views.resources(outcome)
    yield views.resources(outcome)


def _native(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    """The generated kernels on the GPU that is here, whatever they were compiled for above."""
    setting, process = outcome.setting, kernel_process(ctx, "compile")
    for cut in CUTS:
        ctx.progress(0.4, Text(zh="在本机 GPU 上计时", en="timing on the GPU here"))
        timed = process.ask(
            kernel_runs.time,
            ctx.check,
            name=setting.name,
            groups=setting.groups(cut),
            rows=setting.tokens,
            columns=setting.columns,
            dtype=setting.dtype,
            warps=setting.warps,
            device=ctx.device,
        )
        if timed.timing is not None:
            outcome.native[cut] = timed.timing
            yield views.native(outcome)


def _timed(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    """On the device that is here, in fp32: the type that a CPU computes in."""
    from labs.relative_error import relative_error

    setting = outcome.setting
    chain, size = setting.chain, max(setting.chain.flow(setting.tokens, setting.columns, 4).sizes.values())
    if reason := _too_long(ctx.device, setting):
        yield _notice("untimed", Text(zh="没有在本机计时", en="Not timed here"), reason)
        return
    ctx.progress(0.5, Text(zh="在本机给 torch 计时", en="timing torch here"))
    ctx.reserve(
        _TENSORS_AT_ONCE * size,
        Text(zh="这条链的张量", en="the chain's tensors"),
        Text(zh="减少 token 数或列数", en="Use fewer tokens or columns"),
    )
    made = kernel_runs.inputs(chain, setting.tokens, setting.columns, "fp32")
    held = {name: tensor.to(ctx.device) for name, tensor in made.items()}
    if not relative_error(chain.eager(held), chain.fused(**held)) <= 1e-5:
        return  # what is wrong shows no speed
    outcome.eager = ctx.measure(lambda: chain.eager(held), budget_s=_BUDGET_S)
    outcome.fused = ctx.measure(lambda: chain.fused(**held), budget_s=_BUDGET_S)
    yield from views.measured(outcome)


def _too_long(device: str, setting: Setting) -> Text | None:
    """Why this chain is not timed on this device."""
    flops = setting.chain.matrix_flops([0], setting.tokens, setting.columns) if setting.multiplies else 0
    if device != "cpu" or flops <= _MOST_FLOPS:
        return None
    most = _MOST_FLOPS / 1e9
    return Text(
        zh=f"一次矩阵乘要 {flops / 1e9:.0f} GFLOP，CPU 上每次要好几秒，中途停不下来；不超过 {most:.0f} GFLOP "
        "才计时。减少行数或列数。",
        en=f"The product takes {flops / 1e9:.0f} GFLOP: seconds a call on a CPU, which cannot be stopped. "
        f"Up to {most:.0f} GFLOP are timed: use fewer rows or columns.",
    )


def _notice(name: str, title: Text, body: Text) -> Markdown:
    return Markdown(id=name, title=title, provenance=Provenance.MEASURED, body=body)
