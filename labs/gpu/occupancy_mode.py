"""Occupancy: what a multiprocessor holds of a kernel, which resource ends first, and where the steps are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.occupancy import (
    MULTIPROCESSORS,
    Limiter,
    Residency,
    most_registers,
    registers_a_warp,
    residency,
    shared_taken,
    warps_a_block,
)
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Lines,
    Mark,
    Markdown,
    Metric,
    Provenance,
    Series,
    Table,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.formulas.occupancy import Multiprocessor
    from labs.results import Result

ESTIMATED = Provenance.ESTIMATED
SOURCE = Text(
    zh="labs.formulas.occupancy：NVIDIA 的 cuda_occupancy.h（CUDA 13.1）的规则；gfx942 按 LLVM 的分配粒度",
    en="labs.formulas.occupancy: the rules of NVIDIA's cuda_occupancy.h (CUDA 13.1); gfx942 by LLVM's lots",
)
NAMES: dict[Limiter, Text] = {
    "warps": Text(zh="warp 数", en="warps"),
    "blocks": Text(zh="block 数", en="blocks"),
    "registers": Text(zh="寄存器", en="registers"),
    "shared": Text(zh="共享内存", en="shared memory"),
}
BLOCK_SIZES = range(32, 1025, 32)


def run_occupancy(target: str, threads: int, registers: int, shared_bytes: int) -> Iterator[Result]:
    """All by formula, at once."""
    chip = MULTIPROCESSORS[target]
    held = residency(chip, threads=threads, registers=registers, shared_bytes=shared_bytes)
    yield from figures(held)
    yield limits(target, held, shared_bytes)
    yield curve(
        "by_registers",
        Text(zh="每线程寄存器数与占用率", en="Occupancy against registers a thread"),
        Text(zh="寄存器 / 线程", en="registers a thread"),
        range(8, chip.registers_a_thread + 1),
        registers,
        lambda count: residency(chip, threads=threads, registers=count, shared_bytes=shared_bytes).occupancy,
    )
    yield curve(
        "by_threads",
        Text(zh="block 大小与占用率", en="Occupancy against block size"),
        Text(zh="线程 / block", en="threads a block"),
        BLOCK_SIZES,
        threads,
        lambda count: (
            residency(chip, threads=count, registers=registers, shared_bytes=shared_bytes).occupancy
        ),
    )
    yield everywhere(target, threads, registers, shared_bytes)
    yield explanation(target, chip, held, threads, registers, shared_bytes)


def figures(held: Residency) -> Iterator[Metric]:
    yield Metric(
        id="occupancy",
        title=Text(zh="理论占用率", en="Theoretical occupancy"),
        provenance=ESTIMATED,
        unit="%",
        value=100 * held.occupancy,
        better="higher",
        help=Text(
            zh="驻留的 warp ÷ 一个 SM 最多能放的 warp。高只说明有足够多的 warp 可以轮换，不等于快。",
            en="Resident warps over those that an SM can hold. High means many warps to switch between, not "
            "speed.",
        ),
        source=SOURCE,
    )
    yield Metric(
        id="blocks",
        title=Text(zh="驻留 block / SM", en="Resident blocks an SM"),
        provenance=ESTIMATED,
        value=held.blocks,
        source=SOURCE,
    )
    yield Metric(
        id="warps",
        title=Text(zh="驻留 warp / SM", en="Resident warps an SM"),
        provenance=ESTIMATED,
        value=held.warps,
        source=SOURCE,
    )


def limits(target: str, held: Residency, shared_bytes: int) -> Bars:
    """The lowest bar is the limiter. No bar for shared memory that is not used: it would dwarf the others."""
    allowed = [
        float("nan") if name == "shared" and not shared_bytes else blocks
        for name, blocks in held.limits.items()
    ]
    return Bars(
        id="limits",
        title=Text(
            zh=f"{target}：每种资源各允许几个 block", en=f"{target}: blocks that each resource allows"
        ),
        provenance=ESTIMATED,
        categories=[NAMES[name] for name in held.limits],
        series=[BarSeries(name=same("block"), values=array(allowed))],
        missing={}
        if shared_bytes
        else {list(held.limits).index("shared"): Text(zh="没有用", en="none is used")},
        y=Axis(title=Text(zh="block / SM", en="blocks an SM")),
        source=SOURCE,
    )


def curve(
    name: str, title: Text, axis: Text, values: range, now: int, occupancy: Callable[[int], float]
) -> Lines:
    return Lines(
        id=name,
        title=title,
        provenance=ESTIMATED,
        unit="%",
        x=Axis(title=axis),
        y=Axis(title=Text(zh="占用率", en="occupancy"), unit="%"),
        series=[
            Series(
                name=Text(zh="占用率", en="occupancy"),
                x=array(list(values)),
                y=array([100 * occupancy(value) for value in values]),
            )
        ],
        marks=[Mark(x=now, name=Text(zh="现在", en="now"))],
        markers=False,
        source=SOURCE,
    )


def everywhere(target: str, threads: int, registers: int, shared_bytes: int) -> Table:
    """The same kernel on every chip of the table."""
    rows: list[list[Text | float | int | None]] = []
    for name, chip in MULTIPROCESSORS.items():
        held = residency(chip, threads=threads, registers=registers, shared_bytes=shared_bytes)
        ends = [NAMES[limiter] for limiter in held.limiters]
        rows.append(
            [
                same(f"{name} ({chip.example})"),
                held.blocks,
                held.warps,
                chip.warps,
                100 * held.occupancy,
                Text(zh="、".join(end.zh for end in ends), en=", ".join(end.en for end in ends)),
            ]
        )
    return Table(
        id="everywhere",
        title=Text(zh="同一个内核在各种 GPU 上", en="The same kernel on other GPUs"),
        provenance=ESTIMATED,
        columns=[
            Column(title=Text(zh="架构", en="architecture")),
            Column(title=Text(zh="block / SM", en="blocks / SM")),
            Column(title=Text(zh="warp / SM", en="warps / SM")),
            Column(title=Text(zh="最多 warp", en="most warps")),
            Column(title=Text(zh="占用率", en="occupancy"), unit="%"),
            Column(title=Text(zh="谁先用完", en="limiter")),
        ],
        rows=rows,
        highlight=list(MULTIPROCESSORS).index(target),
        help=Text(
            zh="gfx942 的一个 wavefront 是 64 个线程，SM 叫 CU。",
            en="On gfx942 a wavefront is 64 threads, and an SM is called a CU.",
        ),
        source=SOURCE,
        wide=True,
    )


def explanation(
    target: str, chip: Multiprocessor, held: Residency, threads: int, registers: int, shared_bytes: int
) -> Markdown:
    warps = warps_a_block(chip, threads)
    taken = registers_a_warp(chip, registers)
    ends = [NAMES[limiter] for limiter in held.limiters]
    advice = _advice(chip, held, threads)
    zh = (
        f"一个 block 是 {warps} 个 warp；每个 warp 拿 {taken} 个寄存器（{registers} × {chip.warp}，"
        f"按 {chip.register_lot} 个一份取整），每个 block 拿 {shared_taken(chip, shared_bytes)} 字节共享内存"
        f"（含系统保留的 {chip.reserved} 字节）。{target} 的一个 SM 因此放下 **{held.blocks} 个 block、"
        f"{held.warps} 个 warp，占用率 {held.occupancy:.0%}**，先用完的是 "
        f"**{'、'.join(e.zh for e in ends)}**。"
        f"{advice.zh}"
    )
    en = (
        f"A block is {warps} warps. Each takes {taken} registers ({registers} × {chip.warp}, rounded up to "
        f"lots "
        f"of {chip.register_lot}), and the block {shared_taken(chip, shared_bytes)} bytes of shared memory "
        f"(with "
        f"{chip.reserved} for the system). So an SM of {target} holds **{held.blocks} blocks, {held.warps} "
        f"warps: "
        f"an occupancy of {held.occupancy:.0%}**, and what ends first is "
        f"**{', '.join(e.en for e in ends)}**. "
        f"{advice.en}"
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=ESTIMATED,
        body=Text(zh=zh, en=en),
        source=SOURCE,
    )


def _advice(chip: Multiprocessor, held: Residency, threads: int) -> Text:
    """What the next step would need."""
    if held.blocks == 0:
        return Text(zh="一个 block 都放不下：这样启动会失败。", en="Not one block fits: such a launch fails.")
    if held.limiters == ["registers"]:
        most = most_registers(chip, threads=threads, blocks=held.blocks + 1)
        if most:
            return Text(
                zh=f"多放一个 block 要把寄存器压到 {most} 个（`__launch_bounds__`）；压出溢出就得不偿失。",
                en=f"One block more needs {most} registers at most (`__launch_bounds__`); not if that "
                f"spills.",
            )
    if held.limiters == ["warps"]:
        return Text(
            zh="已经到顶：再省资源也不会更多。", en="That is the ceiling: saving resources adds nothing."
        )
    return Text(
        zh="提高占用率要先省这一种资源；省别的没有用。",
        en="Only saving that resource raises the occupancy; saving others does not.",
    )
