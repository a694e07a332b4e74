"""What is fused: pieces of the model as chains, and the real tensors that flow into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from labs.models.activations import capture
from labs.models.llama import linear
from labs.models.texts import load_text
from labs.spec import unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from torch import Tensor

    from labs.context import Context

CHAINS: Final = {
    "mlp": """gate = linear(x, w_gate)
up = linear(x, w_up)
inner = silu(gate) * up
y = linear(inner, w_down)
""",
    "norm": """h = residual + delta
rms = rsqrt(mean(square(h)) + 1e-5)
y = h * rms * w_norm
return y, h
""",
    "chain": """a = silu(gate) * up
b = tanh(a * 0.5) + up
y = b * sigmoid(b)
""",
}
PATTERNS: Final = """# expression -> name of the fused kernel; small letters stand for any tensor
silu(a) * b -> swiglu
(x + d) * rsqrt(mean(square(x + d)) + 1e-5) * w -> add_rms_norm
h * rsqrt(mean(square(h)) + 1e-5) * w -> rms_norm
"""


LAYER: Final = 10


def known(available: Mapping[str, Tensor], name: str) -> Tensor:
    """LabError for a name that no tensor has."""
    if name not in available:
        raise unknown_name("tensor", "张量", name, list(available))
    return available[name]


def tensors(ctx: Context, count: int) -> dict[str, Tensor]:
    """By the names that chains use. T tokens, C width, F FFN width: ``residual``, ``delta`` (attention's
    output) and ``x`` (the normed sum, what the MLP reads) ``[T, C]``; ``gate, up`` and their product
    ``[T, F]``; weights as in the model. All fp32 on the CPU, of the model reading a text. Made once
    a worker."""
    return ctx.memo(("fusion tensors", count), lambda: _tensors(ctx, count))


@torch.inference_mode()
def _tensors(ctx: Context, count: int) -> dict[str, Tensor]:
    loaded, layer = ctx.model(), LAYER
    model = loaded.model
    ids = loaded.tokenizer.encode(load_text("evaluation.en")[: 12 * count + 100])[:count]
    entering, mixed, x = capture(
        model, torch.tensor(ids), [(layer, "residual"), (layer, "o_proj"), (layer, "gate_proj")]
    ).values()
    weights = {
        name: linear(model, layer, f"{name}_proj").weight.detach().cpu()
        for name in ("gate", "up", "down", "o")
    }
    block: Any = model.layers[layer]
    norm = block.post_attention_layernorm
    found = {
        "x": x[0],
        "residual": entering[0],
        "delta": F.linear(mixed[0], weights["o"]),
        "gate": F.linear(x[0], weights["gate"]),
        "up": F.linear(x[0], weights["up"]),
        "w_gate": weights["gate"],
        "w_up": weights["up"],
        "w_down": weights["down"],
        "w_norm": norm.weight.detach().cpu(),
    }
    return {name: one.clone() for name, one in found.items()}  # ordinary tensors, not inference ones
