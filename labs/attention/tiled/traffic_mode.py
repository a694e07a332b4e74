"""Traffic: bytes counted in the kernels' own loads and stores, in both loop orders, and the formulas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.attention.tiled.counting import Counted, counted
from labs.attention.tiled.predictions import V1_BYTES, V2_BYTES
from labs.attention.tiled.walk_study import ORDERS
from labs.formulas.flash_attention import Shape, Tile, keys_outer, queries_outer, three_kernels
from labs.inspection.process import kernel_process
from labs.results import Axis, Column, Lines, Mark, Markdown, Metric, Provenance, Series, Table, array
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.attention.tiled.walk import Order
    from labs.context import Context
    from labs.formulas.flash_attention import Movement
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
HEAD_DIM, ELEMENT = 64, 2
SWEEP = (16, 32, 64, 128)
LENGTHS = tuple(2**power for power in range(7, 18))
_KIB = 1024
COUNTED = Text(
    zh="Triton 解释器逐地址数内核自己的读写，一个头，FP16，头维度 64",
    en="the kernel's loads and stores by address in Triton's interpreter: one head, FP16, head dim 64",
)
FORMULA = Text(
    zh="labs.formulas.flash_attention：queries_outer、keys_outer、three_kernels",
    en="labs.formulas.flash_attention: queries_outer, keys_outer, three_kernels",
)
_FIGURES: dict[Order, tuple[str, Text]] = {
    "queries_outer": ("v2_bytes", V2_BYTES),
    "keys_outer": ("v1_bytes", V1_BYTES),
}


@dataclass
class Study:
    """``counts[order, tile]`` by the interpreter."""

    length: int
    tile: Tile
    causal: bool
    counts: dict[tuple[Order, Tile], Counted] = field(default_factory=dict)

    def shape(self, length: int = 0) -> Shape:
        return Shape(1, 1, 1, length or self.length, length or self.length, HEAD_DIM)

    def expected(self, order: Order, tile: Tile, length: int = 0) -> Movement:
        formula = queries_outer if order == "queries_outer" else keys_outer
        return formula(self.shape(length), tile, ELEMENT, causal=self.causal)

    def naive(self, length: int = 0) -> Movement:
        return three_kernels(self.shape(length), ELEMENT)


def run_traffic(ctx: Context, *, length: int, rows: int, columns: int, causal: bool) -> Iterator[Result]:
    """Both orders at the chosen tile, then square tiles of all sizes."""
    study = Study(length, Tile(rows, columns), causal)
    yield lengths_curve(study)
    if ctx.preview:
        return
    process = kernel_process(ctx, "interpret")
    squares = [Tile(side, side) for side in SWEEP if side <= length]
    wanted = [(order, tile) for tile in [study.tile, *squares] for order in ORDERS]
    for number, (order, tile) in enumerate(wanted):
        ctx.progress(
            number / len(wanted),
            Text(
                zh=f"解释器逐个程序地跑：{ORDERS[order].zh}，{tile.rows} × {tile.columns}",
                en=f"the interpreter runs program by program: {ORDERS[order].en}, "
                f"{tile.rows} × {tile.columns}",
            ),
        )
        if (order, tile) not in study.counts:
            study.counts[order, tile] = process.ask(
                counted,
                ctx.check,
                order=order,
                length=length,
                dim=HEAD_DIM,
                rows=tile.rows,
                columns=tile.columns,
                causal=causal,
            )
        if number == 1:
            yield from figures(study)
            yield tensors_table(study)
        if number > 1 and number % 2:
            yield tile_curve(study)
    yield explanation(study)


def figures(study: Study) -> Iterator[Metric]:
    for order, (name, formula) in _FIGURES.items():
        found = study.counts[order, study.tile]
        yield Metric(
            id=name,
            title=Text(zh=f"{ORDERS[order].zh}：进出显存", en=f"{ORDERS[order].en}: bytes moved"),
            provenance=_MEASURED,
            unit="B",
            value=float(found.moved),
            predicted=float(study.expected(order, study.tile).moved),
            formula=formula,
            better="lower",
            help=Text(
                zh=f"内核结果与朴素公式相差 {found.difference:.1e}（允许 {found.tolerance:g}）。",
                en=f"The kernel is {found.difference:.1e} off the naive formula ({found.tolerance:g} "
                "allowed).",
            ),
            source=COUNTED,
        )
    yield Metric(
        id="naive_bytes",
        title=Text(zh="朴素的三个内核", en="Three naive kernels"),
        provenance=_ESTIMATED,
        unit="B",
        value=float(study.naive().moved),
        better="lower",
        help=Text(
            zh="QKᵀ 写出 S，softmax 读 S 写 P，PV 读 P：两个 N × N 矩阵各写一遍读一遍。",
            en="QKᵀ writes S, softmax reads S and writes P, PV reads P: two N × N matrices, written and "
            "read.",
        ),
        source=FORMULA,
    )


def tensors_table(study: Study) -> Table:
    """Who is read again, by tensor."""
    one, other = (
        {moved.tensor: moved for moved in study.counts[order, study.tile].tensors} for order in ORDERS
    )
    size = study.length * HEAD_DIM * ELEMENT
    rows: list[list[Text | float | int | None]] = [
        [
            same(name),
            (size if name in "QKVO" else study.length * 4) / _KIB,
            one[name].loaded / _KIB if name in one else None,
            one[name].stored / _KIB if name in one else None,
            other[name].loaded / _KIB if name in other else None,
            other[name].stored / _KIB if name in other else None,
        ]
        for name in ("Q", "K", "V", "O", "m", "ℓ")
    ]
    return Table(
        id="tensors",
        title=Text(zh="谁被读了几遍", en="What is read how often"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="张量", en="tensor")),
            Column(title=Text(zh="大小", en="size"), unit="KiB"),
            Column(title=Text(zh="v2 读", en="v2 loads"), unit="KiB"),
            Column(title=Text(zh="v2 写", en="v2 stores"), unit="KiB"),
            Column(title=Text(zh="v1 读", en="v1 loads"), unit="KiB"),
            Column(title=Text(zh="v1 写", en="v1 stores"), unit="KiB"),
        ],
        rows=rows,
        source=COUNTED,
        wide=True,
    )


def tile_curve(study: Study) -> Lines:
    """Bytes against square tiles: counted points on the formulas' lines."""
    series = []
    for order, name in ORDERS.items():
        sides = [side for side in SWEEP if (order, Tile(side, side)) in study.counts]
        series.append(
            Series(
                name=name,
                x=array(sides),
                y=array([study.counts[order, Tile(side, side)].moved / _KIB for side in sides]),
            )
        )
        every = [side for side in SWEEP if side <= study.length]
        series.append(
            Series(
                name=Text(zh=f"公式 {name.zh[:2]}", en=f"formula {name.en[:2]}"),
                x=array(every),
                y=array([study.expected(order, Tile(side, side)).moved / _KIB for side in every]),
                provenance=_ESTIMATED,
                reference=True,
            )
        )
    ends = array([SWEEP[0], min(SWEEP[-1], study.length)])
    for value, title in (
        (study.naive().moved, Text(zh="朴素", en="naive")),
        (sum(study.shape().compulsory(ELEMENT)), Text(zh="至少", en="at least")),
    ):
        series.append(
            Series(name=title, x=ends, y=array([value / _KIB] * 2), provenance=_ESTIMATED, reference=True)
        )
    return Lines(
        id="tile_curve",
        title=Text(zh="块越大，进出显存越少", en="Larger tiles move less"),
        provenance=_MEASURED,
        unit="KiB",
        x=Axis(title=Text(zh="方块的边长", en="side of a square tile"), log=True),
        y=Axis(title=Text(zh="进出显存", en="moved"), unit="KiB", log=True),
        series=series,
        source=COUNTED,
    )


def lengths_curve(study: Study) -> Lines:
    """The formulas over lengths: all are quadratic; what differs is the factor."""
    x = array(LENGTHS)
    series = [
        Series(
            name=Text(zh="朴素，三个内核", en="naive, three kernels"),
            x=x,
            y=array([study.naive(length).moved / 2**20 for length in LENGTHS]),
        )
    ]
    for order, name in reversed(ORDERS.items()):
        y = [study.expected(order, study.tile, length).moved / 2**20 for length in LENGTHS]
        series.append(Series(name=name, x=x, y=array(y)))
    least = [sum(study.shape(length).compulsory(ELEMENT)) / 2**20 for length in LENGTHS]
    series.append(
        Series(name=Text(zh="Q、K、V、O 各一遍", en="Q, K, V, O once"), x=x, y=array(least), reference=True)
    )
    return Lines(
        id="lengths",
        title=Text(zh="一个头的流量随长度", en="Traffic of a head against its length"),
        help=Text(
            zh="三条都是 N² 的：分块省的是系数（块的高度分之一），不是阶。省掉的那个阶是占用的内存。",
            en="All three grow as N²: tiles lower the factor, not the order. The order that goes is the "
            "memory's.",
        ),
        provenance=_ESTIMATED,
        unit="MiB",
        x=Axis(title=Text(zh="序列长度", en="sequence length"), unit="token", log=True),
        y=Axis(title=Text(zh="进出显存", en="moved"), unit="MiB", log=True),
        series=series,
        marks=[Mark(x=float(study.length), name=Text(zh="数过的", en="counted"))],
        markers=False,
        source=FORMULA,
    )


def explanation(study: Study) -> Markdown:
    v2, v1 = (study.counts[order, study.tile] for order in ORDERS)
    naive, least = study.naive().moved, sum(study.shape().compulsory(ELEMENT))
    passed = sum(one.passed for one in study.counts.values())
    exact = sum(one.moved == study.expected(order, tile).moved for (order, tile), one in study.counts.items())
    sides = [side for side in SWEEP if ("queries_outer", Tile(side, side)) in study.counts]
    small, large = (study.counts["queries_outer", Tile(side, side)].moved for side in (sides[0], sides[-1]))
    long = 4096
    ratio = study.naive(long).moved / study.expected("queries_outer", study.tile, long).moved
    half = 2 * HEAD_DIM / study.tile.rows, 3 * HEAD_DIM / study.tile.columns
    body = Text(
        zh=f"**数出来的。** {len(study.counts)} 次运行，{passed} 次通过检查，{exact} 次的字节数与公式一字节"
        f"不差。块 {study.tile.rows} × {study.tile.columns} 时 v2 动了 {v2.moved:,} B，v1 {v1.moved:,} B，"
        f"朴素至少 {naive:,} B，下限（各一遍）{least:,} B。\n\n**谁在重读。** v1 每来一块 K，所有的 Q、O 都要"
        "过一遍，O 还要写回；v2 的 O 只写一次，重读的只有 K 和 V。看表里 O 那一行。长序列时 v2 约动 2d/行数 "
        "× "
        f"N² = {half[0]:.2g} N² 个数，v1 约 3d/键数 × N² = {half[1]:.2g} N² 个，朴素 4 N² 个（无掩码）："
        "两种次序各由块的一条边说了算，v2 的好处更在于并行和少做的非矩阵运算。\n\n**块多大。** "
        f"边长从 {sides[0]} 到 {sides[-1]}，v2 的流量降到 {large / small:.0%}：K、V 重读 N ÷ 行数 遍。\n\n"
        f"**到了 {long} 个 token**，同样的块，朴素是 v2 的 {ratio:.1f} 倍。这是内核要的字节：真实的 GPU 上，"
        "重读的 K、V 多半由 L2 缓存供给，到显存的更少；朴素的 N × N 矩阵大到 L2 装不下，省不掉。",
        en=f"**Counted.** Of {len(study.counts)} runs {passed} passed their check, and in {exact} the bytes "
        f"equal the formula exactly. With tiles of {study.tile.rows} × {study.tile.columns} v2 moves "
        f"{v2.moved:,} B, v1 {v1.moved:,} B, naive at least {naive:,} B; each tensor once is {least:,} B."
        "\n\n**What is read again.** In v1 all of Q and O pass with every tile of K, and O is stored again; "
        "v2 stores O once, and only K and V are read again: see the row of O in the table. For long "
        f"sequences v2 moves about 2d / rows × N² = {half[0]:.2g} N² numbers, v1 3d / keys × N² = "
        f"{half[1]:.2g} N², naive 4 N² (no mask). One side of the tile decides in either order; what v2 "
        "gains "
        "beside is parallelism and fewer other operations.\n\n"
        f"**How large a tile.** From a side of {sides[0]} to {sides[-1]} v2's traffic falls to "
        f"{large / small:.0%}: K and V are read N / rows times.\n\n**At {long} tokens** with these tiles "
        f"naive moves {ratio:.1f} times what v2 does. These are bytes that the kernel asks for: on a real "
        "GPU "
        "the L2 cache serves most of the repeated reads of K and V; naive's N × N matrices do not fit there.",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=body,
        wide=True,
    )
