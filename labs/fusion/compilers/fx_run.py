"""The lab of automatic fusion, with the user's own patterns: match, rewrite, predict, check, time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from labs.fusion.compilers import fx_views, pattern_counts
from labs.fusion.compilers.fx_chain import graph_module, record_shapes
from labs.fusion.compilers.fx_costs import costs, dataflow, saving
from labs.fusion.compilers.fx_subjects import tensors
from labs.fusion.compilers.pattern_kernels import kernel
from labs.fusion.compilers.pattern_language import LanguageError, parse_patterns
from labs.fusion.compilers.pattern_matching import Matcher, rewrite
from labs.measure import time_calls
from labs.quantization.threads import threads
from labs.relative_error import relative_error
from labs.results import Markdown, Metric, Provenance
from labs.text import Text
from labs.timing_results import noise_warning, time_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from torch import Tensor, fx

    from labs.context import Context
    from labs.fusion.compilers.fx_costs import Costs, Saving
    from labs.fusion.compilers.fx_views import Written
    from labs.fusion.compilers.pattern_language import Chain, Pattern
    from labs.fusion.compilers.pattern_matching import Match
    from labs.measure import Timing
    from labs.results import Result

TOLERANCE: Final = 1e-5  # relative, by norms: fp32 sums of some thousand terms in another order
_BUDGET_S: Final = 0.5


def run_patterns(
    ctx: Context, written: Written, tokens: int, bandwidth: float, call_s: float, *, single: bool
) -> Iterator[Result]:
    """Graph and matches at once, then the kernels, the check, the counts and the times. ``bandwidth`` in
    bytes/s; 0 (and ``call_s`` 0) is measured here. ``single``: kernels with one output only."""
    chain = yield from fx_views.read_chain(written.chain, written.edits)
    try:
        patterns = parse_patterns(written.patterns)
    except LanguageError as error:
        yield fx_views.broken("patterns", written.patterns, error, "patterns")
        raise
    with torch.no_grad(), threads(1):  # the generated kernels have one
        yield from _fused(ctx, chain, patterns, written, tokens, (bandwidth, call_s), single)


def _fused(
    ctx: Context,
    chain: Chain,
    patterns: list[Pattern],
    written: Written,
    tokens: int,
    given: tuple[float, float],
    single: bool,
) -> Iterator[Result]:
    available = tensors(ctx, tokens)
    module = graph_module(chain)
    expected = record_shapes(module, available)
    matcher = Matcher(module.graph, single=single)
    fused, refused = matcher.matches(patterns)
    before = Text(zh="改写前：框里是匹配", en="Before: a box is a match")
    flow = dataflow(module.graph)
    savings = [saving(flow, match) for match in fused]
    yield pattern_counts.estimated(savings)
    yield fx_views.graph(module.graph, "before", before, fused)
    if ctx.preview:
        return
    model = costs(ctx, *given, tokens, ctx.model_config().intermediate)
    yield fx_views.fusions(fused, refused, savings, model)
    ctx.progress(None, Text(zh="编译生成的 kernel", en="Compiling the generated kernels"))
    compiled = [kernel(match) for match in fused]
    missing = next((one for one in compiled if isinstance(one, Text)), None)
    calls = {id(match): call for match, call in zip(fused, compiled, strict=True)}
    after = rewrite(module, fused, lambda match: _call(calls[id(match)], match))
    marks = fx_views.marks(patterns, fused, refused, matcher.late)
    yield fx_views.texts(written, marks, after.code.strip() + "\n", fused)
    yield from pattern_counts.counted(ctx, fused, savings)
    if missing:
        title = Text(zh="没有计时", en="Not timed")
        yield fx_views.unavailable("untimed", title, missing)
        return
    got = record_shapes(after, available)
    yield fx_views.graph(after.graph, "after", Text(zh="改写后", en="After"), [])
    error = relative_error(got, expected)
    yield _error(error)
    if error <= TOLERANCE:
        yield from _timed(ctx, (module, after), available, savings, model, matcher.comparisons)


def _call(compiled: Callable[..., Any] | Text, match: Match) -> Callable[..., Any]:
    """The kernel; where there is none, a name to show in the graph, which is then not run."""
    if not isinstance(compiled, Text):
        return compiled

    def absent(*_: Tensor) -> Any:
        raise AssertionError(compiled.en)

    absent.__name__ = match.pattern.name
    return absent


def _timed(
    ctx: Context,
    modules: tuple[fx.GraphModule, fx.GraphModule],
    available: dict[str, Tensor],
    savings: list[Saving],
    model: Costs,
    comparisons: int,
) -> Iterator[Result]:
    inputs = [available[node.name] for node in modules[0].graph.find_nodes(op="placeholder")]
    timings = []
    for module, id, title in (
        (modules[0], "time_before", Text(zh="改写前的时间", en="Time before")),
        (modules[1], "time_after", Text(zh="改写后的时间", en="Time after")),
    ):
        ctx.progress(None, title)
        timings.append(time_calls(partial(module, *inputs), budget_s=_BUDGET_S, check=ctx.check))
        yield time_metric(timings[-1], id=id, title=title)
    saved = timings[0].median_s - timings[1].median_s
    predicted = sum(one.seconds(model) for one in savings)
    yield Metric(
        id="saved",
        title=Text(zh="省下的时间", en="Time saved"),
        provenance=Provenance.MEASURED,
        unit="s",
        value=saved,
        predicted=predicted,
        formula=fx_views.FORMULA,
        better="higher",
        source=Text(
            zh="改写前后中位数之差，单线程，CPU", en="difference of the two medians, one thread, CPU"
        ),
    )
    yield _why(timings, savings, model, predicted, comparisons)


def _error(error: float) -> Metric:
    return Metric(
        id="error",
        title=Text(zh="改写前后相差", en="Rewritten against original"),
        provenance=Provenance.MEASURED,
        value=error,
        better="lower",
        source=Text(
            zh=f"范数意义下的相对误差；大于 {TOLERANCE:g} 就不给速度",
            en=f"relative, by norms; beyond {TOLERANCE:g} no speed is shown",
        ),
    )


def _why(
    timings: list[Timing], savings: list[Saving], model: Costs, predicted: float, comparisons: int
) -> Markdown:
    before, after = (one.median_s * 1e6 for one in timings)
    spared, calls = sum(one.spared_bytes for one in savings), sum(one.calls for one in savings)
    rate, call_us = model.bandwidth / 1e9, model.call_s * 1e6
    zh = [
        f"- 匹配到 **{len(savings)}** 处，少 {calls} 次调用、{spared / 1e6:.3g} MB 读写；为此把模式的一步与"
        f"图的一个节点比较了 {comparisons} 次。",
        f"- 代价模型：{spared / 1e6:.3g} MB ÷ {rate:.3g} GB/s + {calls} × {call_us:.2g} µs = "
        f"**{predicted * 1e6:.3g} µs**。实测 {before:.5g} → {after:.5g} µs，省 **{before - after:.3g} µs**。",
    ]
    en = [
        f"- Matches fused: **{len(savings)}**. They spare {calls} calls and {spared / 1e6:.3g} MB; it took "
        f"{comparisons} comparisons of a pattern's step with a node of the graph.",
        f"- The cost model: {spared / 1e6:.3g} MB / {rate:.3g} GB/s + {calls} × {call_us:.2g} µs = "
        f"**{predicted * 1e6:.3g} µs**. Measured: {before:.5g} → {after:.5g} µs, "
        f"**{before - after:.3g} µs** saved.",
    ]
    if savings:
        zh.append(
            "- 模型只数字节和调用：生成的循环算得快慢、结果张量的分配、矩阵乘的波动都不在其中，差额就是它们。"
        )
        en.append(
            "- It counts bytes and calls only. How fast the generated loop computes, allocations, and how "
            "matrix products vary from call to call are what the difference consists of."
        )
    spread = max(one.high_s - one.low_s for one in timings) * 1e6
    if savings and abs(before - after) < spread:
        zh.append(f"- 差别小于计时自身的起伏（{spread:.3g} µs）：这里不能说融合快了多少。")
        en.append(f"- That is less than the timings' own spread ({spread:.3g} µs): the gain cannot be told.")
    if warning := noise_warning(timings):
        zh.append(f"- {warning.zh}")
        en.append(f"- {warning.en}")
    return Markdown(
        id="why",
        title=Text(zh="看到了什么，为什么", en="What you see and why"),
        provenance=Provenance.MEASURED,
        body=Text(zh="\n".join(zh), en="\n".join(en)),
    )
