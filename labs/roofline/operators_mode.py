"""Every operator of ``labs.ops`` under this machine's roofs: its fast path and the naive one, checked."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from labs.caches import copies_beyond_cache, rotate
from labs.device import no_kernels, refusal
from labs.formulas.roofline import Demand
from labs.ops.operator import operators
from labs.quantization.threads import threads as limited
from labs.relative_error import relative_error
from labs.results import Column, Provenance, Table
from labs.roofline import roof_views
from labs.roofline.dispatches import dispatches
from labs.roofline.explanation import above_roof, prose, roofs_by_torch
from labs.roofline.machine import measure_machine
from labs.roofline.placed import VERDICTS, Placed, Roof
from labs.text import Text, same
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Final

    from labs.context import Context
    from labs.ops.operator import Case, Operator
    from labs.results import Result
    from labs.roofline.machine import Machine

_BUDGET_S: Final = 0.06
_LONGEST_S: Final = 0.02  # by its bound
_SOON_S: Final = 0.1  # the naive way, once
_TOLD: Final = 4  # operators in the closing words
_MOST_BYTES: Final = 256 * 2**20
_WAYS: Final = {
    "fast": Text(zh="快路径（torch）", en="fast path (torch)"),
    "native": Text(zh="快路径（含 C++ 内核）", en="fast path (with C++)"),
    "triton": Text(zh="Triton 内核", en="Triton kernel"),
    "naive": Text(zh="朴素实现", en="naive"),
}
_SHORT_WAYS: Final = {
    "fast": same("torch"),
    "native": same("C++"),
    "triton": same("Triton"),
    "naive": Text(zh="朴素", en="naive"),
}
_COUNTED: Final = Text(
    zh="字节与浮点运算由每个算子自己的公式给出（labs/ops），各读写一遍；输入轮换，不在缓存里",
    en="bytes and FLOPs by each operator's own formula (labs/ops), read and written once; inputs are "
    "rotated, "
    "so that no cache holds them",
)


@dataclass(frozen=True)
class Tried:
    """One operator in one way at one size. Without a timing in ``placed`` it failed its check."""

    way: str
    case: Case
    placed: Placed
    difference: float


def run_operators(
    ctx: Context, threads: int, again: bool, quick: bool, names: Sequence[str] | None = None
) -> Iterator[Result]:
    """Of all operators, or of those in ``names``."""
    if ctx.preview:
        return
    levels = 0
    for machine in measure_machine(ctx, threads, again=again, quick=quick):
        if len(machine.levels()) != levels:
            levels = len(machine.levels())
            yield _roofline(machine, [])
    found: list[Tried] = []
    chosen = [one for one in operators().values() if names is None or one.name in names]
    with limited(threads), torch.inference_mode():
        for index, operator in enumerate(chosen):
            ctx.progress(0.5 + 0.5 * index / len(chosen), operator.title)
            for tried in _try(ctx, operator, machine):
                found.append(tried)
                yield _roofline(machine, found)
            yield from _tables(found)
    yield _explanation(found, chosen, machine)


def _try(ctx: Context, operator: Operator, machine: Machine) -> Iterator[Tried]:
    """At the largest of its sizes that is quick enough, in every way that runs here."""
    gpu = ctx.device != "cpu" and no_kernels() is None
    case, first, expected = _largest(ctx, operator, machine)
    work = operator.work(case)
    demand, roof = Demand(work.flops, work.bytes), _roof(case, machine)
    ctx.reserve(2 * work.bytes * copies_beyond_cache(work.bytes, ctx.device), operator.title)
    # Copies: drawing random numbers for all of them would take longer than the timing.
    make = rotate(lambda: _copied(first), work.bytes, ctx.device)
    ways = {
        "triton": operator.triton if gpu else None,
        "native" if _is_native(operator) else "fast": None if gpu else operator.fast,
        "naive": operator.naive,
    }
    for name, function in ways.items():
        if function is None:
            continue
        ctx.check()
        placed = Placed(operator.name, operator.title, demand, roof)
        try:
            gap = relative_error(function(**first), expected)
            if gap <= operator.tolerance[case.dtype]:
                placed = _timed(ctx, placed, function, make)
        except Exception as error:
            if ctx.device == "cpu" or name == "naive":  # on a GPU a compiler or a library may refuse
                raise
            placed, gap = replace(placed, reason=refusal(error)), math.nan
        yield Tried(name, case, placed, gap)


def _copied(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: one.clone() if isinstance(one, torch.Tensor) else one for name, one in inputs.items()}


def _is_native(operator: Operator) -> bool:
    return operator.native is not None and not isinstance(operator.native(), Text)


def _largest(ctx: Context, operator: Operator, machine: Machine) -> tuple[Case, dict[str, Any], Any]:
    """The largest case that the naive way computes soon, its inputs and what they give; else the smallest."""
    cases = _cases(operator, machine, ctx.device != "cpu")
    for case in cases:
        ctx.check()
        inputs = operator.make(case, device=ctx.device)
        start = time.perf_counter()
        expected = operator.naive(**inputs)
        if ctx.device != "cpu":
            torch.cuda.synchronize()
        if time.perf_counter() - start < _SOON_S or case is cases[-1]:
            return case, inputs, expected
    raise AssertionError(f"{operator.name} has no sizes")


def _timed(
    ctx: Context, placed: Placed, function: Callable[..., Any], make: Callable[[], dict[str, Any]]
) -> Placed:
    demand = placed.demand._replace(calls=dispatches(lambda: function(**make()), ctx.device))
    timing = ctx.measure(lambda: function(**make()), budget_s=_BUDGET_S)
    return replace(placed, demand=demand, timing=timing)


def _cases(operator: Operator, machine: Machine, gpu: bool) -> list[Case]:
    """Sizes that it is shipped and tested at, largest first, of those that fit; the smallest if none does.

    In fp32 on a CPU, whose units for fp16 are rare.
    """
    known = (*operator.shipped, *operator.aligned)
    cases = known if gpu else tuple(replace(case, dtype="fp32") for case in known)

    def least(case: Case) -> float:
        work = operator.work(case)
        return _roof(case, machine).bounds(Demand(work.flops, work.bytes)).least

    fitting = [one for one in cases if least(one) < _LONGEST_S and operator.work(one).bytes < _MOST_BYTES]
    return sorted(fitting or [min(cases, key=least)], key=least, reverse=True)


def _roof(case: Case, machine: Machine) -> Roof:
    precision = "bf16" if case.dtype == "fp16" else case.dtype
    return Roof(machine.peak(precision), machine.bandwidth, machine.call_s)


def _roofline(machine: Machine, found: Sequence[Tried]) -> Result:
    timed = [one for one in found if one.placed.timing]
    span = roof_views.span_of([one.placed.demand.intensity for one in timed])
    roofs = list(roof_views.level_roofs(machine.levels(), {"fp32": machine.peak("fp32")}, span))
    groups = {
        title: [one.placed for one in timed if one.way == way]
        for way, title in _WAYS.items()
        if any(one.way == way for one in timed)
    }
    return roof_views.roofline(
        [*roofs, *roof_views.point_series(groups)],
        title=Text(zh="算子库在屋顶线下", en="The operators under the roofline"),
        source=_COUNTED,
    )


def _tables(found: Sequence[Tried]) -> Iterator[Table]:
    """How fast each is, then at what size and how near the naive one: one table would scroll sideways. The
    dots above say the intensities and rates."""
    yield Table(
        id="operators",
        title=Text(zh="逐个算子", en="Operator by operator"),
        provenance=Provenance.MEASURED,
        columns=[
            *_name_columns(),
            Column(title=Text(zh="判断", en="verdict")),
            Column(title=Text(zh="实测", en="measured"), unit="µs"),
            Column(title=Text(zh="下界", en="least"), unit="µs", provenance=Provenance.ESTIMATED),
            Column(title=Text(zh="占上限", en="of the bound"), unit="%"),
        ],
        rows=[_time_row(one) for one in found],
        source=_COUNTED,
        wide=True,
    )
    yield Table(
        id="operator_demands",
        title=Text(zh="大小、带宽与误差", en="Sizes, traffic, error"),
        provenance=Provenance.MEASURED,
        columns=[
            *_name_columns(),
            Column(title=Text(zh="带宽", en="traffic"), unit="GB/s"),
            Column(
                title=Text(zh="与朴素之差", en="off naive"),
                help=Text(
                    zh="与朴素实现的相对误差（范数之比）。", en="From the naive way, relative, by norms."
                ),
            ),
            Column(title=Text(zh="大小", en="size")),
        ],
        rows=[_demand_row(one) for one in found],
        source=_COUNTED,
        wide=True,
    )


def _name_columns() -> list[Column]:
    return [
        Column(title=Text(zh="算子", en="operator")),
        Column(
            title=Text(zh="实现", en="way"),
            help=Text(
                zh="torch：快路径。C++：快路径，行数少时由本项目编译的 C++ 直接乘压缩的权重；行数多时它只展开"
                "权重，由 torch 相乘。",
                en="torch: the fast path. C++: the fast path; few rows are multiplied with the packed weight "
                "by the project's own compiled C++; for many it unpacks the weight, and torch multiplies.",
            ),
        ),
    ]


_Cells = list[Text | float | int | None]


def _time_row(one: Tried) -> _Cells:
    placed, known = one.placed, one.placed.timing is not None
    failed = Text(zh="未通过检查，不给速度", en="failed its check: no speed")
    return [
        placed.title,
        _SHORT_WAYS[one.way],
        VERDICTS[placed.verdict] if known else placed.reason or failed,
        1e6 * placed.seconds if known else None,
        1e6 * placed.bounds.least,
        100 * placed.share if known else None,
    ]


def _demand_row(one: Tried) -> _Cells:
    placed, known = one.placed, one.placed.timing is not None
    return [
        placed.title,
        _SHORT_WAYS[one.way],
        placed.demand.moved_bytes / placed.seconds / 1e9 if known else None,
        one.difference if math.isfinite(one.difference) else None,
        Text(zh=str(one.case), en=str(one.case)),
    ]


def _explanation(found: Sequence[Tried], tried: Sequence[Operator], machine: Machine) -> Result:
    timed = [one for one in found if one.placed.timing]
    pairs = sorted(_pairs(timed), key=lambda pair: pair[1].placed.seconds / pair[0].placed.seconds)
    parts = [_gain_text(fast, naive) for fast, naive in reversed(pairs[-_TOLD:])]
    slower = [fast.placed.title for fast, naive in pairs if fast.placed.seconds > naive.placed.seconds]
    if slower:
        parts.append(
            Text(
                zh=f"快路径这次没有更快的：{'、'.join(title.zh for title in slower)}。",
                en=f"No faster this time: {', '.join(title.en for title in slower)}.",
            )
        )
    parts.append(
        Text(
            zh="同一个算子的几种实现在图上横坐标相同：公式数的是必须做的事。朴素实现的点更低，因为它把中间结"
            "果"
            "写出去又读回来，那些字节不在公式里。",
            en="Ways of one operator share their place across: the formula counts what must be done. The "
            "naive "
            "dot is lower, for it writes what lies between and reads it again, bytes that are not in the "
            "formula.",
        )
    )
    parts.extend(_missing(tried, {one.placed.name for one in found if one.way != "naive"}))
    parts.extend(above_roof([one.placed for one in timed]))
    parts.extend(roofs_by_torch(machine))
    timings = [one.placed.timing for one in timed if one.placed.timing]
    if warning := noise_warning([*timings, *machine.timings]):
        parts.append(warning)
    return prose(parts)


def _missing(tried: Sequence[Operator], sped_up: set[str]) -> Iterator[Text]:
    """What had no fast path here, and what had it without its compiled kernels."""
    if alone := [one.title for one in tried if one.name not in sped_up]:
        yield Text(
            zh=f"只有朴素实现，此处没有快路径：{'、'.join(title.zh for title in alone)}。",
            en=f"Naive only, there is no fast path here: {', '.join(title.en for title in alone)}.",
        )
    reasons = [(one.title, one.native()) for one in tried if one.native is not None and one.fast is not None]
    without = [(title, reason) for title, reason in reasons if isinstance(reason, Text)]
    if without:
        reason = without[0][1]
        yield Text(
            zh=f"没有编译的 C++ 内核（{reason.zh}），由 torch 先展开权重再乘："
            f"{'、'.join(title.zh for title, _ in without)}。",
            en=f"Without compiled C++ kernels ({reason.en}), torch unpacks the weight and multiplies: "
            f"{', '.join(title.en for title, _ in without)}.",
        )


def _gain_text(fast: Tried, naive: Tried) -> Text:
    ratio = naive.placed.seconds / fast.placed.seconds
    one, title, way = fast.placed, fast.placed.title, _WAYS[fast.way]
    calls, before = one.demand.calls, naive.placed.demand.calls
    return Text(
        zh=f"**{title.zh}**：{way.zh}的速度是朴素实现的 {ratio:.1f} 倍，派发 {calls} 个算子而不是 {before} "
        "个，"
        f"达到上限的 {one.share:.0%}（{VERDICTS[one.verdict].zh}）。",
        en=f"**{title.en}**: the {way.en} has {ratio:.1f} times the speed of the naive one; operators "
        "dispatched: "
        f"{calls} instead of {before}; {one.share:.0%} of its bound ({VERDICTS[one.verdict].en}).",
    )


def _pairs(timed: Sequence[Tried]) -> Iterator[tuple[Tried, Tried]]:
    """The best way of each operator and the naive one."""
    for name in dict.fromkeys(one.placed.name for one in timed):
        ways = {one.way: one for one in timed if one.placed.name == name}
        naive = ways.pop("naive", None)
        if ways and naive is not None and math.isfinite(naive.placed.seconds):
            yield min(ways.values(), key=lambda one: one.placed.seconds), naive
