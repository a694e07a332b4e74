"""The whole model in one mode, sharing nothing writable with the loaded one, and its speed end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labs.models.kv_cache import KVCache
from labs.models.llama import Llama, iter_linears, replace_linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.context import Context
    from labs.measure import Timing
    from labs.quantization.linear import LowPrecisionLinear
    from labs.quantization.speed_modes import Mode

PROMPT_TOKENS = 64


class _Biased(nn.Module):
    """A packed layer and the bias that Qwen2 adds to Q, K and V."""

    def __init__(self, layer: LowPrecisionLinear, bias: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y + self.bias


def packed_model(model: Llama, mode: Mode, device: str) -> tuple[Llama, int]:
    """A model whose projections and head run in ``mode``, and the weight bytes that a decode step reads."""
    with torch.device("meta"):
        packed = Llama(model.config)
    streamed = 0
    for layer, name, projection in iter_linears(model):
        built = mode.build(projection.weight.detach(), device)
        streamed += built.weight_bytes
        module: nn.Module = built
        if projection.bias is not None:
            module = _Biased(built, projection.bias.detach().to(device, mode.activations))
        replace_linear(packed, layer, name, module)
    head = mode.build_head(model.lm_head.weight.detach(), device)
    packed.lm_head = head  # type: ignore[assignment]
    wanted = packed.state_dict().keys()
    rest = {
        name: tensor.to(device, mode.activations)
        for name, tensor in model.state_dict().items()
        if name in wanted
    }
    packed.load_state_dict(rest, assign=True)
    return packed.eval().requires_grad_(False), streamed + head.weight_bytes


@dataclass(frozen=True)
class EndToEnd:
    """Seconds a decode step (batch 1, behind ``PROMPT_TOKENS``) and a prefill of ``tokens``, if asked."""

    streamed_bytes: int
    decode: Timing | None
    prefill: Timing | None
    tokens: int


@torch.inference_mode()
def time_model(ctx: Context, mode: Mode, phases: Sequence[str], tokens: int) -> EndToEnd:
    """Build the model in ``mode`` and time its real forward pass; the copy is gone afterwards."""
    loaded = ctx.model().model
    model, streamed = packed_model(loaded, mode, ctx.device)
    ids = torch.randint(loaded.config.vocab, (1, max(tokens, PROMPT_TOKENS)), generator=ctx.generator())
    ids = ids.to(ctx.device)
    decode = prefill = None
    if "decode" in phases:
        cache = KVCache(loaded.config, 1, PROMPT_TOKENS + 1, device=ctx.device)
        model(ids[:, :PROMPT_TOKENS], cache, last_only=True)

        def step() -> None:
            cache.length = PROMPT_TOKENS  # the same step again and again, at the same length
            model(ids[:, :1], cache, last_only=True)

        decode = ctx.measure(step, budget_s=0.6)
    if "prefill" in phases:

        def read_prompt() -> None:
            cache = KVCache(loaded.config, 1, tokens, device=ctx.device)
            model(ids[:, :tokens], cache, last_only=True)

        prefill = ctx.measure(read_prompt, budget_s=0.5)
    return EndToEnd(streamed, decode, prefill, tokens)
