"""What a run has shown, in words and in its own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.occupancy import MULTIPROCESSORS
from labs.formulas.roofline import attainable
from labs.ladder import access
from labs.ladder.exercise import told
from labs.ladder.figures import LIMITS, reason
from labs.ladder.outcome import MOST_S
from labs.ladder.roof import DEVICES, ceiling, ceiling_here, machine_title, on_gpu
from labs.results import Markdown, Provenance
from labs.simulator.hardware import device
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.compiled import Compiled
    from labs.ladder.outcome import Outcome

# wgmma multiplies 64 rows at a time, by a warpgroup of four warps (PTX ISA, "wgmma.mma_async").
_WGMMA_ROWS, _WGMMA_WARPS = 64, 4
_ABOVE = 1.05  # of the roof: more than a timing is off by


def explanation(outcome: Outcome) -> Markdown:
    """In the run's own figures."""
    parts = [_said_of_verdict(outcome), *_said_of_accesses(outcome), *_said_of_build(outcome)]
    parts += _said_of_roofs(outcome)
    if outcome.seconds is not None:
        parts.append(_said_of_speed(outcome, outcome.seconds))
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
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
    if not outcome.checked:
        return Text(
            zh=f"**没有跑完。** 解释器里跑了 {MOST_S:.0f} 秒还没有结束，已停下：是不是有循环出不来？",
            en=f"**It did not end.** The interpreter was stopped after {MOST_S:.0f} s: is there a loop "
            "without an end? There is no verdict.",
        )
    failed = outcome.checked[-1]
    return Text(
        zh=f"**还不对。** 在 {failed.case} 上没有通过：{reason(failed).zh}。",
        en=f"**Not yet.** It failed at {failed.case}: {reason(failed).en}.",
    )


def _said_of_accesses(outcome: Outcome) -> Iterator[Text]:
    recording = outcome.played.recording if outcome.played else None
    if recording is None or not access.moved_bytes(recording):
        return
    programs = sum(int(np.prod(grid)) for grid in recording.grids)
    loaded = access.loaded_bytes(recording)
    distinct, ratio = access.distinct_bytes(recording), access.loads_a_byte(recording) or 1.0
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
    if outcome.endless == "compile":
        yield Text(
            zh=f"**没有编译完。** 过了 {MOST_S:.0f} 秒还没有结束，已停下。多半是 tile 对这么少的线程束太大："
            "每个线程要的寄存器远超上限，汇编器要处理成千上万次溢出。把 tile 改小，或加线程束。",
            en=f"**It was not compiled.** The compiler was stopped after {MOST_S:.0f} s. Most likely the "
            "tile is too large for so few warps: a thread would need many times the registers that it may "
            "have, and the assembler has thousands of spills to arrange. Take a smaller tile or more warps.",
        )
    for kernel in outcome.built.kernels if outcome.built else []:
        held = kernel.residency
        unit, one = ("CU", "a CU") if kernel.target.startswith("gfx") else ("SM", "an SM")
        blocks = "block" if held.blocks == 1 else "blocks"
        limits_zh = "、".join(LIMITS[name].zh for name in held.limiters)
        limits_en = ", ".join(LIMITS[name].en for name in held.limiters)
        zh = f"**编译给 {kernel.target}。** `{kernel.kernel}`：每线程 {kernel.registers} 个寄存器，溢出 "
        zh += f"{kernel.spill_bytes} B，共享内存 {kernel.shared_bytes:,} B；每个 {unit} 驻留 {held.blocks} 个"
        zh += f"线程块，占用率 {held.occupancy:.0%}，受限于{limits_zh}。"
        en = f"**Compiled for {kernel.target}.** `{kernel.kernel}`: {kernel.registers} registers a thread, "
        en += f"{kernel.spill_bytes} B spilled, {kernel.shared_bytes:,} B of shared memory; {one} holds "
        en += f"{held.blocks} {blocks}, an occupancy of {held.occupancy:.0%}, limited by {limits_en}."
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


def _said_of_roofs(outcome: Outcome) -> Iterator[Text]:
    """Where the kernel lies under the roof of this machine and of the chosen one, and what was timed."""
    exercise = outcome.exercise
    intensity = exercise.work(exercise.served).intensity
    if outcome.machine is None:
        return
    title, chip = machine_title(outcome), device(DEVICES[outcome.target]).title
    here, there = ceiling_here(outcome), ceiling(outcome, outcome.target)
    zh = f"**在屋顶下。** {title.zh}，实测：峰值 {_rate(here[0])}，读内存 {here[1] / 1e9:,.1f} GB/s，拐点 "
    zh += f"{here[0] / here[1]:,.1f} FLOP/B。"
    en = (
        f"**Under the roof.** {title.en}, measured: {_rate(here[0])} at most, {here[1] / 1e9:,.1f} GB/s read "
    )
    en += f"from memory, the ridge at {here[0] / here[1]:,.1f} FLOP/B. "
    if not intensity:
        yield Text(
            zh=f"{zh}这个内核只搬数据，没有浮点运算：强度是 0，图上没有它的点，能比的只有带宽。",
            en=f"{en}This kernel only moves data: an intensity of 0 has no place on the chart, and bandwidth "
            "is all there is to compare.",
        )
        return
    zh += f"内核的强度 {intensity:,.1f} FLOP/B（{told(exercise.served)}，每字节只搬一次）：在本机上"
    zh += f"{_bound(intensity, here).zh}，最多 {_rate(attainable(intensity, *here))}；在 {chip} 上"
    zh += f"{_bound(intensity, there).zh}，最多 {_rate(attainable(intensity, *there))}。"
    en += f"The kernel has {intensity:,.1f} FLOP/B ({told(exercise.served)}, each byte once): here "
    en += f"{_bound(intensity, here).en}, {_rate(attainable(intensity, *here))} at most; on {chip} "
    en += f"{_bound(intensity, there).en}, {_rate(attainable(intensity, *there))} at most."
    yield Text(zh=zh, en=en)
    if not on_gpu(outcome):
        yield _said_of_specification(outcome, here)


def _bound(intensity: float, ceilings: tuple[float, float]) -> Text:
    if intensity < ceilings[0] / ceilings[1]:
        return Text(zh="受限于访存", en="memory bounds it")
    return Text(zh="受限于计算", en="compute bounds it")


def _said_of_specification(outcome: Outcome, here: tuple[float, float]) -> Text:
    exercise, specified = outcome.exercise, outcome.specified
    zh = "**快不快。** Triton 内核在 CPU 上只能解释执行，快慢说明不了什么，所以没有给它计时；"
    zh += "有 GPU 的机器上，检查通过后会实测。"
    en = "**Fast?** On a CPU a Triton kernel is interpreted, and how fast that is says nothing: it was not "
    en += "timed. On a machine with a GPU a kernel that is right is. "
    if specified is None:
        return Text(zh=zh, en=en.rstrip())
    work, timing, operators = exercise.work(exercise.here), specified.timing, specified.operators
    rate, most = work.flops / timing.median_s, attainable(work.intensity, *here)
    zh += f"能在这里真跑的是 PyTorch 规格：{told(exercise.here)}，{timing.median_s * 1e3:,.2f} ms，"
    zh += f"{_rate(rate)}，是本机上限的 {rate / most:.0%}（上限按每字节只搬一次算）。"
    en += f"What does run here is the specification in PyTorch: {told(exercise.here)}, "
    en += f"{timing.median_s * 1e3:,.2f} ms, {_rate(rate)}, {rate / most:.0%} of what this machine allows if "
    en += "each byte moves once."
    if operators > 1:
        zh += f"它是 {operators} 个算子，中间结果都要经过内存或缓存：这正是融合成一个内核要省的。"
        en += f" It is {operators} operators, and what lies between them passes through memory or caches: "
        en += "that is what one fused kernel saves."
    if rate > _ABOVE * most:
        zh += "高过了屋顶：屋顶是匆忙测的，那时机器更忙；在“屋顶线”实验里可以仔细重测。"
        en += " That is above the roof, which was measured in a hurry while the machine was busier: the "
        en += "roofline lab measures it with care."
    if timing.noise is not None:
        zh, en = (
            f"{zh}⚠ 机器不安静：{timing.noise.zh}。",
            f"{en} Too noisy to conclude from: {timing.noise.en}.",
        )
    return Text(zh=zh, en=en)


def _rate(flops_a_second: float) -> str:
    for size, unit in ((1e12, "TFLOP/s"), (1e9, "GFLOP/s")):
        if flops_a_second >= size:
            return f"{flops_a_second / size:,.1f} {unit}"
    return f"{flops_a_second / 1e6:,.1f} MFLOP/s"


def _said_of_speed(outcome: Outcome, seconds: float) -> Text:
    exercise = outcome.exercise
    work = exercise.work(exercise.served)
    rate, bandwidth = work.flops / seconds, work.bytes / seconds
    zh = f"**快不快。** {told(exercise.served)}：{seconds * 1e6:,.1f} µs，{rate / 1e12:.2f} TFLOP/s，"
    zh += f"按每字节只搬一次算 {bandwidth / 1e9:,.0f} GB/s。"
    en = f"**Fast?** {told(exercise.served)}: {seconds * 1e6:,.1f} us, {rate / 1e12:.2f} TFLOP/s, "
    en += f"{bandwidth / 1e9:,.0f} GB/s if each byte moves once."
    return Text(zh=zh, en=en)
