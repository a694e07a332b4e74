"""What theory says before a run, under the id of the metric that it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs.formulas import sparsity as formulas
from labs.models.config import linear_shapes
from labs.spec import Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context


def predictions(params: Any, ctx: Context) -> Iterator[Prediction]:
    """``params`` are the lab's."""
    if params.mode == "formats":
        yield _csr_share(params, ctx)
    elif params.mode == "crossover" and params.tokens == 1:
        for index, name in ((4, "csr32"), (2, "csr16")):
            yield _crossing(index, name)
    elif params.mode == "shapes":
        yield Prediction(
            id="block_speed",
            title=SHORT_TWO_FOUR,
            value=1 / formulas.two_four_share(32),
            unit="×",
            formula=TWO_FOUR_FORMULA,
        )
    elif params.mode == "quantized":
        yield Prediction(
            id="stored",
            title=Text(zh="2:4 加量化：每个权重的位数", en="2:4 and quantised: bits a weight"),
            value=formulas.bits_per_weight(params.bits, 0.5, 1, 16, 64),
            unit="bit",
            formula=Text(zh="位宽 ÷ 2 + 1 + 16 ÷ 64", en="width / 2 + 1 + 16 / 64"),
        )


def _csr_share(params: Any, ctx: Context) -> Prediction:
    n, k = linear_shapes(ctx.model_config())[params.module]
    size = {"fp16": 2, "fp32": 4}[params.dtype]
    zeros = 0.5 if params.pattern == "two_four" else params.sparsity / 100
    return Prediction(
        id="csr_share",
        title=Text(zh="CSR ÷ 稠密", en="CSR / dense"),
        value=formulas.csr_bytes(n, round((1 - zeros) * n * k), size) / (n * k * size),
        unit="×",
        formula=Text(
            zh="(非零 × (值 + 4) + (行 + 1) × 4) ÷ (行 × 列 × 值)",
            en="(nonzeros × (value + 4) + (rows + 1) × 4) / (rows × columns × value)",
        ),
    )


SHORT_TWO_FOUR = Text(zh="解码：2:4 比稠密快", en="Decode: 2:4 over dense")
TWO_FOUR_FORMULA = Text(zh="字节之比的倒数：32 ÷ 17", en="inverse ratio of bytes: 32 / 17")
SHORT = {
    "csr32": Text(zh="交叉点：CSR，int32 列号", en="Crossing: CSR, int32"),
    "csr16": Text(zh="交叉点：CSR，uint16 列号", en="Crossing: CSR, uint16"),
}


def _crossing(index_bytes: int, name: str) -> Prediction:
    return Prediction(
        id=f"crossing_{name}",
        title=SHORT[name],
        value=100 * (1 - formulas.break_even_density(4, index_bytes)),
        unit="%",
        formula=Text(
            zh=f"字节相等：1 − 4 ÷ (4 + {index_bytes})", en=f"equal bytes: 1 - 4 / (4 + {index_bytes})"
        ),
    )
