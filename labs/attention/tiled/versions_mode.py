"""What v1, v2, v3 and v4 changed: counted where it can be here, reported where it needs their hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.attention.tiled.fp8 import METHODS, error, with_outliers
from labs.attention.tiled.heads import layer_heads
from labs.attention.tiled.overlap import (
    CHIPS,
    MIX,
    SCORES,
    SOFTMAX,
    WARPGROUP_TILE,
    durations,
    matrix_share,
    schedule,
)
from labs.attention.tiled.predictions import BUSY
from labs.attention.tiled.reported import shares, speeds
from labs.formulas.flash_attention import Shape, Tile, keys_outer, queries_outer
from labs.formulas.occupancy import wave_efficiency
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Markdown,
    Metric,
    Provenance,
    Table,
    Timeline,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.attention.tiled.fp8 import Method
    from labs.attention.tiled.overlap import Bar, Rates
    from labs.context import Context
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_SIMULATED = Provenance.SIMULATED
TILES = 8
MULTIPROCESSORS = 108  # of an A100
FP8_TOKENS = 512
FORMULA = Text(
    zh="labs.formulas.flash_attention（与解释器逐运算的计数相等，见测试）",
    en="labs.formulas.flash_attention (equal to the interpreter's counts: a test)",
)
SIMULATION = Text(
    zh="按每时钟速率排的时间表，只有矩阵单元与指数单元",
    en="a schedule by rates per clock, of the matrix and the exponential unit alone",
)
_METHODS: dict[Method, Text] = {
    "tensor": Text(zh="整个张量一个缩放", en="a scale a tensor"),
    "block": Text(zh="每 64 行一个缩放", en="a scale for 64 rows"),
    "incoherent": Text(zh="先旋转，再每 64 行", en="rotated, then a scale for 64 rows"),
}


@dataclass(frozen=True)
class Study:
    """``rates`` of the chip; ``shape``: what a GPU is given at once."""

    rates: Rates
    shape: Shape
    layer: int
    head: int

    @property
    def work(self) -> tuple[float, float, float]:
        return durations(self.rates, *WARPGROUP_TILE, self.shape.dim)

    def bars(self, overlap: bool) -> list[Bar]:
        return schedule(self.work, TILES, 2, overlap=overlap)


def run_versions(
    ctx: Context, *, chip: str, dim: int, length: int, batch: int, layer: int, head: int
) -> Iterator[Result]:
    """Formulas and schedules first; the rounding to FP8 on the model's own numbers last."""
    config = ctx.model_config()
    study = Study(CHIPS[chip], Shape(batch, config.heads, config.kv_heads, length, length, dim), layer, head)
    yield from figures(study)
    yield orders_table(study)
    yield timeline(study, overlap=False)
    yield timeline(study, overlap=True)
    yield shares()
    yield speeds()
    if ctx.preview:
        return
    ctx.progress(0.3, Text(zh="把模型的 Q、K、V 取整到 FP8", en="rounding the model's Q, K and V to FP8"))
    errors = fp8_errors(ctx, study)
    yield fp8_bars(errors)
    yield explanation(study, errors)


def figures(study: Study) -> Iterator[Metric]:
    v1, v2 = keys_outer(study.shape, Tile(64, 64), 2), queries_outer(study.shape, Tile(128, 64), 2)
    pairs = study.shape.planes * study.shape.queries * study.shape.keys
    yield Metric(
        id="v2_vector",
        title=Text(zh="v2 每个分数的非矩阵运算", en="v2: other operations a score"),
        provenance=_ESTIMATED,
        unit="FLOP",
        value=v2.vector_flops / pairs,
        better="lower",
        help=Text(
            zh=f"v1 是 {v1.vector_flops / pairs:.2f}：它每块都把 O 乘两次、加一次、除一次。",
            en=f"v1: {v1.vector_flops / pairs:.2f}. It multiplies O twice, adds and divides in every tile.",
        ),
        source=FORMULA,
    )
    product, softmax, _ = study.work
    yield Metric(
        id="exponentials",
        title=Text(zh="指数的时间 ÷ 矩阵乘的时间", en="Time of exponentials over products"),
        provenance=_ESTIMATED,
        unit="%",
        value=100 * softmax / (2 * product),
        better="lower",
        help=Text(
            zh=f"{study.rates.name}：每 SM 每时钟 {study.rates.products} FLOP 的 FP16 矩阵乘，"
            f"{study.rates.exponentials} 次指数。头维度越小，占比越高。",
            en=f"{study.rates.name}: {study.rates.products} FP16 FLOPs of products a clock and SM, "
            f"{study.rates.exponentials} exponentials. The smaller the head, the larger the share.",
        ),
        source=SIMULATION,
    )
    yield Metric(
        id="overlap",
        title=Text(zh="乒乓调度下矩阵单元的忙碌", en="Matrix unit busy, ping-pong"),
        provenance=_SIMULATED,
        unit="%",
        value=100 * matrix_share(study.bars(overlap=True)),
        predicted=100 * min(1.0, 2 * product / max(2 * product, softmax)),
        formula=BUSY,
        better="higher",
        help=Text(
            zh=f"不重叠时 {matrix_share(study.bars(overlap=False)):.0%}。",
            en=f"Without overlap {matrix_share(study.bars(overlap=False)):.0%}.",
        ),
        source=SIMULATION,
    )


def orders_table(study: Study) -> Table:
    """v1 and v2 side by side, by the formulas that the kernels' counts equal."""
    v1, v2 = keys_outer(study.shape, Tile(64, 64), 2), queries_outer(study.shape, Tile(128, 64), 2)
    planes, blocks = study.shape.planes, -(-study.shape.queries // 128)
    names = ("v1（64 × 64）", "v2（128 × 64）"), ("v1 (64 × 64)", "v2 (128 × 64)")
    cells = [
        (v1, planes),
        (v2, planes * blocks),
    ]
    rows: list[list[Text | float | int | None]] = [
        [
            Text(zh=names[0][place], en=names[1][place]),
            programs,
            100 * wave_efficiency(programs, multiprocessors=MULTIPROCESSORS, resident=1),
            found.vector_flops / found.matrix_flops * 100,
            found.loaded / 2**20,
            found.stored / 2**20,
        ]
        for place, (found, programs) in enumerate(cells)
    ]
    return Table(
        id="orders",
        title=Text(zh="换一下循环的里外", en="Exchanging the loops"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="版本", en="version")),
            Column(
                title=Text(zh="线程块数", en="programs"),
                help=Text(
                    zh="v1：批 × 头。v2 再乘 Q 的块数，所以长序列、小批也能铺满 GPU。",
                    en="v1: batch × heads. v2: times the blocks of Q, so that long sequences fill a GPU.",
                ),
            ),
            Column(
                title=Text(zh="A100 的 108 个 SM 用上", en="of an A100's 108 SMs in use"),
                unit="%",
                help=Text(zh="每 SM 一个线程块，按波计。", en="One program an SM at a time, by waves."),
            ),
            Column(title=Text(zh="非矩阵 ÷ 矩阵 FLOP", en="other / matrix FLOPs"), unit="%"),
            Column(title=Text(zh="读", en="loads"), unit="MiB"),
            Column(title=Text(zh="写", en="stores"), unit="MiB"),
        ],
        rows=rows,
        highlight=1,
        source=FORMULA,
        wide=True,
    )


def timeline(study: Study, *, overlap: bool) -> Timeline:
    """Two warpgroups; the lane says whose work it is, the colour which unit it takes."""
    bars = study.bars(overlap)
    share = matrix_share(bars)
    name = (
        "ping_pong",
        "乒乓",
        "Ping-pong",
    )
    plain = ("in_turn", "一次只做一件事", "One thing at a time")
    id, zh, en = name if overlap else plain
    return Timeline(
        id=id,
        title=Text(zh=f"{zh}（矩阵单元忙 {share:.0%}）", en=f"{en} (matrix unit {share:.0%} busy)"),
        provenance=_SIMULATED,
        x=Axis(title=Text(zh=f"{study.rates.name} 的时钟", en=f"clocks of {study.rates.name}")),
        lanes=[Text(zh="线程束组 1", en="warpgroup 1"), Text(zh="线程束组 2", en="warpgroup 2")],
        lane=array([bar.warpgroup for bar in bars], "int64"),
        start=array([bar.start for bar in bars]),
        end=array([bar.end for bar in bars]),
        category=array([(SCORES, SOFTMAX, MIX).index(bar.what) for bar in bars], "int64"),
        categories=[
            Text(zh="S = QKᵀ（矩阵）", en="S = QKᵀ (matrix)"),
            Text(zh="指数", en="exponentials"),
            Text(zh="PV（矩阵）", en="PV (matrix)"),
        ],
        label=[same(f"{bar.tile + 1}") for bar in bars],
        help=Text(
            zh="乒乓：一个线程束组算 softmax 的指数时，另一个占着 Tensor Core。",
            en="Ping-pong: while one warpgroup has the softmax, the other has the Tensor Cores.",
        ),
        source=SIMULATION,
        wide=True,
    )


def fp8_errors(ctx: Context, study: Study) -> dict[str, dict[Method, float]]:
    """Of the model's own head, and of normal numbers with rare outliers."""
    from labs.models.texts import load_text

    text = load_text("evaluation.en")[:6000]
    q, k, v, _ = layer_heads(ctx, text, study.layer, FP8_TOKENS)
    group, head = len(q) // len(k), min(study.head, len(q) - 1)
    generator = ctx.generator()
    made = [with_outliers(len(q[0]), q.shape[2], generator) for _ in range(3)]
    found: dict[str, dict[Method, float]] = {}
    for name, tensors in (("model", (q[head], k[head // group], v[head // group])), ("outliers", made)):
        one, other, third = tensors
        found[name] = {method: error(one, other, third, method, ctx.generator()) for method in METHODS}
        ctx.check()
    return found


def fp8_bars(errors: dict[str, dict[Method, float]]) -> Bars:
    names = {
        "model": Text(zh="模型自己的 Q、K、V", en="the model's own Q, K, V"),
        "outliers": Text(zh="正态分布加千分之一离群值", en="normal, an outlier in a thousand"),
    }
    return Bars(
        id="fp8",
        title=Text(zh="Q、K、V 取整到 FP8 的误差", en="Error of Q, K and V rounded to FP8"),
        help=Text(
            zh="注意力结果的相对均方根误差。旋转：Q、K 同乘一个随机正交矩阵，QKᵀ 不变，离群值摊开了。",
            en="Relative root mean square error of attention. Rotated: Q and K times one random orthogonal "
            "matrix, which leaves QKᵀ as it is and spreads outliers.",
        ),
        provenance=_MEASURED,
        unit="%",
        categories=list(_METHODS.values()),
        series=[
            BarSeries(name=names[name], values=array([100 * found[method] for method in METHODS]))
            for name, found in errors.items()
        ],
        y=Axis(title=Text(zh="相对误差", en="relative error"), unit="%"),
        source=Text(
            zh=f"torch 的 float8_e4m3fn，其余运算 FP64，无掩码，{FP8_TOKENS} 个 token",
            en=f"torch's float8_e4m3fn, all else in FP64, no mask, {FP8_TOKENS} tokens",
        ),
    )


def explanation(study: Study, errors: dict[str, dict[Method, float]]) -> Markdown:
    v1, v2 = keys_outer(study.shape, Tile(64, 64), 2), queries_outer(study.shape, Tile(128, 64), 2)
    planes, blocks = study.shape.planes, -(-study.shape.queries // 128)
    product, softmax, _ = study.work
    apart, together = (matrix_share(study.bars(overlap)) for overlap in (False, True))
    own, made = errors["model"], errors["outliers"]
    there = study.rates == CHIPS["b200"]
    choose_zh, choose_en = ("", "") if there else ("把芯片换成 B200 看占比。", " Choose B200 above.")
    body = Text(
        zh=f"**v1 → v2。** 循环里外一换，线程块从 {planes} 个变成 {planes * blocks} 个；O 不再进出显存，写的"
        f"字节是 v1 的 {v2.stored / v1.stored:.1%}；非矩阵运算是 v1 的 "
        f"{v2.vector_flops / v1.vector_flops:.0%}。"
        f"\n\n**v2 → v3。** {study.rates.name} 上头维度 {study.shape.dim} 时，指数要占矩阵乘时间的 "
        f"{softmax / (2 * product):.0%}。一件一件做，矩阵单元只忙 {apart:.0%}；两个线程束组错开，"
        f"{together:.0%}。v3 用专门的线程束经 TMA 搬数据，再用屏障排出这个乒乓。"
        f"\n\n**FP8。** 千分之一的离群值下，误差从 {made['tensor']:.1%}（整个张量一个缩放）到 "
        f"{made['block']:.1%}（分块）再到 {made['incoherent']:.1%}（先旋转）。E4M3 自带指数，缩放分得细不细"
        "差别"
        "不大；离群值自己舍入的绝对误差才大，旋转把它摊到各维，误差就小了。这一层模型自己的数："
        f"{own['tensor']:.1%}、{own['block']:.1%}、{own['incoherent']:.1%}。论文报告 v3 的 FP8 误差比基线小 "
        "2.6 倍。"
        "\n\n**v4（Blackwell）。** 矩阵乘又快一倍，指数单元没变，瓶颈成了指数：v4 用多项式在 FMA 单元上算一"
        f"部分指数，并在最大值变化不大时跳过重缩放。{choose_zh}",
        en=f"**v1 to v2.** Exchanging the loops makes {planes * blocks} programs of {planes}; O no longer "
        f"passes through memory, stores are {v2.stored / v1.stored:.1%} of v1's; other operations are "
        f"{v2.vector_flops / v1.vector_flops:.0%} of v1's.\n\n**v2 to v3.** On {study.rates.name} with heads "
        f"of {study.shape.dim}, exponentials take {softmax / (2 * product):.0%} of the products' time. One "
        f"thing at a time keeps the matrix unit {apart:.0%} busy; two warpgroups out of step, "
        f"{together:.0%}. "
        "v3 has warps of their own to move data by TMA, and barriers that keep this ping-pong.\n\n**FP8.** "
        f"With an outlier in a thousand the error goes from {made['tensor']:.1%} (a scale a tensor) to "
        f"{made['block']:.1%} (blocks) to {made['incoherent']:.1%} (rotated first). E4M3 has an exponent, so "
        "finer scales change little; what is large is the rounding of the outliers themselves, and rotating "
        f"spreads it. The model's own numbers in this layer: {own['tensor']:.1%}, {own['block']:.1%}, "
        f"{own['incoherent']:.1%}. "
        "The paper reports 2.6 times less error than a baseline in FP8.\n\n**v4 (Blackwell).** Products are "
        "twice as fast again, exponentials are not: they become the bottleneck. v4 computes part of them by "
        f"a polynomial on the FMA units and skips rescaling where the maximum hardly moves.{choose_en}",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_ESTIMATED,
        source=FORMULA,
        body=body,
        wide=True,
    )
