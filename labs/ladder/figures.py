"""The verdict, what moved, what the compiled kernel takes on the chosen chip, and the words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.occupancy import MULTIPROCESSORS
from labs.ladder import access
from labs.ladder.exercise import told
from labs.results import Column, Markdown, Metric, Provenance, Table
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.compiled import Compiled
    from labs.inspection.interpreted import Recording
    from labs.ladder.outcome import Outcome
    from labs.ladder.sandbox import Checked

_LIMITS = {
    "warps": Text(zh="线程束数", en="warps"),
    "blocks": Text(zh="线程块数", en="blocks"),
    "registers": Text(zh="寄存器", en="registers"),
    "shared": Text(zh="共享内存", en="shared memory"),
}
_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
# wgmma multiplies 64 rows at a time, by a warpgroup of four warps (PTX ISA, "wgmma.mma_async").
_WGMMA_ROWS, _WGMMA_WARPS = 64, 4
_COMPILED = Text(zh="离线编译后读机器码", en="read from the machine code, compiled offline")


def verdict(outcome: Outcome) -> Table:
    """A row a size, as far as the first that failed."""
    rows: list[list[Text | float | int | None]] = [
        [
            Text(zh=f"{one.case}，GPU 上", en=f"{one.case}, on the GPU") if one.device else same(one.case),
            one.difference if math.isfinite(one.difference) else None,
            one.tolerance,
            one.outside,
            Text(zh="通过", en="passed") if one.passed else _reason(one),
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


def _reason(one: Checked) -> Text:
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
    loaded = access.loaded_bytes(recording)
    distinct = sum(one.distinct_loaded_bytes for one in recording.tensors)
    counted = Text(zh="解释器逐地址计数", en="counted by address in the interpreter")
    yield Metric(
        id="loaded",
        title=Text(zh="读了多少（所示规模）", en="Bytes loaded (size shown)"),
        provenance=_MEASURED,
        unit="B",
        value=loaded,
        source=counted,
    )
    if distinct:
        yield Metric(
            id="reread",
            title=Text(zh="每个字节平均读几次", en="Loads of each byte"),
            provenance=_MEASURED,
            value=loaded / distinct,
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
        [_LIMITS[name], blocks, Text(zh="是", en="yes") if name in held.limiters else Text(zh="否", en="no")]
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


def explanation(outcome: Outcome) -> Markdown:
    """In the run's own figures."""
    parts = [_said_of_verdict(outcome), *_said_of_accesses(outcome), *_said_of_build(outcome)]
    if outcome.passed:
        parts.append(_said_of_speed(outcome))
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(one.zh for one in parts), en="\n\n".join(one.en for one in parts)),
        wide=True,
    )


def _said_of_verdict(outcome: Outcome) -> Text:
    if outcome.passed:
        worst = max(one.difference for one in outcome.checked)
        return Text(
            zh=f"**对不对。** {len(outcome.checked)} 个规模全部通过，最大相对误差 {worst:.1e}。",
            en=f"**Right?** All {len(outcome.checked)} sizes passed, off by {worst:.1e} at most.",
        )
    failed = outcome.checked[-1]
    return Text(
        zh=f"**还不对。** 在 {failed.case} 上没有通过：{_reason(failed).zh}。",
        en=f"**Not yet.** It failed at {failed.case}: {_reason(failed).en}.",
    )


def _said_of_accesses(outcome: Outcome) -> Iterator[Text]:
    recording = outcome.played.recording if outcome.played else None
    if recording is None or not access.moved_bytes(recording):
        return
    programs = sum(int(np.prod(grid)) for grid in recording.grids)
    loaded = access.loaded_bytes(recording)
    distinct = sum(one.distinct_loaded_bytes for one in recording.tensors)
    ratio = loaded / distinct if distinct else 1.0
    wasteful = sorted({one.line for one in access.by_line(recording) if one.wasteful})
    zh = f"**搬了什么。** {programs} 个程序读了 {loaded:,} B，不重复的 {distinct:,} B"
    zh += f"（每字节 {ratio:.1f} 次）。"
    who = "1 program loads" if programs == 1 else f"{programs} programs load"
    en = f"**What moves.** {who} {loaded:,} B, {distinct:,} of them distinct "
    en += f"({ratio:.1f} loads a byte). "
    if wasteful:
        lines = ", ".join(map(str, wasteful))
        zh += f"第 {lines} 行没有合并：相邻元素不在同一扇区。"
        en += f"Line {lines} is not coalesced: neighbouring elements lie in different sectors."
    else:
        zh += "每一行访问都是合并的。"
        en += "Every access is coalesced."
    yield Text(zh=zh, en=en)


def _said_of_build(outcome: Outcome) -> Iterator[Text]:
    for kernel in outcome.built.kernels if outcome.built else []:
        held = kernel.residency
        limits_zh = "、".join(_LIMITS[name].zh for name in held.limiters)
        limits_en = ", ".join(_LIMITS[name].en for name in held.limiters)
        zh = f"**编译给 {kernel.target}。** `{kernel.kernel}`：每线程 {kernel.registers} 个寄存器，溢出 "
        zh += f"{kernel.spill_bytes} B，共享内存 {kernel.shared_bytes:,} B；每个 SM 驻留 {held.blocks} 个"
        zh += f"线程块，占用率 {held.occupancy:.0%}，受限于{limits_zh}。"
        en = f"**Compiled for {kernel.target}.** `{kernel.kernel}`: {kernel.registers} registers a thread, "
        en += f"{kernel.spill_bytes} B spilled, {kernel.shared_bytes:,} B of shared memory; an SM holds "
        en += f"{held.blocks} blocks, an occupancy of {held.occupancy:.0%}, limited by {limits_en}."
        remarks = list(_remarks(outcome, kernel))
        yield Text(zh="".join([zh, *(r.zh for r in remarks)]), en=" ".join([en, *(r.en for r in remarks)]))


def _remarks(outcome: Outcome, kernel: Compiled) -> Iterator[Text]:
    """What the figures of a build mean for the reader."""
    if not kernel.fits:
        most = MULTIPROCESSORS[kernel.target].shared_a_block
        yield Text(
            zh=f"**放不下**：一个线程块最多 {most:,} B，启动会报 OutOfResources。",
            en=f"**It does not fit**: a block may have {most:,} B; a launch would raise OutOfResources.",
        )
    if kernel.spill_bytes:
        yield Text(
            zh="有溢出：tile 太大，或线程束太少。",
            en="It spills: the tile is too large or the warps too few.",
        )
    if matrix := ", ".join(kernel.matrix_instructions):
        yield Text(zh=f"矩阵乘用 `{matrix}`。", en=f"Matrices are multiplied by `{matrix}`.")
    small = outcome.settings.get("tile_m", 64) < _WGMMA_ROWS or kernel.warps < _WGMMA_WARPS
    if kernel.target == "sm_90" and matrix == "mma.sync" and small:
        yield Text(
            zh=f"Hopper 的 `wgmma` 要 {_WGMMA_ROWS} 行的 tile 和 {_WGMMA_WARPS} 个线程束，这里不够。",
            en=f"Hopper's `wgmma` wants tiles of {_WGMMA_ROWS} rows and {_WGMMA_WARPS} warps: too few here.",
        )


def _said_of_speed(outcome: Outcome) -> Text:
    exercise, seconds = outcome.exercise, outcome.seconds
    if seconds is None:
        return Text(
            zh="**快不快。** 这里没有计时：解释器的快慢说明不了什么，屋顶线上的点只是上界。有 GPU 的机器上，"
            "检查通过后会实测。",
            en="**Fast?** Nothing was timed here: how fast the interpreter is says nothing, and the points "
            "under the roofline are upper bounds. On a machine with a GPU a kernel that is right is timed.",
        )
    work = exercise.work(exercise.served)
    rate, bandwidth = work.flops / seconds, work.bytes / seconds
    zh = f"**快不快。** {told(exercise.served)}：{seconds * 1e6:,.1f} µs，{rate / 1e12:.2f} TFLOP/s，"
    zh += f"按每字节只搬一次算 {bandwidth / 1e9:,.0f} GB/s。"
    en = f"**Fast?** {told(exercise.served)}: {seconds * 1e6:,.1f} us, {rate / 1e12:.2f} TFLOP/s, "
    en += f"{bandwidth / 1e9:,.0f} GB/s if each byte moves once."
    return Text(zh=zh, en=en)
