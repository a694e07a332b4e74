"""Tile size against what a multiprocessor has: registers, spills, shared memory, occupancy, and traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.attention.tiled.compiling import KEYS, Built, built
from labs.attention.tiled.predictions import SHARED, shared_bytes
from labs.formulas.flash_attention import (
    Shape,
    Tile,
    accumulator_registers,
    queries_outer,
)
from labs.formulas.occupancy import MULTIPROCESSORS
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.results import Axis, Column, Lines, Mark, Markdown, Metric, Provenance, Series, Table, array
from labs.spec import LabError
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.inspection.compiled import Target
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
ELEMENT = 2
_KIB = 1024
SIDES = (32, 64, 128, 256)
OTHERS = ((64, 32), (64, 64), (64, 128), (128, 32), (128, 64), (128, 128), (256, 64))
METHOD = Text(
    zh="Triton 离线编译 labs.ops.flash_attention，FP16，因果；寄存器与溢出由 cuobjdump（AMD：汇编元数据）读"
    "出",
    en="labs.ops.flash_attention compiled offline by Triton, FP16, causal; registers and spills as cuobjdump "
    "(AMD: the assembly's metadata) tells them",
)
FORMULA = Text(
    zh="labs.formulas.flash_attention 与 labs.formulas.occupancy",
    en="labs.formulas.flash_attention and labs.formulas.occupancy",
)
_LIMITERS = {
    "warps": Text(zh="线程束", en="warps"),
    "blocks": Text(zh="线程块数", en="blocks"),
    "registers": Text(zh="寄存器", en="registers"),
    "shared": Text(zh="共享内存", en="shared memory"),
}


@dataclass
class Study:
    """``found[tile]``; the first tile is the chosen one."""

    target: Target
    dim: int
    chosen: Tile
    warps: int
    stages: int
    found: dict[Tile, Built] = field(default_factory=dict)

    def warps_of(self, tile: Tile) -> int:
        """The chosen number for the chosen tile; else four, or eight from 128 rows on."""
        return self.warps if tile == self.chosen else 8 if tile.rows >= 128 else 4

    def shared(self, tile: Tile) -> int:
        return shared_bytes(self.target, tile, self.dim, self.stages)

    def traffic(self, rows: int) -> int:
        """Bytes that a head of 4,096 tokens moves, causal."""
        shape = Shape(1, 1, 1, KEYS, KEYS, self.dim)
        return queries_outer(shape, Tile(rows, min(rows, 64)), ELEMENT, causal=True).moved


def run_tile(
    ctx: Context, *, target: Target, dim: int, rows: int, columns: int, warps: int, stages: int
) -> Iterator[Result]:
    """The chosen tile first, then others beside it. LabError where Triton is missing."""
    study = Study(target, dim, Tile(rows, columns), warps, stages)
    yield traffic_curve(study)
    if ctx.preview:
        return
    if not HAS_TRITON:
        raise LabError(NO_TRITON)
    process = kernel_process(ctx, "compile")
    tiles = [study.chosen, *(Tile(*other) for other in OTHERS if other != study.chosen)]
    for number, tile in enumerate(tiles):
        ctx.progress(
            number / len(tiles),
            Text(
                zh=f"编译 {tile.rows} × {tile.columns}，{target}",
                en=f"compiling {tile.rows} × {tile.columns} for {target}",
            ),
        )
        study.found[tile] = process.ask(
            built,
            ctx.check,
            target=target,
            dim=dim,
            rows=tile.rows,
            columns=tile.columns,
            warps=study.warps_of(tile),
            stages=stages,
        )
        if not number:
            yield from figures(study)
        yield table(study)
    yield explanation(study)


def figures(study: Study) -> Iterator[Metric]:
    one = study.found[study.chosen].compiled
    if one is None:
        return
    yield Metric(
        id="shared",
        title=Text(zh="一个线程块的共享内存", en="Shared memory of a block"),
        provenance=_MEASURED,
        unit="B",
        value=float(one.shared_bytes),
        predicted=float(study.shared(study.chosen)),
        formula=SHARED,
        better="lower",
        source=METHOD,
    )
    least = accumulator_registers(study.chosen, study.dim, one.warps * MULTIPROCESSORS[study.target].warp)
    yield Metric(
        id="registers",
        title=Text(zh="每线程寄存器", en="Registers a thread"),
        provenance=_MEASURED,
        value=float(one.registers),
        better="lower",
        help=Text(
            zh=f"其中 {least:.0f} 个放这一块的 S 和 O（FP32 累加）。上限 255（AMD 512）。",
            en=f"Of these {least:.0f} hold the piece of S and O (accumulated in FP32). 255 at most (AMD: "
            "512).",
        ),
        source=METHOD,
    )
    yield Metric(
        id="spilled",
        title=Text(zh="寄存器溢出", en="Spilled registers"),
        provenance=_MEASURED,
        unit="B",
        value=float(one.spill_bytes),
        better="lower",
        help=Text(
            zh="放不下的寄存器落到“本地内存”，也就是显存和缓存。应当为 0。",
            en="What registers cannot hold goes to local memory, that is to caches and HBM. Should be 0.",
        ),
        source=METHOD,
    )
    yield Metric(
        id="occupancy",
        title=Text(zh="占用率", en="Occupancy"),
        provenance=_ESTIMATED,
        unit="%",
        value=100 * one.residency.occupancy,
        help=Text(
            zh="同时驻留的线程束占上限之比。FlashAttention 故意用很低的占用率换大块。",
            en="Warps resident at once, as a share of what fits. FlashAttention trades it for large tiles.",
        ),
        source=FORMULA,
    )


def table(study: Study) -> Table:
    """A row a tile, small ones first."""
    rows: list[list[Text | float | int | None]] = []
    order = sorted(study.found)
    chip = MULTIPROCESSORS[study.target]
    for tile in order:
        one = study.found[tile].compiled
        name = same(f"{tile.rows} × {tile.columns}")
        traffic = study.traffic(tile.rows) / 2**20
        if one is None:
            rows.append([name, study.warps_of(tile), *[None] * 6, _refused(study.found[tile]), traffic])
            continue
        limiters = [_LIMITERS[name] for name in one.residency.limiters]
        verdict = Text(
            zh="、".join(text.zh for text in limiters), en=" and ".join(text.en for text in limiters)
        )
        rows.append(
            [
                name,
                one.warps,
                one.registers,
                accumulator_registers(tile, study.dim, one.warps * chip.warp),
                one.spill_bytes,
                one.shared_bytes / _KIB,
                one.residency.blocks if one.fits else 0,
                100 * one.residency.occupancy if one.fits else 0.0,
                verdict if one.fits else Text(zh="放不下", en="does not fit"),
                traffic,
            ]
        )
    return Table(
        id="tiles",
        title=Text(
            zh=f"块大小与 {study.target}（{chip.example}）",
            en=f"Tile size on {study.target} ({chip.example})",
        ),
        help=Text(
            zh=f"共享内存上限：每块 {chip.shared_a_block // _KIB} KiB，每 SM {chip.shared // _KIB} KiB。",
            en=f"Shared memory: {chip.shared_a_block // _KIB} KiB a block, {chip.shared // _KIB} KiB an SM.",
        ),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="Q 块 × K 块", en="rows × keys")),
            Column(title=Text(zh="线程束", en="warps")),
            Column(title=Text(zh="寄存器 / 线程", en="registers a thread")),
            Column(
                title=Text(zh="S 与 O 占", en="for S and O"),
                provenance=_ESTIMATED,
                help=Text(
                    zh="(行 × 键 + 行 × d) ÷ 线程数：累加器本身要的寄存器。",
                    en="(rows × keys + rows × d) / threads: what the accumulators alone take.",
                ),
            ),
            Column(title=Text(zh="溢出", en="spilled"), unit="B"),
            Column(title=Text(zh="共享内存", en="shared memory"), unit="KiB"),
            Column(title=Text(zh="每 SM 线程块", en="blocks an SM"), provenance=_ESTIMATED),
            Column(title=Text(zh="占用率", en="occupancy"), unit="%", provenance=_ESTIMATED),
            Column(title=Text(zh="受限于", en="limited by"), provenance=_ESTIMATED),
            Column(
                title=Text(zh="一个头的流量", en="traffic of a head"),
                unit="MiB",
                provenance=_ESTIMATED,
                help=Text(
                    zh=f"{KEYS} 个 token，因果，不算缓存。只随 Q 块的行数变。",
                    en=f"{KEYS} tokens, causal, without caches. It goes by the rows of Q alone.",
                ),
            ),
        ],
        rows=rows,
        highlight=order.index(study.chosen),
        source=METHOD,
        wide=True,
    )


def _refused(one: Built) -> Text:
    return Text(zh=f"编译失败：{one.error}", en=f"refused: {one.error}")


def traffic_curve(study: Study) -> Lines:
    """Traffic and the on-chip bytes that it costs, against the rows of Q."""
    x = array(SIDES)
    return Lines(
        id="rows",
        title=Text(zh="块越高，流量越少，占得越多", en="Taller blocks: less traffic, more on the chip"),
        provenance=_ESTIMATED,
        unit="KiB",
        x=Axis(title=Text(zh="Q 块的行数", en="rows of the Q block"), log=True),
        y=Axis(title=Text(zh="字节", en="bytes"), unit="KiB", log=True),
        series=[
            Series(
                name=Text(zh="一个头的流量", en="traffic of a head"),
                x=x,
                y=array([study.traffic(rows) / _KIB for rows in SIDES]),
            ),
            Series(
                name=Text(zh="一个线程块的共享内存", en="shared memory of a block"),
                x=x,
                y=array([study.shared(Tile(rows, study.chosen.columns)) / _KIB for rows in SIDES]),
            ),
        ],
        marks=[Mark(x=float(study.chosen.rows), name=Text(zh="所选", en="chosen"))],
        source=FORMULA,
    )


def explanation(study: Study) -> Markdown:
    chip = MULTIPROCESSORS[study.target]
    known = {tile: one.compiled for tile, one in study.found.items() if one.compiled}
    spilled = [tile for tile, one in known.items() if one.spill_bytes]
    outside = [tile for tile, one in known.items() if not one.fits]
    good = [tile for tile, one in known.items() if one.fits and not one.spill_bytes]
    zh, en = [], []
    one = known.get(study.chosen)
    if one is not None:
        limits, used = one.residency.limits, study.found[study.chosen].instructions
        zh.append(
            f"**所选的 {study.chosen.rows} × {study.chosen.columns}。** 每线程 {one.registers} 个寄存器，共享"
            f"内存 {one.shared_bytes / _KIB:.0f} KiB。寄存器允许每个 SM {limits['registers']} 个线程块，共享"
            "内存"
            f"允许 {limits['shared']} 个，取小的：占用率 {one.residency.occupancy:.0%}。用到的矩阵指令："
            f"{'、'.join(used) or '无'}。"
        )
        en.append(
            f"**The chosen {study.chosen.rows} × {study.chosen.columns}** takes {one.registers} registers a "
            f"thread and {one.shared_bytes / _KIB:.0f} KiB of shared memory. Registers would allow "
            f"{limits['registers']} blocks an SM, shared memory {limits['shared']}; the smaller one counts: "
            f"occupancy {one.residency.occupancy:.0%}. Matrix instructions: "
            f"{', '.join(used) or 'none'}."
        )
    zh.append(
        "**两头都有墙。** 块矮：K、V 要重读“N ÷ 行数”遍，每读一字节只做“行数”次 FLOP，喂不饱 Tensor Core。"
        "块高：S 与 O 的累加器占的寄存器按“行 × (键 + d)”增长，"
        f"{_named_zh(spilled, '溢出', '没有一个溢出')}；"
        f"{_named_zh(outside, '放不下共享内存', '共享内存都放得下')}。"
    )
    en.append(
        "**A wall at either end.** Low blocks read K and V N / rows times and do only as many FLOPs a loaded "
        "byte as they have rows: too few for the matrix units. Tall ones need rows × (keys + d) registers "
        f"for S and O: {_named_en(spilled)} spill, {_named_en(outside)} exceed shared memory."
    )
    if good:
        best = max(good, key=lambda tile: (tile.rows, -tile.columns))
        zh.append(
            f"**怎么选。** 在不溢出、放得下的块里取最高的：这里是 {best.rows} 行。{chip.example} 上 K 块宽度"
            "只影响循环次数和流水线，不影响流量，够喂饱矩阵指令就行。最后一步永远是实测：autotune。"
        )
        en.append(
            f"**Choosing.** Of those that fit without spills the tallest: {best.rows} rows here. The width "
            "of "
            "the tile of keys changes the number of rounds and the pipeline, not the traffic. The last step "
            "is always to measure: autotuning."
        )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(zh), en="\n\n".join(en)),
        wide=True,
    )


def _named_zh(tiles: list[Tile], what: str, none: str) -> str:
    names = "、".join(f"{tile.rows} × {tile.columns}" for tile in sorted(tiles))
    return f"{names} {what}" if names else none


def _named_en(tiles: list[Tile]) -> str:
    return ", ".join(f"{tile.rows} × {tile.columns}" for tile in sorted(tiles)) or "none"
