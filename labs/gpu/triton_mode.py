"""A Triton kernel's own accesses as requests of warps: how lanes are laid over a tile decides what moves.

A recording says which elements a program touches, not which lane touches which: that is up to the compiler.
So both ends are shown: lanes in the order of the tile's rows, and in the order of addresses, which is what
Triton's coalescing pass arranges along the dimension that is contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import SECTOR_BYTES
from labs.gpu.language import WARP
from labs.gpu.memory_access import global_request
from labs.gpu.pattern import Pattern
from labs.gpu.pattern_views import global_tiles, global_trace, lanes_against_sectors
from labs.gpu.triton_record import record, source_of
from labs.inspection.interpreted import OUTSIDE, STORE
from labs.inspection.process import kernel_process
from labs.results import Code, CodeMark, CodePane, Column, Markdown, Metric, Provenance, Table
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.inspection.interpreted import Recording
    from labs.results import Array, Result

SIMULATED, MEASURED = Provenance.SIMULATED, Provenance.MEASURED
SOURCE = Text(
    zh="Triton 解释器记录的每个地址；32 个元素算一个 warp 请求",
    en="every address as Triton's interpreter recorded it; 32 elements are a request of a warp",
)
FAR = 1.5  # times the least number of sectors: worth a word
MOST_TRIED = 40  # accesses of a line that are laid over lanes: the programs of a grid do the same


@dataclass(frozen=True)
class LineRequests:
    """One line's accesses of one tensor. ``tile``: sectors a request with lanes in the order of the tile,
    ``address``: in ascending order of addresses."""

    line: int
    tensor: str
    element_bytes: int
    stores: bool
    requests: int
    tile: float
    address: float
    example: Array

    @property
    def least(self) -> float:
        """Sectors a request if all of them were wanted."""
        return max(1.0, WARP * self.element_bytes / SECTOR_BYTES)

    @property
    def gain(self) -> float:
        return self.tile / self.address


def run_triton(ctx: Context, operator: str) -> Iterator[Result]:
    """LabError where Triton is missing."""
    if ctx.preview:
        return
    ctx.progress(None, Text(zh="Triton 解释器记录访存", en="Triton's interpreter records the accesses"))
    recording = kernel_process(ctx, "interpret").ask(record, ctx.check, operator=operator)
    lines = by_line(recording)
    source = source_of(operator)
    worst = max(lines, key=lambda one: (one.gain, one.tile))
    yield from figures(lines)
    yield table(lines, source)
    yield code(lines, source)
    pattern = Pattern(f"{worst.tensor}", (len(worst.example), 1), worst.element_bytes, worst.example)
    yield global_trace(pattern)
    yield global_tiles(pattern)
    yield lanes_against_sectors(pattern)
    yield explanation(lines, worst, source)


def by_line(recording: Recording) -> list[LineRequests]:
    """In the order of lines; accesses of fewer elements than a warp has lanes are left out."""
    keys = np.stack([recording.line, recording.kind.astype(np.int32), recording.tensor], axis=1)
    found = []
    for line, kind, tensor in np.unique(keys, axis=0):
        places = np.flatnonzero((keys == (line, kind, tensor)).all(axis=1) & (recording.count >= WARP))
        if tensor == OUTSIDE or not len(places):
            continue
        size = recording.tensors[tensor].element_bytes
        taken = [_elements(recording, int(place)) for place in places[:MOST_TRIED]]
        tile = np.concatenate([_sectors(one, size) for one in taken])
        address = np.concatenate([_sectors(np.sort(one), size) for one in taken])
        found.append(
            LineRequests(
                int(line),
                recording.tensors[tensor].name,
                size,
                kind == STORE,
                len(tile),
                float(tile.mean()),
                float(address.mean()),
                taken[0][: 8 * WARP],
            )
        )
    return found


def _elements(recording: Recording, place: int) -> Array:
    """Whole warps of them, in the order of the tile."""
    first, count = int(recording.first[place]), int(recording.count[place])
    return recording.elements[first : first + count // WARP * WARP]


def _sectors(elements: Array, element_bytes: int) -> Array:
    requests = elements.reshape(-1, WARP) * element_bytes
    return np.array([len(global_request(one, element_bytes).sectors) for one in requests])


def figures(lines: list[LineRequests]) -> Iterator[Metric]:
    requests = [one.requests for one in lines]
    least = float(np.average([one.least for one in lines], weights=requests))
    for name, title, values in (
        (
            "tile_order",
            Text(zh="每请求扇区：lane 按行排", en="Sectors, lanes along rows"),
            [one.tile for one in lines],
        ),
        (
            "address_order",
            Text(zh="每请求扇区：lane 按地址排", en="Sectors, lanes by address"),
            [one.address for one in lines],
        ),
    ):
        yield Metric(
            id=name,
            title=title,
            provenance=SIMULATED,
            value=float(np.average(values, weights=requests)),
            help=Text(
                zh=f"全部用上时平均 {least:.3g} 个。", en=f"{least:.3g} on average if all of it is used."
            ),
            better="lower",
            source=SOURCE,
        )


def table(lines: list[LineRequests], source: str) -> Table:
    text = source.splitlines()
    return Table(
        id="lines",
        title=Text(zh="逐行：同一块，两种排法", en="Line by line: one tile, two ways to lay lanes"),
        provenance=SIMULATED,
        columns=[
            Column(title=Text(zh="行", en="line")),
            Column(title=Text(zh="源码", en="source")),
            Column(title=Text(zh="张量", en="tensor")),
            Column(title=Text(zh="warp 请求", en="warp requests")),
            Column(title=Text(zh="扇区 / 请求（按行）", en="sectors (along rows)")),
            Column(title=Text(zh="扇区 / 请求（按地址）", en="sectors (by address)")),
            Column(title=Text(zh="最少", en="at least")),
        ],
        rows=[
            [
                one.line,
                same(text[one.line - 1].strip()[:36] or "-"),
                same(one.tensor),
                one.requests,
                one.tile,
                one.address,
                one.least,
            ]
            for one in lines
        ],
        source=SOURCE,
        wide=True,
    )


def code(lines: list[LineRequests], source: str) -> Code:
    """The kernel's file around its accesses, marked where the layout matters."""
    first = max(1, min(one.line for one in lines) - 24)
    last = max(one.line for one in lines) + 6
    shown = source.splitlines()[first - 1 : last]
    marks = [
        CodeMark(
            line=one.line - first + 1,
            role="warning" if one.tile > one.least * FAR else "good",
            text=Text(
                zh=f"{one.tensor}：按行排 {one.tile:.3g} 个扇区，按地址排 {one.address:.3g} 个",
                en=f"{one.tensor}: {one.tile:.3g} sectors along rows, {one.address:.3g} by address",
            ),
        )
        for one in lines
    ]
    return Code(
        id="kernel",
        title=Text(zh=f"内核的访存（文件第 {first} 行起）", en=f"The kernel's accesses (from line {first})"),
        provenance=MEASURED,
        panes=[CodePane(name=same("Triton"), language="python", text="\n".join(shown) + "\n", marks=marks)],
        wide=True,
    )


def explanation(lines: list[LineRequests], worst: LineRequests, source: str) -> Markdown:
    text = source.splitlines()[worst.line - 1].strip()
    verb = ("写", "stores to") if worst.stores else ("读", "loads")
    if worst.gain > 1:
        zh = (
            f"差别最大的是第 {worst.line} 行（`{text}`）{verb[0]} {worst.tensor}：lane 按块的行排要 "
            f"**{worst.tile:.3g} 个扇区**，按地址排只要 **{worst.address:.3g} 个**。"
            f"块的行不是内存里连续的方向，"
            "编译器要选 order 让 lane 沿连续的那一维走；Triton 的 coalesce 这一步做的就是这件事。"
        )
        en = (
            f"Most differs line {worst.line} (`{text}`), which {verb[1]} {worst.tensor}: "
            f"**{worst.tile:.3g} sectors** with lanes along the tile's rows, **{worst.address:.3g}** by "
            f"address. "
            "The tile's rows are not what is contiguous in memory; the compiler chooses an order in which "
            "lanes "
            "run along the dimension that is, which is what Triton's coalescing pass does."
        )
    else:
        zh = "每一行的块都是行连续的：两种排法一样，lane 怎么排都合并。"
        en = "In every line the tile's rows are contiguous: both ways are the same, and everything coalesces."
    far = max(lines, key=lambda one: one.address / one.least)
    if far.address > far.least * FAR:
        zh += (
            f"第 {far.line} 行的 {far.tensor} 按地址排也要 {far.address:.3g} 个（最少 {far.least:.3g}）："
            "相邻的元素在内存里就隔得远，换排法没有用，要换数据的布局。"
        )
        en += (
            f" {far.tensor} in line {far.line} takes {far.address:.3g} by address too ({far.least:.3g} at "
            f"least): "
            "neighbours lie far apart in memory, which no order of lanes mends, only another layout of the "
            "data."
        )
    zh += (
        "下面回放的是这一行第一次访问的前几个 warp，按块的行排。"
        "编译器还会让每个 lane 一次拿 16 字节，扇区总数不变。"
    )
    en += (
        " What is played is the first access of that line, some warps of it, along rows. The compiler also "
        "lets "
        "each lane take 16 bytes at once, which leaves the sectors as many."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=SIMULATED,
        body=Text(zh=zh, en=en),
        source=SOURCE,
    )
