"""What the granularity lab shows: figures, pictures and words computed from one quantised layer."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.formulas.clipping import gaussian_absmax
from labs.formulas.quantization import uniform_sqnr_db
from labs.models.config import LINEARS, linear_shapes
from labs.quantization.fidelity import predicted_sqnr_db, sqnr_db
from labs.quantization.layer_data import CALIBRATION_TOKENS, layer_data
from labs.quantization.quantizer import quantize_dequantize
from labs.quantization.reduction import reduce_max
from labs.relative_error import relative_error
from labs.results import (
    Array,
    Axis,
    Bars,
    BarSeries,
    Column,
    Heatmap,
    Histogram,
    HistogramSeries,
    Mark,
    Metric,
    Provenance,
    Table,
    array,
)
from labs.spec import Prediction
from labs.text import Text, same

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context
    from labs.quantization.config import QuantizerConfig
    from labs.quantization.layer_data import LayerData
    from labs.quantization.quantizer import Quantized

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_MEMORY = Text(zh="这个矩阵的存储", en="Storage of this matrix")
_STORAGE_FORMULA = Text(
    zh="编码 + scale（FP16）+ 零点，按位紧密排列：labs.formulas.quantization.storage_bytes",
    en="codes + FP16 scales + zero points, packed without gaps: labs.formulas.quantization.storage_bytes",
)
_SQNR_FORMULA = Text(
    zh="10·log10(3) + 20·log10(步数) − 20·log10(半量程 / 均方根)，步长取自实测范围；不含截断损失",
    en="10 log10(3) + 20 log10(steps) - 20 log10(half range / rms), from the ranges found; no clipping loss",
)


def memory_prediction(target: str, module: str, config: QuantizerConfig, ctx: Context) -> Prediction:
    """The exact bytes, from shapes alone."""
    rows, columns = linear_shapes(ctx.model_config())[module]
    rows = CALIBRATION_TOKENS if target == "activation" else rows
    return Prediction(
        id="memory",
        title=_MEMORY,
        value=config.storage_bytes(rows, columns),
        unit="B",
        formula=_STORAGE_FORMULA,
    )


def sqnr_metric(data: LayerData, quantized: Quantized, where: Text) -> Metric:
    """Measured on the matrix itself, beside what the uniform-noise formula says."""
    x = data.matrix(quantized.config.matrix)
    measured, predicted = sqnr_db(x, quantized.values), predicted_sqnr_db(x, quantized)
    return Metric(
        id="sqnr",
        title=Text(zh=f"信噪比 SQNR：{where.zh}", en=f"SQNR of {where.en}"),
        provenance=_MEASURED,
        unit="dB",
        value=measured,
        predicted=predicted if math.isfinite(measured) else None,
        formula=_SQNR_FORMULA,
        better="higher",
        help=Text(
            zh="信号能量与量化误差能量之比；20 dB 表示误差幅度是信号的十分之一。无穷大表示没有误差。",
            en="Energy of the values over energy of the error; at 20 dB the error is a tenth of the "
            "signal. "
            "Infinite where there is no error.",
        ),
        source=Text(zh="10·log10(Σx² / Σ(x−x̂)²)", en="10 log10(sum x^2 / sum (x - x')^2)"),
    )


def output_metric(data: LayerData, quantized: Quantized) -> Metric:
    """How far the layer's output moves on real inputs; theory takes errors as independent of them."""
    if quantized.config.matrix == "weight":
        outputs = F.linear(data.inputs, quantized.values)
    else:
        outputs = F.linear(quantized.values, data.weight)
    measured = sqnr_db(data.matrix(quantized.config.matrix), quantized.values)
    return Metric(
        id="output_error",
        title=Text(zh="该层输出的相对误差", en="Relative error of the layer's output"),
        provenance=_MEASURED,
        unit="%",
        value=100 * relative_error(outputs, data.outputs),
        predicted=100 * 10 ** (-measured / 20),
        formula=Text(
            zh="10^(−SQNR/20)：假设误差与输入无关。离群的输入通道会打破这个假设",
            en="10^(-SQNR/20), if errors are independent of the inputs; outlying input channels break that",
        ),
        better="lower",
        source=Text(
            zh=f"‖Y−Ŷ‖ / ‖Y‖，输入是校准文本前 {CALIBRATION_TOKENS} 个 token 的真实激活",
            en=f"|Y - Y'| / |Y| on the real activations of {CALIBRATION_TOKENS} tokens of calibration text",
        ),
    )


def memory_metric(quantized: Quantized) -> Metric:
    """Bytes that packing really produced, beside the formula's."""
    rows, columns = quantized.codes.shape
    total = sum(quantized.stored_bytes().values())
    bits = 8 * total / (rows * columns)
    return Metric(
        id="memory",
        title=_MEMORY,
        provenance=_MEASURED,
        unit="B",
        value=total,
        predicted=quantized.config.storage_bytes(rows, columns),
        formula=_STORAGE_FORMULA,
        better="lower",
        help=Text(
            zh=f"平均每个值 {bits:.3f} 位，scale 与零点都算在内；FP16 是 16 位。",
            en=f"{bits:.3f} bits a value, scales and zero points included; FP16 takes 16.",
        ),
        source=Text(zh="打包后缓冲区的长度", en="length of the packed buffers"),
    )


def histogram(ctx: Context, data: LayerData, quantized: Quantized, where: Text) -> Histogram:
    """The values that share a scale with the largest one, and the levels they are rounded to."""
    config = quantized.config
    x = data.matrix(config.matrix)
    # Neither depends on the levels, so a dragged slider need not wait for them again.
    key = (where.en, config.matrix)
    row, column = divmod(ctx.memo(("largest value", *key), lambda: int(x.abs().argmax())), x.shape[1])
    values, name = _block_of(x, row, column, config)
    edges, counts = ctx.memo(("histogram", *key, name.en), lambda: _counts(values))
    levels = quantized.levels(row, column)
    return Histogram(
        id="histogram",
        title=Text(zh=f"数值分布与量化级别：{name.zh}", en=f"Values and levels: {name.en}"),
        provenance=_MEASURED,
        unit="",
        x=Axis(title=Text(zh="数值", en="value")),
        series=[HistogramSeries(name=where, edges=array(edges), counts=array(counts))],
        levels=array(levels),
        levels_name=Text(zh=f"{len(levels)} 个可表示的值", en=f"{len(levels)} representable values"),
        marks=[
            Mark(x=float(levels[0]), name=Text(zh="最低级别", en="lowest level")),
            Mark(x=float(levels[-1]), name=Text(zh="最高级别", en="highest level")),
        ],
        log_counts=values.numel() > 2000,
        help=Text(
            zh="画的是含有全矩阵最大值的那一块，即最难量化的一块；细线是它的量化级别。",
            en="The block that holds the matrix's largest value, the hardest of all; thin lines are "
            "its levels.",
        ),
        source=Text(zh="真实权重或激活的直方图", en="histogram of the real weights or activations"),
        wide=True,
    )


def error_map(data: LayerData, quantized: Quantized, where: Text) -> Heatmap:
    """Where the error sits; each cell keeps its largest, so nothing outlying is averaged away."""
    activation = quantized.config.matrix == "activation"
    error = (data.matrix(quantized.config.matrix) - quantized.values).abs_()
    cells, row_step, column_step = reduce_max(error, 96, 192)
    return Heatmap(
        id="error_map",
        title=Text(zh=f"量化误差 |x−x̂|：{where.zh}", en=f"Quantisation error |x - x'| of {where.en}"),
        provenance=_MEASURED,
        unit="",
        values=array(cells, "float32"),
        rows=Axis(
            title=Text(zh="token", en="token") if activation else Text(zh="输出通道", en="output channel")
        ),
        columns=Axis(title=Text(zh="输入通道", en="input channel")),
        row_step=row_step,
        column_step=column_step,
        reduction="none" if row_step == column_step == 1 else "max",
        # Activations of different tokens differ by orders of magnitude.
        log=activation and float(cells.max()) > 0,
        help=Text(
            zh="误差随共用 scale 的块变化：逐通道时是横条，分组时是小段，逐张量时处处一样粗。",
            en="The error follows what shares a scale: stripes per channel, dashes per group, all "
            "alike per tensor.",
        ),
        source=Text(zh="逐元素误差，每格取最大值", en="element by element, the maximum of each cell"),
        wide=True,
    )


def memory_table(quantized: Quantized, ctx: Context) -> Table:
    """Part by part: packed, by formula, and for all linear layers of the model."""
    config = quantized.config
    rows, columns = quantized.codes.shape
    parts = quantized.stored_bytes()
    scales = config.scales(rows, columns)
    by_formula = {
        "codes": math.ceil(rows * columns * config.bits / 8),
        "scales": scales * config.scale_bits // 8,
        "zero_points": math.ceil(scales * config.zero_point_bits / 8),
    }
    shapes = linear_shapes(ctx.model_config()).values()
    layers = ctx.model_config().layers
    model = layers * sum(config.storage_bytes(*shape) for shape in shapes) / 2**20
    fp16 = layers * sum(2 * r * c for r, c in shapes) / 2**20
    weight = config.matrix == "weight"
    names = {
        "codes": Text(zh="编码", en="codes"),
        "scales": Text(zh=f"scale（FP16，{scales} 个）", en=f"scales (FP16, {scales} of them)"),
        "zero_points": Text(
            zh=f"零点（各 {config.zero_point_bits} 位）",
            en=f"zero points ({config.zero_point_bits} bits each)",
        ),
    }
    body: list[list[Text | float | int | None]] = [
        [names[part], parts[part], by_formula[part], None] for part in names
    ]
    total = sum(parts.values())
    body.append(
        [Text(zh="合计", en="total"), total, config.storage_bytes(rows, columns), model if weight else None]
    )
    body.append(
        [Text(zh="作为对照：FP16", en="for comparison: FP16"), 2 * rows * columns, 2 * rows * columns, fp16]
    )
    return Table(
        id="memory_table",
        title=Text(zh="存储的组成", en="What the bytes are"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="部分", en="part")),
            Column(title=Text(zh="打包后", en="packed"), unit="B"),
            Column(title=Text(zh="公式", en="formula"), unit="B", provenance=_ESTIMATED),
            Column(title=Text(zh="全部线性层", en="all linear layers"), unit="MiB", provenance=_ESTIMATED),
        ],
        rows=body,
        highlight=3,
        source=_STORAGE_FORMULA,
    )


def module_bars(ctx: Context, layer: int, config: QuantizerConfig) -> Bars:
    """The same quantiser on all seven matrices of the block, and on all of them together."""
    measured, predicted, gaussian, values, originals = [], [], [], [], []
    for module in LINEARS:
        ctx.check()
        x = layer_data(ctx, layer, module).matrix(config.matrix)
        quantized = quantize_dequantize(x, config, ctx.generator())
        measured.append(sqnr_db(x, quantized.values))
        predicted.append(predicted_sqnr_db(x, quantized))
        gaussian.append(_gaussian_sqnr_db(x, config))
        originals.append(x.reshape(-1))
        values.append(quantized.values.reshape(-1))
    measured.append(sqnr_db(torch.cat(originals), torch.cat(values)))
    gap = [math.nan]
    return Bars(
        id="module_sqnr",
        title=Text(zh=f"第 {layer} 层各模块的 SQNR", en=f"SQNR of each module of layer {layer}"),
        provenance=_MEASURED,
        unit="dB",
        categories=[*map(same, LINEARS), Text(zh="合计", en="together")],
        series=[
            # An exact match has no finite SQNR, so no bar.
            BarSeries(name=Text(zh="实测", en="measured"), values=_finite(measured)),
            BarSeries(
                name=Text(zh="公式，用实测范围", en="formula, from the ranges found"),
                values=_finite(predicted + gap),
                provenance=_ESTIMATED,
            ),
            BarSeries(
                name=Text(zh="公式，假设正态分布", en="formula, if values were normal"),
                values=_finite(gaussian + gap),
                provenance=_ESTIMATED,
            ),
        ],
        y=Axis(title=Text(zh="SQNR", en="SQNR"), unit="dB"),
        missing={
            index: Text(zh="误差为零：SQNR 无穷大", en="no error at all: infinite SQNR")
            for index, figure in enumerate(measured)
            if math.isinf(figure)
        },
        help=Text(
            zh="第三组只知道块的长度：正态样本的最大值约是几个标准差。与实测的差距就是离群值的代价。",
            en="The third series knows the block length only: how many standard deviations the "
            "largest of so "
            "many normal values is. What is missing to it is the price of outliers.",
        ),
        source=_SQNR_FORMULA,
        wide=True,
    )


@functools.cache
def _crest_factor(length: int) -> float:
    """Cached: the integral takes milliseconds."""
    return gaussian_absmax(length)


def _gaussian_sqnr_db(x: Tensor, config: QuantizerConfig) -> float:
    """What the SQNR would be if the values of a block were normal; nothing of ``x`` but its shape is used."""
    length = {
        "tensor": x.numel(),
        "row": x.shape[1],
        "column": x.shape[0],
        "group": min(config.group_size, x.shape[1]),
    }[config.layout]
    first, last = config.codes
    return uniform_sqnr_db(config.bits, _crest_factor(length), last - first)


def _block_of(x: Tensor, row: int, column: int, config: QuantizerConfig) -> tuple[Tensor, Text]:
    """The values that share a scale with element ``(row, column)``, and what to call them."""
    if config.layout == "tensor":
        return x.reshape(-1), Text(zh="整个张量", en="the whole tensor")
    if config.layout == "column":
        return x[:, column], Text(zh=f"通道 {column}", en=f"channel {column}")
    kind = (
        Text(zh="token", en="token")
        if config.matrix == "activation"
        else Text(zh="输出通道", en="output channel")
    )
    if config.layout == "row":
        return x[row], Text(zh=f"{kind.zh} {row}", en=f"{kind.en} {row}")
    start = column - column % config.group_size
    end = min(start + config.group_size, x.shape[1])
    return x[row, start:end], Text(
        zh=f"{kind.zh} {row} 的第 {start}–{end - 1} 个值",
        en=f"values {start} to {end - 1} of {kind.en} {row}",
    )


def _counts(values: Tensor) -> tuple[Tensor, Tensor]:
    """Bin edges and counts over the range of ``values`` and a little more."""
    low, high = float(values.min()), float(values.max())
    bins = 200 if values.numel() > 2000 else 48
    margin = 0.02 * (high - low) or max(abs(high), 1e-6)
    edges = torch.linspace(low - margin, high + margin, bins + 1)
    return edges, torch.histc(values, bins, float(edges[0]), float(edges[-1]))


def _finite(figures: list[float]) -> Array:
    return array([figure if math.isfinite(figure) else math.nan for figure in figures])
