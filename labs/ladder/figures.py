"""The verdict, what moved, and what the compiled kernel takes on the chosen chip."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.occupancy import MULTIPROCESSORS
from labs.ladder import access
from labs.ladder.exercise import told
from labs.results import Column, Metric, Provenance, Table
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.compiled import Compiled
    from labs.inspection.interpreted import Recording
    from labs.ladder.outcome import Outcome
    from labs.ladder.sandbox import Checked

LIMITS = {
    "warps": Text(zh="线程束数", en="warps"),
    "blocks": Text(zh="线程块数", en="blocks"),
    "registers": Text(zh="寄存器", en="registers"),
    "shared": Text(zh="共享内存", en="shared memory"),
}
_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_COMPILED = Text(zh="离线编译后读机器码", en="read from the machine code, compiled offline")


def verdict(outcome: Outcome) -> Table:
    """A row a size, as far as the first that failed."""
    rows: list[list[Text | float | int | None]] = [
        [
            Text(zh=f"{one.case}，GPU 上", en=f"{one.case}, on the GPU") if one.device else same(one.case),
            one.difference if math.isfinite(one.difference) else None,
            one.tolerance,
            one.outside,
            Text(zh="通过", en="passed") if one.passed else reason(one),
        ]
        for one in outcome.checked
    ]
    ok = Text(zh="判定：通过", en="Verdict: passed")
    return Table(
        id="verdict",
        title=ok if outcome.passed else Text(zh="判定：未通过", en="Verdict: not passed"),
        help=Text(
            zh="输入前后是 NaN，没写过的输出也是 NaN：读错、漏写都会露馅。遇到第一个失败就停。",
            en="Inputs have NaN before and behind, outputs that nobody wrote are NaN: a wrong read or a "
            "missing write shows. It stops at the first failure.",
        ),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="规模", en="size")),
            Column(title=Text(zh="与规格之差", en="off the specification")),
            Column(title=Text(zh="允许", en="allowed")),
            Column(title=Text(zh="越界 lane", en="lanes out of bounds")),
            Column(title=Text(zh="结果", en="result")),
        ],
        rows=rows,
        source=Text(
            zh="Triton 解释器（CPU），相对误差按范数", en="Triton's interpreter (CPU), relative, by norms"
        ),
        wide=True,
    )


def reason(one: Checked) -> Text:
    """Why a size did not pass."""
    if one.fault:
        return same(one.fault.text.splitlines()[0][:120])
    if one.outside:
        return Text(zh="越界", en="out of bounds")
    return Text(zh="结果不对", en="wrong result")


def speed(outcome: Outcome) -> Metric:
    """The kernel's time on the GPU that is here, at the size that is served."""
    timing = outcome.timed.timing if outcome.timed else None
    assert timing is not None
    size = told(outcome.exercise.served)
    return Metric(
        id="time",
        title=Text(zh="一次启动的时间", en="Time of a launch"),
        provenance=_MEASURED,
        unit="s",
        value=timing.median_s,
        low=timing.low_s,
        high=timing.high_s,
        better="lower",
        help=timing.noise,
        source=Text(
            zh=f"本机 GPU，{size}，中位数与 20%、80% 分位",
            en=f"the GPU here, {size}, median with the 20th and 80th percentiles",
        ),
    )


def counts(recording: Recording) -> Iterator[Metric]:
    """What the recorded run moved, and how much of that was moved before."""
    counted = Text(zh="解释器逐地址计数", en="counted by address in the interpreter")
    yield Metric(
        id="loaded",
        title=Text(zh="读了多少（所示规模）", en="Bytes loaded (size shown)"),
        provenance=_MEASURED,
        unit="B",
        value=access.loaded_bytes(recording),
        source=counted,
    )
    if (loads := access.loads_a_byte(recording)) is not None:
        yield Metric(
            id="reread",
            title=Text(zh="每个字节平均读几次", en="Loads of each byte"),
            provenance=_MEASURED,
            value=loads,
            better="lower",
            help=Text(
                zh="大于 1：不同的程序读同一块。GPU 上由 L2 缓存兜住一部分；tile 越大，重复越少。",
                en="Above 1: several programs load the same. On a GPU the L2 cache catches some of it; "
                "larger tiles load less again.",
            ),
            source=counted,
        )


def resources(kernel: Compiled) -> Iterator[Metric | Table]:
    """Registers, spills, shared memory, and the occupancy that follows with its limiter."""
    chip, held = MULTIPROCESSORS[kernel.target], kernel.residency
    yield Metric(
        id="registers",
        title=Text(zh="寄存器 / 线程", en="Registers a thread"),
        provenance=_MEASURED,
        value=kernel.registers,
        source=_COMPILED,
    )
    yield Metric(
        id="spills",
        title=Text(zh="寄存器溢出 / 线程", en="Spilled a thread"),
        provenance=_MEASURED,
        unit="B",
        value=kernel.spill_bytes,
        better="lower",
        help=Text(
            zh="寄存器放不下、落到显存里的部分。应当为 0。",
            en="What registers cannot hold and memory has to. It should be 0.",
        ),
        source=_COMPILED,
    )
    yield Metric(
        id="shared",
        title=Text(zh="共享内存 / 线程块", en="Shared memory a block"),
        provenance=_MEASURED,
        unit="B",
        value=kernel.shared_bytes,
        help=Text(
            zh=f"{kernel.target} 上一个线程块最多 {chip.shared_a_block:,} B。",
            en=f"At most {chip.shared_a_block:,} B on {kernel.target}.",
        ),
        source=_COMPILED,
    )
    yield Metric(
        id="occupancy",
        title=Text(zh="占用率", en="Occupancy"),
        provenance=_ESTIMATED,
        unit="%",
        value=100 * held.occupancy,
        help=Text(
            zh="一个 SM 上同时驻留的线程束占上限的比例。",
            en="Warps that a multiprocessor holds at once, of those that it could.",
        ),
        source=Text(zh="厂商的占用率规则", en="the vendor's occupancy rules"),
    )
    yield _limits(kernel)


def _limits(kernel: Compiled) -> Table:
    held = kernel.residency
    rows: list[list[Text | float | int | None]] = [
        [LIMITS[name], blocks, Text(zh="是", en="yes") if name in held.limiters else Text(zh="否", en="no")]
        for name, blocks in held.limits.items()
    ]
    matrix = ", ".join(kernel.matrix_instructions)
    return Table(
        id="limits",
        title=Text(zh="每种资源容得下几个线程块", en="Blocks that each resource allows"),
        help=Text(zh=f"矩阵指令：{matrix or '没有'}。", en=f"Matrix instructions: {matrix or 'none'}."),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="资源", en="resource")),
            Column(title=Text(zh="线程块 / SM", en="blocks an SM")),
            Column(title=Text(zh="瓶颈", en="limits")),
        ],
        rows=rows,
        source=Text(
            zh=f"{kernel.target}（{MULTIPROCESSORS[kernel.target].example}）的上限",
            en=f"limits of {kernel.target} ({MULTIPROCESSORS[kernel.target].example})",
        ),
    )
