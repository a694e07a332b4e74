"""The verdict, what the compiled kernel takes on the chosen chip, its place under the roof, and the words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.occupancy import MULTIPROCESSORS
from labs.formulas.roofline import attainable
from labs.ladder import access
from labs.results import Column, Markdown, Metric, Provenance, Series, Table, array
from labs.roofline.roof_views import roof_line, roofline, span_of
from labs.simulator.hardware import device
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.compiled import Compiled, Target
    from labs.inspection.interpreted import Recording
    from labs.ladder.outcome import Outcome
    from labs.ladder.sandbox import Checked
    from labs.results import Result

# The device whose data sheet draws the roof of a target.
DEVICES: dict[Target, str] = {
    "sm_80": "a100-80gb-sxm",
    "sm_89": "rtx-4090",
    "sm_90": "h100-sxm",
    "sm_100": "b200",
    "sm_120": "rtx-5090",
    "gfx942": "mi300x",
}
_LIMITS = {
    "warps": Text(zh="线程束数", en="warps"),
    "blocks": Text(zh="线程块数", en="blocks"),
    "registers": Text(zh="寄存器", en="registers"),
    "shared": Text(zh="共享内存", en="shared memory"),
}
_MEASURED, _ESTIMATED, _REPORTED = Provenance.MEASURED, Provenance.ESTIMATED, Provenance.REPORTED
_COMPILED = Text(zh="离线编译后读机器码", en="read from the machine code, compiled offline")


def verdict(outcome: Outcome) -> Table:
    """A row a size, as far as the first that failed."""
    rows: list[list[Text | float | int | None]] = [
        [
            same(one.case),
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
        [_LIMITS[name], blocks, Text(zh="是", en="yes") if name in held.limiters else None]
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


def roof(outcome: Outcome) -> Result:
    """The served size with each byte moved once, and the recorded run by its own loads: both at the roof."""
    chip, exercise = device(DEVICES[outcome.target]), outcome.exercise
    work, recording = exercise.work(exercise.served), outcome.played.recording if outcome.played else None
    peak = chip.peak("bf16" if work.matrix_flops else "fp32")
    points = [
        (
            Text(
                zh=f"最好情况：每字节只搬一次（{exercise.served}）",
                en=f"at best, each byte once ({exercise.served})",
            ),
            work.intensity,
        )
    ]
    if recording is not None and access.moved_bytes(recording):
        flops = recording.matrix_flops + recording.vector_flops
        name = Text(
            zh=f"按记录的读写，无缓存（{exercise.shown}）",
            en=f"by recorded accesses, no cache ({exercise.shown})",
        )
        points.append((name, flops / access.moved_bytes(recording)))
    points = [(name, one) for name, one in points if one > 0]
    span = span_of([one for _, one in points])
    series = [roof_line(same(chip.title), peak, chip.memory_bandwidth, _REPORTED, span)]
    series += [
        Series(
            name=name,
            x=array([one]),
            y=array([attainable(one, peak, chip.memory_bandwidth)]),
            provenance=_ESTIMATED,
        )
        for name, one in points
    ]
    return roofline(
        series,
        title=Text(zh="在屋顶线下的位置", en="Under the roofline"),
        source=Text(
            zh=f"屋顶：{chip.title} 数据手册（稠密峰值）；点是上界，本机没有这块 GPU，没有实测",
            en=f"roof: data sheet of {chip.title}, dense peak; points are upper bounds: that GPU is not "
            "here and nothing was timed",
        ),
        provenance=_ESTIMATED,
    )


def explanation(outcome: Outcome) -> Markdown:
    """In the run's own figures."""
    parts = [_said_of_verdict(outcome), *_said_of_accesses(outcome), *_said_of_build(outcome)]
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
    en = f"**What moves.** {programs} programs load {loaded:,} B, {distinct:,} of them distinct "
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
        matrix = ", ".join(kernel.matrix_instructions)
        yield Text(
            zh=f"**编译给 {kernel.target}。** `{kernel.kernel}`：每线程 {kernel.registers} 个寄存器，"
            f"溢出 {kernel.spill_bytes} B，共享内存 {kernel.shared_bytes:,} B；每个 SM 驻留 {held.blocks} 个"
            f"线程块，占用率 {held.occupancy:.0%}，受限于{limits_zh}。"
            + (f"矩阵乘用 `{matrix}`。" if matrix else ""),
            en=f"**Compiled for {kernel.target}.** `{kernel.kernel}`: {kernel.registers} registers a thread, "
            f"{kernel.spill_bytes} B spilled, {kernel.shared_bytes:,} B of shared memory; an SM holds "
            f"{held.blocks} blocks, an occupancy of {held.occupancy:.0%}, limited by {limits_en}."
            + (f" Matrices are multiplied by `{matrix}`." if matrix else ""),
        )
