"""What theory says before a run, under the id of the metric that it predicts. Nothing is measured for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs.formulas.low_rank import parameter_break_even
from labs.spec import Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context


def predictions(params: Any, ctx: Context) -> Iterator[Prediction]:
    """``params`` are the lab's."""
    if params.mode == "kernel":
        yield from _memory(params)
    elif params.mode in ("break_even", "spectrum"):
        yield _parameters(params, ctx)


def _parameters(params: Any, ctx: Context) -> Prediction:
    from labs.low_rank.break_even_mode import PARAMETER_FORMULA
    from labs.low_rank.layers import shape_of

    name = params.shape if params.mode == "break_even" else params.projection
    return Prediction(
        id="parameter_break_even",
        title=Text(zh="参数打平的秩", en="Rank with as many parameters"),
        value=parameter_break_even(*shape_of(ctx, name)),
        unit="",
        formula=PARAMETER_FORMULA,
    )


def _memory(params: Any) -> Iterator[Prediction]:
    from labs.low_rank.kernel_mode import MEMORY_FORMULA, WAYS, expected_memory

    for way, name in WAYS.items():
        yield Prediction(
            id=f"memory_{way}",
            title=Text(zh=f"必经内存，{name.zh}", en=f"Moved by {name.en}"),
            value=expected_memory(params.kernel_sizes, fused=way == "fused"),
            unit="B",
            formula=MEMORY_FORMULA,
        )
