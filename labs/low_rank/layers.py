"""The model's projections and what flows into them, kept for the session; this machine's roofs for thin
products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from labs.formulas.low_rank import Roofs
from labs.low_rank.decomposition import Decomposition, covariance, decompose
from labs.models.activations import capture
from labs.models.config import linear_shapes
from labs.models.llama import linear
from labs.models.texts import load_text
from labs.quantization.roofs import gemm_peak, read_bandwidth
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context

Aim = Literal["weights", "outputs"]
CALIBRATION_TOKENS, HELD_OUT_TOKENS = 768, 256
# The first token's activations are hundreds of times the others' (an attention sink) and would alone decide.
SINK_TOKENS = 1
ELEMENT_BYTES = 4


def shape_of(ctx: Context, projection: str) -> tuple[int, int]:
    """``(n, k)`` of a projection; ``wide`` is that of a larger model's."""
    if projection == "wide":
        return 4096, 4096
    n, k = linear_shapes(ctx.model_config())[projection]
    return n, k


def weight_of(ctx: Context, layer: int, projection: str) -> Tensor:
    return linear(ctx.model().model, layer, projection).weight.detach()


def inputs_of(ctx: Context, projection: str) -> dict[int, Tensor]:
    """What each layer's projection is fed over the calibration text, ``[tokens, k]``."""
    return ctx.memo(("low-rank inputs", projection), lambda: _inputs(ctx, projection, "calibration.en"))


def held_out(ctx: Context, layer: int, projection: str) -> Tensor:
    """The same for another text, of one layer."""
    return ctx.memo(
        ("low-rank held out", layer, projection), lambda: _inputs(ctx, projection, "evaluation.en", layer)
    )[layer]


def _inputs(ctx: Context, projection: str, text: str, only: int | None = None) -> dict[int, Tensor]:
    ctx.progress(None, Text(zh="跑一遍模型，记下各层的输入", en="Running the model for its layers' inputs"))
    loaded = ctx.model()
    tokens = CALIBRATION_TOKENS if only is None else HELD_OUT_TOKENS
    ids = loaded.tokenizer.encode(load_text(text))[:tokens]
    layers = range(len(loaded.model.layers)) if only is None else [only]
    found = capture(loaded.model, ids, [(layer, projection) for layer in layers])
    return {layer: x[0, SINK_TOKENS:] for (layer, _), x in found.items()}


def decomposition(ctx: Context, layer: int, projection: str, aim: Aim) -> Decomposition:
    """Once a session for each."""

    def make() -> Decomposition:
        known = covariance(inputs_of(ctx, projection)[layer]) if aim == "outputs" else None
        ctx.check()
        return decompose(weight_of(ctx, layer, projection), known)

    return ctx.memo(("low-rank decomposition", layer, projection, aim), make)


def measured_roofs(ctx: Context) -> Roofs:
    """Peak of a large product, bandwidth of reading memory, a product of next to nothing; fp32."""

    def make() -> Roofs:
        ctx.progress(
            None, Text(zh="测本机的两条屋顶与一次空调用", en="This machine's roofs and an empty call")
        )
        small = torch.ones(1, 8, device=ctx.device)
        square = torch.ones(8, 8, device=ctx.device)
        call_s = ctx.measure(lambda: small @ square, budget_s=0.1).low_s
        return Roofs(gemm_peak(ctx, "fp32"), read_bandwidth(ctx), call_s, ELEMENT_BYTES)

    return ctx.memo(("low-rank roofs", ctx.device), make)
