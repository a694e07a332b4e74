"""What really enters a block of the model while it reads a text, and what that block then gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.fusion.block import Inputs
from labs.models.activations import capture
from labs.models.llama import linear, rotate
from labs.models.texts import load_text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context
    from labs.models.loading import LoadedModel


def token_ids(model: LoadedModel, count: int) -> Tensor:
    """The first ``count`` tokens of the evaluation text."""
    ids = model.tokenizer.encode(load_text("evaluation.en")[: 12 * count + 100])
    return torch.tensor(ids[:count])


@torch.inference_mode()
def block_inputs(ctx: Context, layer: int, context: int, decode: bool) -> tuple[Inputs, Tensor]:
    """Inputs of block ``layer`` (1 or more) for all ``context`` tokens, or for the last one over a cache of
    the others; and the model's own output of that block, ``[T, C]``."""
    loaded = ctx.model()
    model, device = loaded.model, ctx.device
    sites = [(layer - 1, "down_proj"), (layer, "residual"), (layer, "q_proj")]
    inner, entering, normed = capture(model, token_ids(loaded, context), sites).values()
    delta = linear(model, layer - 1, "down_proj")(inner)[0]
    cos, sin = model._rotation(torch.arange(context), torch.float32)
    expected = model.layers[layer](entering, cos, sin, None)[0]
    keys, values = _keys_values(loaded, layer, normed, cos, sin)
    causal = None if decode else torch.full((context, context), -torch.inf).triu(1)
    new = slice(-1, None) if decode else slice(None)
    tensors = (entering[0] - delta)[new], delta[new], cos[0, 0, new], sin[0, 0, new], keys, values
    x, change, cosine, sine, k, v = (one.contiguous().to(device) for one in tensors)
    mask = None if causal is None else causal.to(device)
    return Inputs(x, change, cosine, sine, k, v, mask), expected[new].to(device)


def _keys_values(
    loaded: LoadedModel, layer: int, normed: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor]:
    """``[K, S, D]`` of all tokens, K turned."""
    heads = loaded.config.kv_heads, loaded.config.head_dim
    made = (F.linear(normed, linear(loaded.model, layer, name).weight) for name in ("k_proj", "v_proj"))
    k, v = (one.view(1, -1, *heads).transpose(1, 2) for one in made)
    return rotate(k, cos, sin)[0], v[0]
