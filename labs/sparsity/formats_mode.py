"""Formats: a corner of a pruned layer with its arrays, bytes of each format, error of each pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labs.formulas import sparsity as formulas
from labs.quantization.reduction import reduce_max
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Code,
    CodePane,
    Column,
    Heatmap,
    Lines,
    Mark,
    Markdown,
    Metric,
    Provenance,
    Series,
    Table,
    TileRuns,
    Tiles,
    TileTensor,
    array,
)
from labs.sparsity.formats import NAMES, Encoded, Format, encode
from labs.sparsity.layer import Pruned, pruned
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.results import Result
    from labs.sparsity.patterns import Pattern, Score

_CORNER, _CORNER_BLOCK = 8, 4
_DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
PATTERNS: dict[Pattern, Text] = {
    "unstructured": Text(zh="非结构化", en="unstructured"),
    "two_four": same("2:4"),
    "block": Text(zh="整块", en="blocks"),
}
SCORES: dict[Score, Text] = {"magnitude": Text(zh="幅值", en="magnitude"), "wanda": same("Wanda")}
_SWEEP = np.linspace(0.0, 0.95, 20)


def run_formats(ctx: Context, params: Any) -> Iterator[Result]:
    ctx.progress(0.1, Text(zh="剪枝真实的层", en="Pruning a real layer"))
    found = layer_of(ctx, params)
    weight = found.weight.to(_DTYPES[params.dtype])
    encoded = [one for kind in NAMES if (one := encode(weight, kind, params.block)) is not None]
    yield from figures(found, encoded, params)
    shown = corner(found.weight, params)
    yield drawn(shown)
    yield written(shown, params.show)
    yield bytes_table(encoded, found)
    yield byte_lines(weight, found.sparsity, params.block)
    if ctx.preview:
        return
    yield picture(found)
    errors = yield from pattern_errors(ctx, params)
    yield explanation(found, encoded, errors, params)


def layer_of(ctx: Context, params: Any) -> Pruned:
    share = params.sparsity / 100
    return pruned(ctx, params.layer, params.module, params.pattern, share, params.score, params.block)


def figures(found: Pruned, encoded: list[Encoded], params: Any) -> Iterator[Metric]:
    csr = next(one for one in encoded if one.kind == "csr")
    dense = encoded[0]
    yield Metric(
        id="csr_share",
        title=Text(zh="CSR ÷ 稠密", en="CSR / dense"),
        help=Text(
            zh="CSR 三个数组的字节，比稠密矩阵的。大于 1：压缩反而更大。",
            en="Bytes of CSR's three arrays over the dense matrix's. Above 1: compressing enlarges.",
        ),
        provenance=Provenance.MEASURED,
        unit="×",
        value=csr.allocated / dense.allocated,
        better="lower",
        source=Text(zh="分配的张量的 nbytes", en="nbytes of the allocated tensors"),
    )
    yield Metric(
        id="error",
        title=Text(zh="剪枝后的输出误差", en="Output error after pruning"),
        help=Text(
            zh="这一层在 128 个真实 token 上的输出，与原来之差的范数 ÷ 原来的范数。未微调。",
            en="Of this layer on 128 real tokens: the norm of the difference over that of the output. No "
            "fine-tuning.",
        ),
        provenance=Provenance.MEASURED,
        value=found.error,
        better="lower",
    )


def corner_of(weight: Tensor, block: int) -> Tensor:
    """Eight by eight: the first that is not full, on a corner of blocks, so that both kinds are in sight."""
    step = max(block, _CORNER)
    for row in range(step - _CORNER_BLOCK, weight.shape[0] - _CORNER, step):
        for column in range(step - _CORNER_BLOCK, weight.shape[1] - _CORNER, step):
            corner = weight[row : row + _CORNER, column : column + _CORNER]
            if 0 < int((corner != 0).sum()) < _CORNER * _CORNER:
                return corner.contiguous()
    return weight[:_CORNER, :_CORNER].contiguous()


def corner(weight: Tensor, params: Any) -> Tensor:
    """Eight by eight; of 2:4 it begins with a group of four, of blocks it straddles some."""
    if params.pattern == "block":
        return corner_of(weight, params.block)
    return weight[:_CORNER, :_CORNER].contiguous()


def drawn(shown: Tensor) -> Tiles:
    values = array(shown.double().numpy().round(3))
    name = Text(zh="权重", en="weights")
    return Tiles(
        id="corner",
        title=Text(zh="角上 8×8 的权重", en="A corner of 8 × 8 weights"),
        provenance=Provenance.MEASURED,
        help=Text(
            zh="留下的权重着色；放大可见数值。它在各格式里怎样存，看旁边的数组。",
            en="Kept weights are coloured; zoom in for their values. How a format stores them stands beside.",
        ),
        tensors=[TileTensor(name=name, rows=_CORNER, columns=_CORNER, values=values)],
        runs=kept_runs(shown),
        categories=[Text(zh="留下", en="kept")],
    )


def written(shown: Tensor, kind: Format) -> Code:
    """The arrays of a format, as text."""
    found = encode(shown, kind, _CORNER_BLOCK)
    if found is None:
        text = "-  2:4: a group of four keeps three or more\n"
    else:
        text = "\n".join(f"{name} =\n{_numbers(one)}" for name, one in found.arrays.items())
    return Code(
        id="arrays",
        title=Text(zh=f"这一角的 {NAMES[kind].zh} 数组", en=f"The corner's arrays in {NAMES[kind].en}"),
        provenance=Provenance.MEASURED,
        help=Text(
            zh="BSR 在这里用 4×4 的块。2:4 的 meta 一个字节管两组，低四位是前一组：第一个值的位置 + 4 × 第"
            "二个值"
            "的位置。位图一个字节管一行，最低位是第一列。",
            en="BSR has blocks of 4 × 4 here. A byte of 2:4's meta describes two groups, the earlier in "
            "the low "
            "nibble: place of the first value + 4 × place of the second. A byte of the bitmap is a row, its "
            "lowest bit the first column.",
        ),
        panes=[CodePane(name=NAMES[kind], language="text", text=text)],
    )


def _numbers(values: Tensor) -> str:
    """Rows as they are stored, eight numbers a line; a blank line between blocks."""
    if values.ndim == 3:
        return "\n".join(_numbers(block) for block in values)
    rows = values if values.ndim == 2 else values[None]
    form = "{:7.3f}" if values.is_floating_point() else "{:4d}"
    lines = [
        " ".join(form.format(one) for one in row[first : first + _CORNER])
        for row in rows.tolist()
        for first in range(0, len(row), _CORNER)
    ]
    return "\n".join(lines) + "\n"


def kept_runs(corner: Tensor) -> TileRuns:
    rows, columns = (one.numpy() for one in (corner != 0).nonzero(as_tuple=True))
    zeros = np.zeros(len(rows), np.int64)
    return TileRuns(event=zeros - 1, tensor=zeros, row=rows, start=columns, stop=columns + 1, category=zeros)


def bytes_table(encoded: list[Encoded], found: Pruned) -> Table:
    dense = encoded[0].allocated

    def row(one: Encoded) -> list[Text | float | int | None]:
        arrays = ", ".join(f"{name} {list(each.shape)}" for name, each in one.arrays.items())
        return [NAMES[one.kind], same(arrays), one.predicted, one.allocated, one.allocated / dense]

    rows = [row(one) for one in encoded]
    if not any(one.kind == "two_four" for one in encoded):
        why = Text(zh="有的四个里留了三个以上", en="some group of four keeps three or more")
        rows.append([NAMES["two_four"], why, None, None, None])
    return Table(
        id="bytes",
        title=Text(
            zh=f"整层的字节：{found.sparsity:.0%} 是零", en=f"Bytes of the layer: {found.sparsity:.0%} zeros"
        ),
        provenance=Provenance.MEASURED,
        columns=[
            Column(title=Text(zh="格式", en="format")),
            Column(title=Text(zh="数组", en="arrays")),
            Column(title=Text(zh="公式", en="formula"), unit="B", provenance=Provenance.ESTIMATED),
            Column(title=Text(zh="分配", en="allocated"), unit="B"),
            Column(title=Text(zh="÷ 稠密", en="/ dense"), unit="×"),
        ],
        rows=rows,
        highlight=min(range(len(encoded)), key=lambda at: encoded[at].allocated),
        help=Text(
            zh="索引是 int32。BSR 存整块，块里的零也存；位图每个位置 1 位。标出的是最小的一行。",
            en="Indices are int32. BSR stores whole blocks, zeros included; a bitmap has a bit a place. The "
            "smallest is marked.",
        ),
        source=Text(zh="labs.formulas.sparsity", en="labs.formulas.sparsity"),
        wide=True,
    )


def byte_lines(weight: Tensor, sparsity: float, block: int) -> Lines:
    """Bytes over those of the dense matrix, by formula, at every sparsity."""
    (n, k), size = weight.shape, weight.element_size()

    def share(kind: Format, zeros: float) -> float:
        nonzeros = round((1 - zeros) * n * k)
        blocks = (1 - zeros) * n * k / block**2
        found = {
            "coo": formulas.coo_bytes(nonzeros, size),
            "csr": formulas.csr_bytes(n, nonzeros, size),
            "bsr": formulas.bsr_bytes(n, round(blocks), block, size),
            "bitmap": formulas.bitmap_bytes(n, k, nonzeros, size),
        }
        return found[kind] / (n * k * size)

    kinds: tuple[Format, ...] = ("coo", "csr", "bsr", "bitmap")
    series = [
        Series(name=NAMES[one], x=array(100 * _SWEEP), y=array([share(one, z) for z in _SWEEP]))
        for one in kinds
    ]
    half = formulas.two_four_share(8 * size)
    series.append(Series(name=NAMES["two_four"], x=array([50.0]), y=array([half])))
    series.append(Series(name=NAMES["dense"], x=array([0.0, 95.0]), y=array([1.0, 1.0]), reference=True))
    return Lines(
        id="bytes_by_sparsity",
        title=Text(zh="稀疏到几成，格式才比稠密小", en="From which sparsity a format is smaller than dense"),
        provenance=Provenance.ESTIMATED,
        unit="×",
        x=Axis(title=Text(zh="稀疏度", en="sparsity"), unit="%"),
        y=Axis(title=Text(zh="字节 ÷ 稠密", en="bytes / dense"), unit="×"),
        series=series,
        marks=[Mark(x=100 * sparsity, name=Text(zh="当前", en="now"))],
        markers=False,
        source=Text(
            zh="labs.formulas.sparsity；BSR 设零都成整块", en="labs.formulas.sparsity; BSR: zeros in blocks"
        ),
        wide=True,
    )


def picture(found: Pruned) -> Heatmap:
    cells, row_step, column_step = reduce_max(found.weight.abs(), 96, 96)
    return Heatmap(
        id="layer",
        title=Text(zh="整层剩下的权重", en="What is left of the layer"),
        provenance=Provenance.MEASURED,
        help=Text(
            zh="每格是一小片权重绝对值的最大者；黑的一格里全是零。非结构化剪枝几乎没有全零的格。",
            en="A cell is the largest magnitude of a patch; a dark one is all zero. Unstructured pruning "
            "leaves hardly any.",
        ),
        values=array(cells.numpy()),
        rows=Axis(title=Text(zh="输出通道", en="output channel")),
        columns=Axis(title=Text(zh="输入通道", en="input channel")),
        row_step=row_step,
        column_step=column_step,
        reduction="max",
    )


def pattern_errors(ctx: Context, params: Any) -> Generator[Result, None, dict[tuple[Pattern, Score], float]]:
    """Bars of every pattern under both scores; returns ``{(pattern, score): error}``."""
    share, errors = params.sparsity / 100, {}
    for pattern in PATTERNS:
        for score in SCORES:
            ctx.progress(None, Text(zh="比较模式", en="Comparing patterns"))
            one = pruned(ctx, params.layer, params.module, pattern, share, score, params.block)
            errors[pattern, score] = one.error
    yield Bars(
        id="pattern_errors",
        title=Text(zh="模式与打分：输出误差", en="Pattern and score: output error"),
        provenance=Provenance.MEASURED,
        help=Text(
            zh="同一层、同一稀疏度（2:4 总是 50%）。Wanda 的分数是 |权重| × 输入通道的范数；限制越死，误差"
            "越大。打分与误差用同一段文字，对 Wanda 有利。",
            en="One layer, one sparsity (2:4 is always 50%). Wanda's score is |weight| × norm of its input "
            "channel; the tighter the pattern, the larger the error. Scores and errors come from one text, "
            "which favours Wanda.",
        ),
        categories=list(PATTERNS.values()),
        series=[
            BarSeries(name=name, values=array([errors[pattern, score] for pattern in PATTERNS]))
            for score, name in SCORES.items()
        ],
        y=Axis(title=Text(zh="相对误差", en="relative error")),
    )
    return errors


def explanation(
    found: Pruned, encoded: list[Encoded], errors: dict[tuple[Pattern, Score], float], params: Any
) -> Markdown:
    size, dense = _DTYPES[params.dtype].itemsize, encoded[0].allocated
    shares = {one.kind: one.allocated / dense for one in encoded}
    even = 1 - formulas.break_even_density(size, formulas.INDEX_BYTES)
    best = min(shares, key=lambda kind: shares[kind])
    loose, tight = (errors[pattern, params.score] for pattern in ("unstructured", "block"))
    body = Text(
        zh=f"**索引要钱。** {params.dtype} 一个值 {size} 字节，CSR 再加 4 字节列号：稀疏度过 {even:.0%} 才"
        "比稠密"
        f"小。现在 {found.sparsity:.0%}，CSR 是 {shares['csr']:.2f} 倍，COO {shares['coo']:.2f} 倍，最小的是"
        f" {NAMES[best].zh}（{shares[best]:.2f} 倍）。位图每个位置只要 1 位，所以中等稀疏度里它最省；2:4 每"
        "个留"
        f"下的值 2 位，{8 * size} 位时恒为 {formulas.two_four_share(8 * size):.4g} 倍。\n\n**规整要精度。"
        "** 同样的稀"
        f"疏度，非结构化的误差 {loose:.2f}，整块 {tight:.2f}。BSR 把索引摊到 {params.block}×{params.block} "
        "个值"
        "上，但零要成块才省；对非结构化的零，几乎没有空块，BSR 等于稠密再加索引。",
        en=f"**Indices cost.** A value in {params.dtype} takes {size} bytes, and CSR adds 4 for its column: "
        f"smaller than dense beyond {even:.0%} only. At {found.sparsity:.0%} CSR is {shares['csr']:.2f} "
        f"times dense, COO {shares['coo']:.2f}; the smallest is {NAMES[best].en} ({shares[best]:.2f}). A "
        "bitmap needs a bit a place, best at middling sparsity; 2:4 has 2 bits for each value kept: always "
        f"{formulas.two_four_share(8 * size):.4g} times with {8 * size} bits.\n\n**Order costs accuracy.** "
        "At "
        f"one sparsity the error is {loose:.2f} unstructured and {tight:.2f} in blocks. BSR spreads an index "
        f"over {params.block} × {params.block} values, but saves only whole blocks of zeros: of unstructured "
        "zeros hardly any block is empty, and BSR is dense with indices on top.",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=body,
        wide=True,
    )
