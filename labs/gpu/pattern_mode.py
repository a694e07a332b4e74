"""One typed access: what it moves, beside the formula, and the sweep of strides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import (
    LINE_BYTES,
    SECTOR_BYTES,
    strided_efficiency,
    strided_passes,
    strided_sectors,
)
from labs.gpu.language import WARP
from labs.gpu.pattern_code import code
from labs.gpu.pattern_text import COUNTED, explanation
from labs.gpu.pattern_views import (
    global_tiles,
    global_trace,
    lanes_against_banks,
    lanes_against_sectors,
    shared_tiles,
    shared_trace,
)
from labs.results import (
    Axis,
    Lines,
    Mark,
    Metric,
    Provenance,
    Series,
    array,
)
from labs.spec import LabError, Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.context import Context
    from labs.gpu.pattern import Pattern, Typed
    from labs.results import Result

SIMULATED, ESTIMATED = Provenance.SIMULATED, Provenance.ESTIMATED
SECTOR_FORMULA = Text(
    zh="步长不超过 32 B：⌊末字节/32⌋ − ⌊首字节/32⌋ + 1；超过：每个 lane 一个",
    en="stride up to 32 B: ⌊last byte/32⌋ - ⌊first byte/32⌋ + 1; beyond: one for each lane",
)
PASS_FORMULA = Text(
    zh="阶段数 × gcd(步长, 32/阶段数)；步长 0 是广播",
    en="phases × gcd(stride, 32/phases); stride 0 is a broadcast",
)
SECTOR_HELP = Text(
    zh="L1 与 L2 之间、L2 与显存之间以 32 字节的扇区为单位搬数据；128 字节的一行有四个。",
    en="Data moves between L1, L2 and memory in sectors of 32 bytes, four to a line of 128.",
)
PASS_HELP = Text(
    zh="一拍里每个 bank 只给一个 4 字节的字；给多少个 lane 都行。拍数也叫 wavefront。",
    en="In a pass each bank gives one word of 4 bytes, to any number of lanes. Nsight calls them wavefronts.",
)
MOST_STRIDE = 34


def predictions(typed: Typed) -> Iterator[Prediction]:
    """By closed form, where lanes are equally far apart; a text that is no index has none."""
    try:
        pattern = typed.pattern()
    except LabError:
        return  # the run says why
    shared = typed.space == "shared"
    for metric in shared_figures(pattern) if shared else global_figures(pattern):
        if metric.predicted is not None and metric.formula is not None:
            yield Prediction(
                id=metric.id,
                title=metric.title,
                value=metric.predicted,
                unit=metric.unit,
                formula=metric.formula,
            )


def run_pattern(ctx: Context, typed: Typed) -> Iterator[Result]:
    """Everything is cheap enough to follow a slider."""
    pattern = typed.pattern()
    ctx.check()
    if typed.space == "global":
        yield from global_figures(pattern)
        yield global_trace(pattern)
        yield global_tiles(pattern)
        yield lanes_against_sectors(pattern)
    else:
        shared = pattern.shared_requests()
        yield from shared_figures(pattern)
        yield shared_trace(pattern, shared)
        yield shared_tiles(pattern, shared)
        yield lanes_against_banks(pattern, shared[0])
    if "stride" in typed.expression:
        yield sweep(typed)
    yield explanation(pattern, typed.space)
    yield from code(ctx, pattern, typed)


def global_figures(pattern: Pattern) -> Iterator[Metric]:
    requests = pattern.global_requests()
    moved = sum(request.moved for request in requests)
    asked = sum(request.asked for request in requests)
    yield Metric(
        id="sectors",
        title=Text(zh="每个请求的扇区", en="Sectors a request"),
        provenance=SIMULATED,
        value=moved / SECTOR_BYTES / len(requests),
        predicted=_of_steps(
            pattern, lambda step, first: strided_sectors(step, pattern.element_bytes, offset=first)
        ),
        formula=SECTOR_FORMULA,
        help=SECTOR_HELP,
        better="lower",
        source=COUNTED,
    )
    yield Metric(
        id="efficiency",
        title=Text(zh="搬来的字节里要用的", en="Wanted share of bytes moved"),
        provenance=SIMULATED,
        unit="%",
        value=100 * asked / moved,
        predicted=_of_steps(
            pattern,
            lambda step, first: 100 * strided_efficiency(step, pattern.element_bytes, offset=first),
        ),
        formula=Text(zh="要的字节 ÷ (32 × 扇区)", en="bytes wanted / (32 × sectors)"),
        better="higher",
        source=COUNTED,
    )
    yield Metric(
        id="lines",
        title=Text(zh="每个请求的 128 字节行", en="128-byte lines a request"),
        provenance=SIMULATED,
        value=sum(len(request.lines) for request in requests) / len(requests),
        predicted=_of_steps(
            pattern,
            lambda step, first: strided_sectors(
                step, pattern.element_bytes, offset=first, granule=LINE_BYTES
            ),
        ),
        formula=Text(zh="同上，单位换成 128 字节", en="as above, in units of 128 bytes"),
        help=Text(zh="每行要查一次标签（tag）。", en="Each line costs a look-up of its tag."),
        better="lower",
        source=COUNTED,
    )


def shared_figures(pattern: Pattern) -> Iterator[Metric]:
    requests = pattern.shared_requests()
    count = len(requests)
    yield Metric(
        id="passes",
        title=Text(zh="每个请求的拍数", en="Passes a request"),
        provenance=SIMULATED,
        value=sum(request.passes for request in requests) / count,
        predicted=_of_steps(
            pattern, lambda step, _: strided_passes(step, max(4, pattern.element_bytes)), least_bytes=4
        ),
        formula=PASS_FORMULA,
        help=PASS_HELP,
        better="lower",
        source=COUNTED,
    )
    yield Metric(
        id="conflicts",
        title=Text(zh="多等的拍（冲突）", en="Passes lost to conflicts"),
        provenance=SIMULATED,
        value=sum(request.conflicts for request in requests) / count,
        help=Text(
            zh="每个请求比没有冲突时多用的拍数。8、16 字节的访问本来就分 2、4 个阶段，不算冲突。",
            en="Passes of a request beyond those that it needs without a conflict: accesses of 8 and 16 "
            "bytes take 2 and 4 in any case.",
        ),
        better="lower",
        source=COUNTED,
    )


def _of_steps(pattern: Pattern, formula: Callable[[int, int], float], least_bytes: int = 1) -> float | None:
    """The mean of a closed form over the warps, where lanes are equally far apart; else None."""
    if pattern.step is None or pattern.element_bytes < least_bytes:
        return None
    firsts = pattern.index.reshape(-1, WARP)[:, 0]
    return float(np.mean([formula(pattern.step, int(first)) for first in firsts]))


def sweep(typed: Typed) -> Lines:
    """Counted for each stride, beside the formula where lanes are equally far apart."""
    strides, counted, formula = [], [], []
    for stride in range(MOST_STRIDE + 1):
        try:
            pattern = typed.pattern(stride)
        except LabError:
            continue  # this stride leaves the memory, or divides by zero
        strides.append(stride)
        if typed.space == "global":
            metric = next(one for one in global_figures(pattern) if one.id == "efficiency")
        else:
            metric = next(iter(shared_figures(pattern)))
        counted.append(metric.value)
        formula.append(np.nan if metric.predicted is None else metric.predicted)
    wanted = typed.space == "global"
    y = (
        Axis(title=Text(zh="搬来的字节里要用的", en="wanted share"), unit="%")
        if wanted
        else Axis(title=Text(zh="每个请求的拍数", en="passes a request"))
    )
    return Lines(
        id="sweep",
        title=Text(zh="换步长（stride）", en="Other strides"),
        provenance=SIMULATED,
        unit="%" if wanted else "",
        x=Axis(title=Text(zh="步长（元素）", en="stride (elements)")),
        y=y,
        series=[
            Series(name=Text(zh="数出来的", en="counted"), x=array(strides), y=array(counted)),
            Series(
                name=Text(zh="公式", en="formula"),
                x=array(strides),
                y=array(formula),
                provenance=ESTIMATED,
                reference=True,
            ),
        ],
        marks=[Mark(x=typed.stride, name=Text(zh="现在", en="now"))],
        source=COUNTED,
    )
