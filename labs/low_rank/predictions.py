"""What theory says before a run, under the id of the metric that it predicts. Nothing is measured for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs.spec import Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context


def predictions(params: Any, ctx: Context) -> Iterator[Prediction]:
    """``params`` are the lab's."""
    if params.mode == "kernel":
        yield from _memory(params)


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
