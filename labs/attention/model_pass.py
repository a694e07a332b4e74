"""The model's forward pass with its attention exchanged, so that a policy can decide what a query sees.

Shapes: B sequences, C new tokens, P tokens before them, S = P + C; H query heads, K KV heads, G = H / K, D
head dim. Scores and weights are ``[B, K, G, C, S]``: a KV head and the G queries that share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.models.llama import Block, rotate

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.models.config import ModelConfig
    from labs.models.llama import Llama

    # (layer, q [B, H, C, D], k [B, K, C, D], v) -> what attention gives, [B, H, C, D]; all rotated already.
    Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@torch.inference_mode()
def extend(
    model: Llama,
    token_ids: Tensor,
    start: int,
    attend: Attend,
    check: Callable[[], None] = lambda: None,
) -> Tensor:
    """The normed residual stream ``[B, C, width]`` of ``token_ids [B, C]`` at positions from ``start`` on.

    Everything but attention is the model's own; ``attend`` is called once a layer, in order, and so is
    ``check``: what it raises ends the pass.
    """
    batch, tokens = token_ids.shape
    positions = torch.arange(start, start + tokens, device=token_ids.device)
    cos, sin = rotation(model.config, positions)
    x = model.embed_tokens(token_ids)
    for layer, block in enumerate(model.layers):
        assert isinstance(block, Block)
        check()
        own, normed = block.self_attn, block.input_layernorm(x)
        q = own.q_norm(own.q_proj(normed).view(batch, tokens, own.heads, own.head_dim)).transpose(1, 2)
        k = own.k_norm(own.k_proj(normed).view(batch, tokens, own.kv_heads, own.head_dim)).transpose(1, 2)
        v = own.v_proj(normed).view(batch, tokens, own.kv_heads, own.head_dim).transpose(1, 2)
        mixed = attend(layer, rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + own.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, -1))
        x = x + block.mlp(block.post_attention_layernorm(x))
    out: Tensor = model.norm(x)
    return out


def rotation(config: ModelConfig, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[T, D/2]`` of rotary ``positions [T]``, which may be negative: a turn back."""
    frequencies = torch.tensor(config.inverse_frequencies, device=positions.device)
    angles = positions.float()[:, None] * frequencies
    return angles.cos(), angles.sin()


def scores_of(q: Tensor, keys: Tensor) -> Tensor:
    """Scaled products ``[B, K, G, C, S]`` of ``q [B, H, C, D]`` with ``keys [B, K, S, D]``; nothing
    masked."""
    (batch, heads, tokens, dim), kv_heads = q.shape, keys.shape[1]
    # The queries of a group as rows of one product: broadcast over them, the keys would be copied for each.
    rows = (q * dim**-0.5).reshape(batch, kv_heads, -1, dim)
    scores: Tensor = rows @ keys.transpose(-1, -2)
    return scores.view(batch, kv_heads, heads // kv_heads, tokens, -1)


def mix(weights: Tensor, values: Tensor) -> Tensor:
    """``weights [B, K, G, C, S]`` times ``values [B, K, S, D]``, as ``[B, H, C, D]``."""
    return (weights.flatten(2, 3) @ values).view(*weights.shape[:4], -1).flatten(1, 2)


def causal(new: int, before: int, device: torch.device | str = "cpu") -> Tensor:
    """``[C, S]``: which of ``before + new`` positions each of the ``new`` last ones may see."""
    return torch.ones(new, before + new, dtype=torch.bool, device=device).tril(before)
