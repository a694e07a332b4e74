"""The profiler's view of one step: operators by time, a timeline, and how much of it was no operator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from labs.quantization.threads import threads as limited
from labs.results import Axis, Bars, BarSeries, Column, Metric, Provenance, Table, Timeline, array
from labs.roofline.dispatches import dispatches
from labs.roofline.explanation import prose
from labs.roofline.machine import empty_call
from labs.roofline.parts import model_as
from labs.roofline.profile import LANES, group_of, profile_step, traces_folder
from labs.roofline.whole import step_call
from labs.text import Text, same
from labs.timing_results import time_metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Final

    from labs.context import Context
    from labs.measure import Timing
    from labs.results import Result
    from labs.roofline.profile import Group, Profile
    from labs.roofline.setting import Setting

_MEASURED = Provenance.MEASURED
_SHOWN: Final = 12  # operators in the bars
_MOST_BARS: Final = 8000
_METHOD: Final = Text(
    zh="torch.profiler 记录的一步（预热之后）；profiler 自己让它变慢，份额比绝对值可信",
    en="one step recorded by torch.profiler after warming up; the profiler slows it, so trust shares more "
    "than "
    "times",
)
_GROUPS: Final[dict[Group, Text]] = {
    "module": Text(zh="模块（层、子模块）", en="modules"),
    "product": Text(zh="矩阵乘", en="matrix products"),
    "attention": Text(zh="注意力与 softmax", en="attention, softmax"),
    "elementwise": Text(zh="逐元素与归约", en="elementwise, reductions"),
    "copy": Text(zh="复制与拼接", en="copies, concatenation"),
    "idle": Text(zh="view 与分配", en="views, allocation"),
    "other": Text(zh="其他", en="other"),
}
_LANES: Final = {
    "layer": Text(zh="层", en="layer"),
    "module": Text(zh="模块", en="module"),
    "part": Text(zh="投影", en="projection"),
    "operator": Text(zh="ATen 算子", en="ATen operator"),
    "kernel": Text(zh="GPU 内核", en="GPU kernel"),
}


class Overhead(NamedTuple):
    """Operators that work in a step, and seconds of an empty call."""

    operators: int
    call_s: float


def run_profile(ctx: Context, setting: Setting, threads: int, save_trace: bool) -> Iterator[Result]:
    if ctx.preview:
        return
    with limited(threads), torch.inference_mode():
        model = model_as(ctx, setting.precision)
        step = step_call(ctx, model, setting)
        ctx.progress(0.1, Text(zh="不带 profiler 计时", en="Timing without the profiler"))
        plain = ctx.measure(step, budget_s=0.6)
        yield time_metric(
            plain, id="step", title=Text(zh="一步，不带 profiler", en="A step without the profiler")
        )
        ctx.progress(0.5, Text(zh="记录一步", en="Recording a step"))
        path = _trace_path(setting) if save_trace else None
        found = profile_step(model, step, ctx.device, path)
        yield from _metrics(found, plain)
        yield _bars(found)
        yield _timeline(found)
        yield _table(found)
        yield _explanation(found, plain, Overhead(dispatches(step, ctx.device), empty_call(ctx).low_s), path)


def _trace_path(setting: Setting) -> Path:
    name = f"{setting.phase}-batch{setting.batch}-context{setting.context}-{setting.precision}.json"
    return traces_folder() / name


def _metrics(found: Profile, plain: Timing) -> Iterator[Metric]:
    shares = [
        ("working", Text(zh="在干活的算子里", en="In operators that work"), found.working_s),
        ("views", Text(zh="在 view 与分配里", en="In views and allocation"), found.idle_s),
        ("between", Text(zh="在算子之间（Python）", en="Between operators (Python)"), found.between_s),
    ]
    if found.on_gpu:  # the host's operators only launch
        shares = [
            ("working", Text(zh="GPU 在内核里", en="The GPU in kernels"), found.working_s),
            ("between", Text(zh="GPU 在等主机", en="The GPU waiting for the host"), found.between_s),
        ]
    for name, title, seconds in shares:
        yield Metric(
            id=name,
            title=title,
            provenance=_MEASURED,
            unit="%",
            value=100 * seconds / found.step_s,
            source=_METHOD,
        )
    yield Metric(
        id="slowdown",
        title=Text(zh="profiler 让一步变慢", en="The profiler slows a step"),
        provenance=_MEASURED,
        unit="×",
        value=found.step_s / plain.median_s,
        better="lower",
        source=_METHOD,
        help=Text(
            zh="每个算子多记一次账：算子越短，被拖慢得越多，它占的份额就被高估。",
            en="Every operator is booked: the shorter it is, the more it is slowed, and its share "
            "overstated.",
        ),
    )


def _ordered(found: Profile) -> list[tuple[str, int, float]]:
    """Name, calls and own seconds, longest first."""
    rows = [(name, calls, seconds) for name, (calls, seconds) in found.operators.items()]
    return sorted(rows, key=lambda row: -row[2])


def _bars(found: Profile) -> Bars:
    top = _ordered(found)[:_SHOWN]
    return Bars(
        id="operators",
        title=Text(zh="GPU 内核按时间排", en="GPU kernels by time")
        if found.on_gpu
        else Text(zh="算子按自身时间排", en="Operators by their own time"),
        help=Text(
            zh="自身时间：不含它里面再调的算子。",
            en="Own time: without the operators that it calls itself.",
        ),
        provenance=_MEASURED,
        unit="ms",
        categories=[same(name.removeprefix("aten::")) for name, _, _ in top],
        y=Axis(title=Text(zh="自身时间", en="own time"), unit="ms"),
        series=[
            BarSeries(name=Text(zh="自身时间", en="own time"), values=array([1e3 * s for _, _, s in top]))
        ],
        source=_METHOD,
        wide=True,
    )


def _timeline(found: Profile) -> Timeline:
    events = found.events[:_MOST_BARS]
    used = [lane for lane in LANES if any(one.lane == lane for one in events)]
    groups = list(_GROUPS)
    return Timeline(
        id="timeline",
        title=Text(zh="一步的时间线", en="Timeline of a step"),
        help=Text(
            zh="上面是模块，下面是它调的 ATen 算子；算子之间的空白是 Python。拖动、缩放；可导出 Chrome "
            "trace，"
            "用 chrome://tracing 或 Perfetto 打开。",
            en="Modules above, the ATen operators that they call below; the gaps are Python. Drag and zoom; "
            "it "
            "can be exported as a Chrome trace, for chrome://tracing or Perfetto.",
        ),
        provenance=_MEASURED,
        unit="µs",
        x=Axis(title=Text(zh="时间", en="time"), unit="ms"),
        lanes=[_LANES[lane] for lane in used],
        lane=array([used.index(one.lane) for one in events], dtype="int64"),
        start=array([1e3 * one.start_s for one in events]),
        end=array([1e3 * one.end_s for one in events]),
        category=array([groups.index(one.group) for one in events], dtype="int64"),
        categories=list(_GROUPS.values()),
        label=[same(one.name.removeprefix("aten::")) for one in events],
        value=array([1e6 * one.self_s for one in events]),
        value_name=Text(zh="自身时间", en="own time"),
        source=_METHOD,
        wide=True,
    )


def _table(found: Profile) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for name, calls, seconds in _ordered(found):
        if seconds > 0:
            share = 100 * seconds / found.step_s
            rows.append(
                [same(name), _GROUPS[group_of(name)], calls, 1e6 * seconds, 1e6 * seconds / calls, share]
            )
    return Table(
        id="table",
        title=_LANES["kernel"] if found.on_gpu else Text(zh="ATen 算子", en="ATen operators"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="算子", en="operator")),
            Column(title=Text(zh="类别", en="sort")),
            Column(title=Text(zh="次数", en="calls")),
            Column(title=Text(zh="自身时间", en="own time"), unit="µs"),
            Column(title=Text(zh="每次", en="each"), unit="µs"),
            Column(title=Text(zh="占一步", en="of the step"), unit="%"),
        ],
        rows=rows,
        source=_METHOD,
        wide=True,
    )


def _explanation(found: Profile, plain: Timing, overhead: Overhead, path: Path | None) -> Result:
    top = _ordered(found)[0]
    working, least = overhead.operators, overhead.operators * overhead.call_s
    parts = [
        Text(
            zh=f"**谁最花时间。** {top[0]} 调了 {top[1]} 次，自身 {1e3 * top[2]:.1f} ms，占 "
            f"{top[2] / found.step_s:.0%}。先优化它；Amdahl 定律：别的全部归零也只快 "
            f"{_without_rest(top[2] / found.step_s)}。",
            en=f"**What takes the time.** {top[0]} ran {top[1]} times, {1e3 * top[2]:.1f} ms of its own, "
            f"{top[2] / found.step_s:.0%}. Begin there: by Amdahl's law, with all else at zero the step "
            "would "
            f"only be {_without_rest(top[2] / found.step_s)} as fast.",
        ),
        Text(
            zh=f"**开销。** 一步派发了 {working} 个干活的算子；空调用每个 {1e6 * overhead.call_s:.1f} µs，"
            f"光派发就要 {1e3 * least:.1f} ms，是不带 profiler 时一步的 {least / plain.median_s:.0%}。"
            "融合与图捕获省的就是它。",
            en=f"**Overhead.** A step dispatched {working} operators that work; an empty call takes "
            f"{1e6 * overhead.call_s:.1f} µs, so that dispatch alone is {1e3 * least:.1f} ms, "
            f"{least / plain.median_s:.0%} of a step without the profiler. Fusing, and graphs, save it.",
        ),
        Text(
            zh=f"**profiler 不是免费的。** 这一步被拖慢到 {found.step_s / plain.median_s:.2f} 倍：用它看份额"
            "和次序，"
            "用计时器看绝对时间。",
            en=f"**A profiler is not free.** It made this step {found.step_s / plain.median_s:.2f} times as "
            "long: shares and order are its business, absolute times a timer's.",
        ),
    ]
    if path is not None:
        parts.append(
            Text(
                zh=f"**Chrome trace** 写在 `{path}`（torch 自己的格式，含每个算子），用 Perfetto 打开。",
                en=f"**The Chrome trace** is in `{path}` (torch's own, with every operator): open it in "
                "Perfetto.",
            )
        )
    return prose(parts)


def _without_rest(share: float) -> str:
    return f"{1 / share:.1f}×" if share > 0 and math.isfinite(share) else "-"
