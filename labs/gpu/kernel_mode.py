"""A whole kernel on the warp machine: played step by step, counted, checked, compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.edited_source import chosen_source
from labs.formulas.occupancy import MULTIPROCESSORS
from labs.formulas.warp_access import SECTOR_BYTES
from labs.gpu import kernel_views
from labs.gpu.counts import Counts, counted
from labs.gpu.cuda_source import cuda_source
from labs.gpu.kernel_code import code, compiled_table, native_check
from labs.gpu.kernel_tables import by_line, race_text, table
from labs.gpu.language import WARP
from labs.gpu.library import KERNELS
from labs.gpu.machine import fill, run_program
from labs.gpu.nvcc import Compiled, compile_cuda, nvcc_path
from labs.gpu.program import Program, parse_program
from labs.gpu.races import Race, races
from labs.results import Markdown, Metric, Provenance
from labs.spec import LabError, Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.gpu.library import Kernel
    from labs.gpu.recording import Recording
    from labs.results import Result

SIMULATED = Provenance.SIMULATED
COUNTED = Text(zh="逐地址数，不是公式", en="counted address by address, not by a formula")
CUDA_TARGETS = [name for name in MULTIPROCESSORS if name.startswith("sm_")]
NOT_CUDA = Text(zh="nvcc 只为 NVIDIA 的架构编译", en="nvcc compiles for NVIDIA's architectures only")
SECTORS = (
    Text(zh="全局内存：扇区合计", en="Global memory: sectors in all"),
    Text(
        zh="Σ 请求的扇区：labs.formulas.warp_access.strided_sectors",
        en="sum over requests: labs.formulas.warp_access.strided_sectors",
    ),
)
PASSES = (
    Text(zh="共享内存：拍数合计", en="Shared memory: passes in all"),
    Text(
        zh="Σ 请求的拍数：labs.formulas.warp_access.strided_passes",
        en="sum over requests: labs.formulas.warp_access.strided_passes",
    ),
)


@dataclass(frozen=True)
class Ran:
    """``kernel`` is None for the user's own text; ``other`` ran with the warps in the other order."""

    kernel: Kernel | None
    counts: Counts
    other: Recording
    races: list[Race]

    @property
    def program(self) -> Program:
        return self.counts.recording.program

    @property
    def right(self) -> bool | None:
        """Whether outputs are what the kernel is to compute; None for the user's own."""
        if self.kernel is None:
            return None
        wanted = self.kernel.expected(fill(self.program))
        return all(np.allclose(self.counts.recording.memory[name], data) for name, data in wanted.items())

    @property
    def outputs(self) -> list[str]:
        """Arrays that do not depend on the order of blocks or warps by design."""
        if self.kernel is not None:
            return list(self.kernel.expected(fill(self.program)))
        return [array.name for array in self.program.of_space("global")]


def run_kernel(ctx: Context, name: str, source: str, target: str) -> Iterator[Result]:
    text, own = chosen_source(name, source, KERNELS[name].source)
    program = parse_program(text)
    recording = run_program(program, check=ctx.check)
    other = run_program(program, reverse=True, check=ctx.check)
    ran = Ran(KERNELS[name] if own else None, counted(recording, ctx.check), other, races(recording))
    yield from figures(ran)
    yield code(ran.counts, ran.races, None)
    yield kernel_views.trace(ran.counts, ran.races)
    yield kernel_views.lanes(recording)
    yield kernel_views.memory(recording)
    for view in (kernel_views.registers(recording), kernel_views.barriers(ran.counts)):
        if view is not None:
            yield view
    yield table(ran.counts)
    yield explanation(ran)
    if not ctx.preview:
        yield from compiled(ctx, ran, target)


def compiled(ctx: Context, ran: Ran, target: str) -> Iterator[Result]:
    """nvcc's view, and the same CUDA C++ run on a GPU or on this processor."""
    found: Compiled | None = None
    if target not in CUDA_TARGETS:
        yield compiled_table(ran.program, None, NOT_CUDA)
    elif nvcc_path():
        ctx.progress(0.5, Text(zh="nvcc 编译", en="compiling with nvcc"))
        try:
            found = compile_cuda(cuda_source(ran.program)[0], target, ctx.check)
        except LabError as error:
            yield compiled_table(ran.program, None, error.text)
        else:
            yield code(ran.counts, ran.races, found)
            yield compiled_table(ran.program, found, None)
    else:
        yield compiled_table(ran.program, None, None)
    ctx.progress(0.8, Text(zh="运行生成的 CUDA C++", en="running the generated CUDA C++"))
    yield native_check(ctx, ran.counts.recording, ran.outputs, ran.kernel is None and bool(ran.races))


def figures(ran: Ran) -> Iterator[Metric]:
    counts, predicted = ran.counts, ran.kernel.predicted if ran.kernel else {}
    if counts.sectors.any():
        yield Metric(
            id="sectors",
            title=SECTORS[0],
            provenance=SIMULATED,
            value=int(counts.sectors.sum()),
            predicted=predicted.get("sectors"),
            formula=SECTORS[1],
            better="lower",
            source=COUNTED,
        )
        yield Metric(
            id="efficiency",
            title=Text(zh="搬来的字节里要用的", en="Wanted share of bytes moved"),
            provenance=SIMULATED,
            unit="%",
            value=100 * (counts.efficiency or 0.0),
            better="higher",
            source=COUNTED,
        )
    if counts.passes.any():
        yield Metric(
            id="passes",
            title=PASSES[0],
            provenance=SIMULATED,
            value=int(counts.passes.sum()),
            predicted=predicted.get("passes"),
            formula=PASSES[1],
            help=Text(
                zh=f"没有冲突是 {int(counts.least.sum())} 拍。一拍里每个 bank 给一个字。原子操作不计。",
                en=f"{int(counts.least.sum())} without conflicts. In a pass each bank gives one word. "
                f"Atomics are "
                "not counted.",
            ),
            better="lower",
            source=COUNTED,
        )
    yield active_lanes(ran)
    yield Metric(
        id="races",
        title=Text(zh="竞争（行与行之间）", en="Races (pairs of lines)"),
        provenance=SIMULATED,
        value=len(ran.races),
        better="lower",
        help=Text(
            zh="两个线程碰同一个共享内存的字，至少一个是写，中间没有屏障。",
            en="Two threads touch one word of shared memory, one of them writes, and no barrier is between.",
        ),
        source=Text(zh="逐字、逐屏障区间比较", en="compared word by word between barriers"),
    )


def active_lanes(ran: Ran) -> Metric:
    """In the lines that the kernel is about where it names them, else in all."""
    focus = ran.kernel.focus if ran.kernel else ""
    source = ran.program.source.splitlines()
    shares = [
        step.active.sum() / WARP
        for step in ran.counts.steps
        if focus in source[step.line - 1] and (not focus or step.action in ("compute", "write"))
    ]
    where = Text(zh=f"活跃 lane（{focus}…）", en=f"Active lanes ({focus}...)") if focus else ALL_LANES
    return Metric(
        id="active",
        title=where,
        provenance=SIMULATED,
        unit="%",
        value=100 * float(np.mean(shares)),
        predicted=100 * ran.kernel.predicted["active"] if focus and ran.kernel else None,
        formula=Text(
            zh="Σ 干活的 lane ÷ (32 × 发射的 warp)：labs.formulas.warp_access",
            en="lanes that work / (32 × warps that issue): labs.formulas.warp_access",
        ),
        better="higher",
        help=Text(
            zh="warp 每走一步都占一次发射；没有活跃的 lane 白占。",
            en="Each step takes an issue of the warp, however few lanes take part.",
        ),
        source=Text(zh="每一步的掩码", en="the mask of each step"),
    )


ALL_LANES = Text(zh="活跃 lane（所有步）", en="Active lanes (all steps)")


def explanation(ran: Ran) -> Markdown:
    parts = [ran.kernel.look] if ran.kernel else [OWN_TEXT]
    parts += [_verdict(ran), _memory_text(ran.counts)]
    parts += [race_text(race) for race in ran.races]
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=SIMULATED,
        body=Text(zh="\n\n".join(part.zh for part in parts), en="\n\n".join(part.en for part in parts)),
        source=COUNTED,
    )


OWN_TEXT = Text(zh="运行的是你改过的程序。", en="This is your own text.")


def _verdict(ran: Ran) -> Text:
    same_in_both = all(
        np.array_equal(ran.counts.recording.memory[name], ran.other.memory[name]) for name in ran.outputs
    )
    right = {
        None: ("", ""),
        True: ("结果与 numpy 一致。", "The result is numpy's. "),
        False: ("**结果是错的。**", "**The result is wrong.** "),
    }[ran.right]
    if same_in_both:
        order = Text(
            zh="把 warp 和 block 的次序反过来，结果不变。",
            en="With warps and blocks in the other order it is the same.",
        )
    else:
        order = Text(
            zh="把 warp 和 block 的次序反过来，**结果就变了**：它取决于谁先跑。",
            en="With warps and blocks in the other order **it differs**: it depends on who runs first.",
        )
    return Text(zh=right[0] + order.zh, en=right[1] + order.en)


def _memory_text(counts: Counts) -> Text:
    zh, en = [], []
    if counts.efficiency is not None:
        moved = SECTOR_BYTES * int(counts.sectors.sum())
        zh.append(f"全局内存搬了 {moved} 字节，用到 {counts.efficiency:.1%}")
        en.append(f"Global memory moved {moved} bytes and {counts.efficiency:.1%} of them were wanted")
    if counts.passes.any():
        passes, least = int(counts.passes.sum()), int(counts.least.sum())
        zh.append(f"共享内存用了 {passes} 拍，其中 {passes - least} 拍是 bank 冲突")
        en.append(f"shared memory took {passes} passes, {passes - least} of them for bank conflicts")
    worst = max(by_line(counts), key=lambda one: one.sectors + one.conflicts)
    if worst.sectors or worst.conflicts:
        zh.append(f"最贵的是第 {worst.line} 行")
        en.append(f"line {worst.line} costs most")
    return (
        Text(zh="；".join(zh) + "。", en="; ".join(en) + ".")
        if zh
        else Text(zh="没有访存。", en="No memory.")
    )


def predictions(name: str, source: str) -> Iterator[Prediction]:
    """What the formulas say of a kernel of the library: its figures before it runs."""
    if not chosen_source(name, source, KERNELS[name].source)[1]:
        return
    titles = {"sectors": SECTORS, "passes": PASSES}
    for key, (title, formula) in titles.items():
        if key in KERNELS[name].predicted:
            value = KERNELS[name].predicted[key]
            yield Prediction(id=key, title=title, value=value, unit="", formula=formula)
