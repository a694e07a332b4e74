"""A real layer: its singular values, and what a rank costs, in numbers of the weight and of the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from labs.formulas.low_rank import parameter_break_even, rank_for_error, truncation_error
from labs.low_rank.decomposition import Decomposition, decompose
from labs.low_rank.layers import decomposition, held_out, inputs_of, weight_of
from labs.relative_error import relative_error
from labs.results import Axis, Lines, Mark, Metric, Provenance, Series, array
from labs.roofline.explanation import prose
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_POINTS = 16
ERROR_FORMULA = Text(zh="√(舍去的 σ² 之和 ÷ 全部 σ² 之和)", en="√(discarded σ² / all σ²)")
_AIMS = {
    "weights": Text(zh="截断 W 的 SVD", en="truncated SVD of W"),
    "outputs": Text(zh="按输出分解", en="for the outputs"),
}


def run_spectrum(ctx: Context, *, layer: int, projection: str, error: float) -> Iterator[Result]:
    weight = weight_of(ctx, layer, projection)
    plain = decomposition(ctx, layer, projection, "weights")
    random = _random_like(ctx, weight)
    yield spectrum(layer, projection, plain, random, None)
    yield from spectrum_figures(weight, plain, error)
    aware = decomposition(ctx, layer, projection, "outputs")
    yield spectrum(layer, projection, plain, random, aware)
    inputs = held_out(ctx, layer, projection)
    ranks = _ranks(weight)
    curves = {
        aim: _output_errors(ctx, found, inputs, ranks)
        for aim, found in (("weights", plain), ("outputs", aware))
    }
    yield errors(weight, ranks, plain, random, curves)
    yield from output_figures(ctx, layer, projection, aware, plain, inputs, error)
    yield explanation(weight, plain, random, ranks, curves, error)


def _random_like(ctx: Context, weight: Tensor) -> Decomposition:
    """Independent normal numbers of this shape: no structure at all."""
    shape = tuple(weight.shape)

    def make() -> Decomposition:
        return decompose(torch.randn(*shape, generator=ctx.generator()))

    return ctx.memo(("low-rank random", shape), make)


def _ranks(weight: Tensor) -> list[int]:
    side = min(weight.shape)
    return sorted({max(1, side * step // _POINTS) for step in range(1, _POINTS + 1)})


def spectrum(
    layer: int, projection: str, plain: Decomposition, random: Decomposition, aware: Decomposition | None
) -> Lines:
    """Relative to the root mean square, so that the curves can be laid over each other."""
    shown = [
        (_AIMS["weights"], plain),
        (Text(zh="同形状的随机矩阵", en="a random matrix of this shape"), random),
    ]
    if aware:
        shown.append((Text(zh="输出的 σ（含激活）", en="σ of the outputs (with activations)"), aware))
    series = []
    for name, found in shown:
        values = np.array(found.singular_values)
        scaled = values / np.sqrt((values**2).mean())
        series.append(
            Series(name=name, x=array(np.arange(1, len(values) + 1)), y=array(np.maximum(scaled, 1e-6)))
        )
    return Lines(
        id="spectrum",
        title=Text(
            zh=f"第 {layer} 层 {projection} 的奇异值", en=f"Singular values, layer {layer} {projection}"
        ),
        provenance=_MEASURED,
        x=Axis(title=Text(zh="第几个", en="index")),
        y=Axis(title=Text(zh="σ ÷ 均方根", en="σ / RMS"), log=True),
        series=series,
        markers=False,
        help=Text(
            zh="越陡，越少的方向就装下全部；随机矩阵最平，是没有结构的样子。",
            en="The steeper, the fewer directions hold it all; a random matrix, with no structure, is "
            "flattest.",
        ),
        wide=True,
    )


def spectrum_figures(weight: Tensor, plain: Decomposition, error: float) -> Iterator[Metric]:
    n, k = weight.shape
    rank = rank_for_error(plain.singular_values, error)
    yield Metric(
        id="rank_for_error",
        title=Text(zh=f"权重误差 ≤ {error:.0%} 要的秩", en=f"Rank for {error:.0%} weight error"),
        provenance=_MEASURED,
        value=rank,
        better="lower",
        help=Text(
            zh="相对 Frobenius 误差，由真实奇异值算出。", en="Relative, by Frobenius norm, of its real σ."
        ),
    )
    yield Metric(
        id="parameter_break_even",
        title=Text(zh="参数打平的秩", en="Rank with as many parameters"),
        provenance=_ESTIMATED,
        value=parameter_break_even(n, k),
        formula=Text(zh="n·k ÷ (n + k)", en="n k / (n + k)"),
    )
    half = int(parameter_break_even(n, k) / 2)
    found = relative_error(plain.approximation(half), weight.float().cpu())
    yield Metric(
        id="error_at_half",
        title=Text(
            zh=f"权重误差，秩 {half}",
            en=f"Error of W at rank {half}",
        ),
        provenance=_MEASURED,
        unit="%",
        value=100 * found,
        predicted=100 * truncation_error(plain.singular_values, half),
        formula=ERROR_FORMULA,
        better="lower",
    )


def _output_errors(ctx: Context, found: Decomposition, inputs: Tensor, ranks: list[int]) -> list[float]:
    exact, result = inputs @ found.weight.t(), []
    for rank in ranks:
        ctx.check()
        down, up = found.factors(rank)
        result.append(relative_error(inputs @ down.t() @ up.t(), exact))
    return result


def errors(
    weight: Tensor,
    ranks: list[int],
    plain: Decomposition,
    random: Decomposition,
    curves: dict[str, list[float]],
) -> Lines:
    n, k = weight.shape
    series = [
        Series(
            name=Text(zh="权重误差", en="error of the weight"),
            x=array(ranks),
            y=array([100 * truncation_error(plain.singular_values, rank) for rank in ranks]),
        ),
        Series(
            name=Text(zh="权重误差，随机矩阵", en="error of a random matrix"),
            x=array(ranks),
            y=array([100 * truncation_error(random.singular_values, rank) for rank in ranks]),
            reference=True,
        ),
    ]
    for aim, values in curves.items():
        name = _AIMS[aim]
        series.append(
            Series(
                name=Text(zh=f"输出误差，{name.zh}", en=f"output error, {name.en}"),
                x=array(ranks),
                y=array([100 * value for value in values]),
            )
        )
    return Lines(
        id="errors",
        title=Text(zh="误差随秩下降", en="Error against rank"),
        provenance=_MEASURED,
        unit="%",
        x=Axis(title=Text(zh="秩 r", en="rank r")),
        y=Axis(title=Text(zh="相对误差", en="relative error"), unit="%"),
        series=series,
        marks=[Mark(x=parameter_break_even(n, k), name=Text(zh="参数打平", en="as many parameters"))],
        source=Text(
            zh="输出误差在另一段文本上测，不是标定用的那段；首个 token（注意力汇）不计",
            en="output errors on another text than the one used to decompose, without the first token (a "
            "sink)",
        ),
        wide=True,
    )


def output_figures(
    ctx: Context,
    layer: int,
    projection: str,
    aware: Decomposition,
    plain: Decomposition,
    inputs: Tensor,
    error: float,
) -> Iterator[Metric]:
    """The same parameters either way: half of the weight's."""
    n, k = aware.weight.shape
    half = int(parameter_break_even(n, k) / 2)
    known = inputs_of(ctx, projection)[layer]
    for name, found in (("plain", plain), ("aware", aware)):
        title, short = (_AIMS["weights"], "SVD of W") if name == "plain" else (_AIMS["outputs"], "by output")
        predicted = _output_errors(ctx, found, known, [half])[0]
        yield Metric(
            id=f"output_error_{name}",
            title=Text(zh=f"输出误差，r = {half}，{title.zh}", en=f"Output error, r = {half}, {short}"),
            provenance=_MEASURED,
            unit="%",
            value=100 * _output_errors(ctx, found, inputs, [half])[0],
            predicted=100 * predicted,
            formula=Text(zh="标定文本上的误差", en="the error on the calibration text"),
            better="lower",
        )


def explanation(
    weight: Tensor,
    plain: Decomposition,
    random: Decomposition,
    ranks: list[int],
    curves: dict[str, list[float]],
    error: float,
) -> Result:
    n, k = weight.shape
    even = parameter_break_even(n, k)
    at = min(range(len(ranks)), key=lambda index: abs(ranks[index] - even / 2))
    needed, of_random = (rank_for_error(one.singular_values, error) for one in (plain, random))
    pays = needed < even
    return prose(
        [
            Text(
                zh=f"**权重低秩吗？** 误差压到 {error:.0%} 要秩 {needed}（随机矩阵要 {of_random}），参"
                "数打平"
                f"在 {even:.0f}：{'低于它，省得下参数' if pays else '高过它，分解之后反而更大'}。",
                en=f"**Is the weight of low rank?** An error of {error:.0%} takes rank {needed} (a random "
                "matrix "
                f"{of_random}); parameters break even at {even:.0f}: "
                f"{'below it: something is saved' if pays else 'above it: the factors are larger'}.",
            ),
            Text(
                zh=f"**要紧的是输出。** 秩 {ranks[at]} 时，截断 W 的输出误差是 "
                f"{curves['weights'][at]:.0%}，按输出"
                f"分解是 {curves['outputs'][at]:.0%}：输入集中在少数方向上，另一些方向错了也没人看见。参数"
                "、速度"
                "完全相同，只是换了一组基。",
                en=f"**What counts is the output.** At rank {ranks[at]} truncating W leaves "
                f"{curves['weights'][at]:.0%} "
                f"of output error, decomposing for the outputs {curves['outputs'][at]:.0%}: inputs lie "
                "along few "
                "directions, and errors in the others are not seen. Parameters and speed are the same; only "
                "the basis differs.",
            ),
        ]
    )
