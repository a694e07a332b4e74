"""What really enters a block of the model while it reads a text, and what that block then gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.fusion.layers.block import Inputs
from labs.fusion.layers.int8 import rounded_block
from labs.models.activations import capture
from labs.models.llama import Block, linear, rotate
from labs.models.texts import load_text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context
    from labs.models.loading import LoadedModel


def token_ids(model: LoadedModel, count: int) -> Tensor:
    """The first ``count`` tokens of the evaluation text."""
    ids = model.tokenizer.encode(load_text("evaluation.en")[: 12 * count + 100])
    return torch.tensor(ids[:count])


@dataclass(frozen=True)
class Case:
    """What enters block ``layer`` and what must come out: ``expected [T, C]`` of the model's own block, or of
    its INT8 twin in plain modules; ``fp32 [T, C]`` of the model's own in any case."""

    inputs: Inputs
    expected: Tensor
    fp32: Tensor

    @property
    def entering(self) -> Tensor:
        """The residual stream before the block ``[T, C]``."""
        return self.inputs.residual + self.inputs.delta


@torch.inference_mode()
def block_case(ctx: Context, layer: int, context: int, decode: bool, *, int8: bool = False) -> Case:
    """Inputs of block ``layer`` (1 or more) for all ``context`` tokens, or for the last one over a cache of
    the others; and the outputs of that block."""
    loaded = ctx.model()
    model, device = loaded.model, ctx.device
    sites = [(layer - 1, "down_proj"), (layer, "residual"), (layer, "q_proj")]
    inner, entering, normed = capture(model, token_ids(loaded, context), sites).values()
    delta = linear(model, layer - 1, "down_proj")(inner)[0]
    cos, sin = model._rotation(torch.arange(context), torch.float32)
    own = model.layers[layer]
    assert isinstance(own, Block)
    twin = rounded_block(own) if int8 else own
    fp32 = own(entering, cos, sin, None)[0]
    expected = twin(entering, cos, sin, None)[0] if int8 else fp32
    keys, values = _keys_values(loaded, twin, normed, cos, sin)
    causal = None if decode else torch.full((context, context), -torch.inf).triu(1)
    new = slice(-1, None) if decode else slice(None)
    tensors = (entering[0] - delta)[new], delta[new], cos[0, 0, new], sin[0, 0, new], keys, values
    x, change, cosine, sine, k, v = (one.contiguous().to(device) for one in tensors)
    mask = None if causal is None else causal.to(device)
    inputs = Inputs(x, change, cosine, sine, k, v, mask)
    return Case(inputs, expected[new].to(device), fp32[new].to(device))


def _keys_values(
    loaded: LoadedModel, block: Block, normed: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor]:
    """``[K, S, D]`` of all tokens, K turned."""
    heads = loaded.config.kv_heads, loaded.config.head_dim
    made = (project(normed) for project in (block.self_attn.k_proj, block.self_attn.v_proj))
    k, v = (one.view(1, -1, *heads).transpose(1, 2) for one in made)
    return rotate(k, cos, sin)[0], v[0]
