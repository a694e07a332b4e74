"""Sparse and quantised: bits a weight of every combination against its error on a real layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from labs.formulas.sparsity import bits_per_weight
from labs.ops.sparse_24 import compress
from labs.quantization.config import QuantizerConfig
from labs.quantization.packing import pack
from labs.quantization.quantizer import quantize_dequantize
from labs.results import Axis, Markdown, Metric, Provenance, Scatter, Series, array
from labs.sparsity.layer import output_error, pruned
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.results import Result
    from labs.sparsity.patterns import Pattern

Structure = Literal["dense", "two_four", "bitmap", "csr16"]
GROUP, _SCALE_BITS = 64, 16
WIDTHS = (2, 3, 4, 6, 8)
NAMES: dict[Structure, Text] = {
    "dense": Text(zh="稠密", en="dense"),
    "two_four": same("2:4"),
    "bitmap": Text(zh="非结构化 50%，位图", en="unstructured 50%, bitmap"),
    "csr16": Text(zh="非结构化 50%，CSR（16 位列号）", en="unstructured 50%, CSR (16-bit columns)"),
}
_PATTERNS: dict[Structure, Pattern] = {
    "two_four": "two_four",
    "bitmap": "unstructured",
    "csr16": "unstructured",
}


def config(bits: int) -> QuantizerConfig:
    """Symmetric: zero is a level, so that what was pruned stays zero."""
    return QuantizerConfig(bits=bits, scheme="symmetric", granularity="group", group_size=GROUP)


def width_of(structure: Structure, bits: int) -> float:
    """Bits a place, scales included."""
    if structure == "dense":
        return bits_per_weight(bits, 1.0, 0, _SCALE_BITS, GROUP)
    meta = 0.5 * 16 if structure == "csr16" else 1
    return bits_per_weight(bits, 0.5, meta, _SCALE_BITS, GROUP)


def run_quantized(ctx: Context, params: Any) -> Iterator[Result]:
    places: dict[Structure, list[tuple[float, float]]] = {}
    for structure in NAMES:
        for bits in WIDTHS:
            ctx.progress(None, Text(zh="剪枝并量化", en="Pruning and quantising"))
            weight = both(ctx, params, structure, bits)
            data = pruned(ctx, params.layer, params.module, "two_four", 0.5, params.score, 16).data
            places.setdefault(structure, []).append((width_of(structure, bits), output_error(data, weight)))
            if len(places[structure]) == len(WIDTHS):
                yield scatter(places)
    stored = stored_bits(both(ctx, params, "two_four", params.bits), params.bits)
    yield Metric(
        id="stored",
        title=Text(zh="2:4 加量化：每个权重的位数", en="2:4 and quantised: bits a weight"),
        help=Text(
            zh="真的打包：留下的码、2 位位置、每 64 个权重一个 fp16 的 scale，字节数 × 8 ÷ 权重个数。",
            en="Really packed: the codes kept, 2-bit places, an fp16 scale for 64 weights; bytes × 8 / "
            "weights.",
        ),
        provenance=Provenance.MEASURED,
        unit="bit",
        value=stored,
        predicted=width_of("two_four", params.bits),
        formula=same("bits / 2 + 1 + 16 / 64"),
        better="lower",
    )
    orders = order_errors(ctx, params)
    yield from order_figures(orders, params.bits)
    yield explanation(places, orders, params)


def both(ctx: Context, params: Any, structure: Structure, bits: int) -> Tensor:
    """Pruned first, then quantised: the scales see only what is left."""

    def make() -> Tensor:
        if structure == "dense":
            start = pruned(ctx, params.layer, params.module, "two_four", 0.5, params.score, 16).data.weight
        else:
            pattern = _PATTERNS[structure]
            start = pruned(ctx, params.layer, params.module, pattern, 0.5, params.score, 16).weight
        return quantize_dequantize(start, config(bits)).values

    key = "dense" if structure == "dense" else _PATTERNS[structure]
    return ctx.memo(("sparse quantised", params.layer, params.module, params.score, key, bits), make)


def order_errors(ctx: Context, params: Any) -> tuple[float, float]:
    """Output errors of 2:4 by quantising last and by quantising first."""
    one = pruned(ctx, params.layer, params.module, "two_four", 0.5, params.score, 16)
    last = quantize_dequantize(one.weight, config(params.bits)).values
    first = quantize_dequantize(one.data.weight, config(params.bits)).values * one.mask
    return output_error(one.data, last), output_error(one.data, first)


def order_figures(orders: tuple[float, float], bits: int) -> Iterator[Metric]:
    names = (
        ("prune_first", Text(zh="先剪枝、后量化：误差", en="Pruned, then quantised: error")),
        ("quantize_first", Text(zh="先量化、后剪枝：误差", en="Quantised, then pruned: error")),
    )
    for (identity, title), error in zip(names, orders, strict=True):
        yield Metric(
            id=identity,
            title=title,
            help=Text(
                zh=f"2:4，INT{bits}，同一个掩码。顺序只影响 scale 由谁定。",
                en=f"2:4, INT{bits}, one mask. The order decides only which weights set the scales.",
            ),
            provenance=Provenance.MEASURED,
            value=error,
            better="lower",
        )


def stored_bits(weight: Tensor, bits: int) -> float:
    """Of a 2:4 weight, its codes packed beside metadata and scales."""
    found = quantize_dequantize(weight, config(bits))
    values, meta = compress(found.codes.float() * (weight != 0))
    first, _ = found.config.codes
    stored = pack(values.long() - first, bits).nbytes + meta.nbytes + found.scale.numel() * _SCALE_BITS // 8
    return 8 * stored / weight.numel()


def scatter(places: dict[Structure, list[tuple[float, float]]]) -> Scatter:
    return Scatter(
        id="frontier",
        title=Text(zh="每个权重多少位，错多少", en="Bits a weight, and the error"),
        help=Text(
            zh="点上是留下的值的位宽。左下最好：同样的误差，位数少的赢。位数含索引与 scale。",
            en="Points are named by the width of the values kept. Lower left is best: of one error, fewer "
            "bits "
            "win. Bits include indices and scales.",
        ),
        provenance=Provenance.MEASURED,
        x=Axis(title=Text(zh="每个权重的位数", en="bits a weight"), unit="bit"),
        y=Axis(title=Text(zh="输出的相对误差", en="relative error of the output"), log=True),
        series=[
            Series(
                name=NAMES[structure],
                x=array([x for x, _ in points]),
                y=array([y for _, y in points]),
                labels=[same(f"INT{bits}") for bits in WIDTHS[: len(points)]],
            )
            for structure, points in places.items()
        ],
        source=Text(
            zh="对称、组长 64 的 RTN；128 个真实 token；未微调、未补偿",
            en="symmetric RTN in groups of 64; 128 real tokens; neither fine-tuned nor compensated",
        ),
        wide=True,
    )


def explanation(
    places: dict[Structure, list[tuple[float, float]]], orders: tuple[float, float], params: Any
) -> Markdown:
    dense, halved = (dict(zip(WIDTHS, places[one], strict=True)) for one in ("dense", "two_four"))
    (bits4, error4), (sparse_bits, sparse_error) = dense[4], halved[6]
    three, halved4 = dense[3], halved[4]
    last, first = orders
    body = Text(
        zh=f"**比的应当是同样的位数。** 2:4 + INT4 是 {halved4[0]:.2f} 位，误差 {halved4[1]:.2f}；稠密 "
        "INT3 是 "
        f"{three[0]:.2f} 位，误差 {three[1]:.2f}。2:4 + INT6 {sparse_bits:.2f} 位、误差 "
        f"{sparse_error:.2f}，稠密 "
        f"INT4 {bits4:.2f} 位、误差 {error4:.2f}。不微调的剪枝误差自己就占了大头：位宽从 4 加到 8，2:4 的误"
        "差几乎"
        f"不降（{halved[8][1]:.2f}）。\n\n**元数据的份额随位宽涨。** 2:4 的位置每个权重 1 位：16 位时是 "
        "1/9，4 位时"
        f"是 1/3。**顺序**：先剪后量化 {last:.3f}，反过来 {first:.3f}；剪掉的是小数，定 scale 的是每组最大"
        "的数，它几乎总留着。这个模"
        "型的权重来自 4 位的块，高位宽的误差偏低。",
        en=f"**Compare at equal bits.** 2:4 with INT4 has {halved4[0]:.2f} bits and an error of "
        f"{halved4[1]:.2f}; "
        f"dense INT3 {three[0]:.2f} bits and {three[1]:.2f}. 2:4 with INT6: {sparse_bits:.2f} bits and "
        f"{sparse_error:.2f}; dense INT4: {bits4:.2f} bits and {error4:.2f}. Pruning without fine-tuning "
        "makes most "
        f"of the error: from 4 to 8 bits that of 2:4 hardly falls ({halved[8][1]:.2f}).\n\n**Metadata "
        "weighs more "
        "with fewer bits.** Places of 2:4 take a bit a weight: 1/9 with 16 bits, 1/3 with 4. **Order**: "
        "pruned "
        f"first {last:.3f}, the other way {first:.3f}; small weights go, "
        "and the largest of a group, which sets its scale, nearly always stays. This model's weights come "
        "from 4-bit blocks, which flatters the larger widths.",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=body,
        wide=True,
    )
