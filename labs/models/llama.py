"""The Llama family as one plain module: RMSNorm, rotary positions, grouped-query attention, SwiGLU.

Shapes: B batch, T new tokens, S tokens seen so far (T included), C width (``hidden``), V vocabulary,
H query heads, K key-value heads, G = H / K queries that share one KV head, D head dim.

Every projection is an ordinary ``nn.Linear``, so that a lab can exchange one or hook its input. Modules have
the names of ``labs.models.config``. Qwen2 adds a bias to Q, K and V; Qwen3 an RMSNorm to each Q and K head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labs.models.config import ATTENTION_LINEARS, LINEARS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.models.config import ModelConfig
    from labs.models.kv_cache import KVCache


class RMSNorm(nn.Module):
    """``weight * x / sqrt(mean(x^2) + eps)`` over the last dimension."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Grouped-query attention: H query heads read K heads of keys and values."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden, q, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.hidden, kv, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.hidden, kv, bias=config.qkv_bias)
        self.o_proj = nn.Linear(q, config.hidden, bias=False)
        if config.qk_norm:
            self.q_norm: nn.Module = RMSNorm(config.head_dim, config.rms_norm_eps)
            self.k_norm: nn.Module = RMSNorm(config.head_dim, config.rms_norm_eps)
        else:
            self.q_norm, self.k_norm = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None, layer: int) -> Tensor:
        batch, tokens, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(batch, tokens, self.heads, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(batch, tokens, self.kv_heads, self.head_dim)).transpose(1, 2)
        v = self.v_proj(x).view(batch, tokens, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is None:
            mixed = causal_attention(q, k, v)
        else:
            first = cache.length == 0
            keys, values = cache.write(layer, k, v)
            if tokens == 1:
                mixed = single_query_attention(q, keys, values)
            elif first:
                mixed = causal_attention(q, k, v)
            else:
                mixed = causal_attention(q, keys.to(q.dtype), values.to(q.dtype))
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, self.heads * self.head_dim))
        return out


class MLP(nn.Module):
    """SwiGLU: ``down(silu(gate(x)) * up(x))``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden, config.intermediate, bias=False)
        self.up_proj = nn.Linear(config.hidden, config.intermediate, bias=False)
        self.down_proj = nn.Linear(config.intermediate, config.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    """Attention and MLP, each reading the normed residual stream and adding to it."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.input_layernorm = RMSNorm(config.hidden, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache, self.layer)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Llama(nn.Module):
    """The whole model; its weights mean nothing until a checkpoint is loaded.

    ``lm_head`` shares its weight with ``embed_tokens`` where the config ties them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        # Not initialised: on the meta device nn.Embedding's own init imports torch._dynamo, 1-2 s.
        unset = torch.empty(config.vocab, config.hidden)
        self.embed_tokens = nn.Embedding(config.vocab, config.hidden, _weight=unset)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.hidden, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden, config.vocab, bias=False)
        self.tie()
        # Not a buffer: ``model.bfloat16()`` would round it, and positions would drift by whole radians.
        self._inverse_frequencies = torch.tensor(config.inverse_frequencies, device="cpu")

    def tie(self) -> None:
        """Share the embedding with the head if the config says so; needed again after assigning weights."""
        if self.config.tied_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(
        self,
        token_ids: Tensor,
        cache: KVCache | None = None,
        positions: Tensor | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """Logits ``[B, T, V]`` of ``token_ids [B, T]``; ``[B, 1, V]`` with ``last_only``.

        With a cache the tokens continue what it holds, and it grows by T. ``positions`` (``[T]`` or
        ``[B, T]``) overrides the rotary positions, which otherwise continue the cache; the causal mask always
        follows the order of the tokens.
        """
        hidden = self.hidden(token_ids, cache, positions)
        logits: Tensor = self.lm_head(hidden[:, -1:] if last_only else hidden)
        return logits

    def hidden(
        self,
        token_ids: Tensor,
        cache: KVCache | None = None,
        positions: Tensor | None = None,
        layers: int | None = None,
    ) -> Tensor:
        """The normed residual stream ``[B, T, C]`` that the head reads, after the first ``layers`` blocks."""
        start = 0 if cache is None else cache.length
        tokens = token_ids.shape[1]
        if positions is None:
            positions = torch.arange(start, start + tokens, device=token_ids.device)
        x = self.embed_tokens(token_ids)
        cos, sin = self._rotation(positions, x.dtype)
        for block in self.layers[:layers]:
            x = block(x, cos, sin, cache)
        if cache is not None:
            cache.length += tokens
        normed: Tensor = self.norm(x)
        return normed

    def _rotation(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines, ``[1 or B, 1, T, D/2]``; the angle needs fp32 whatever the model's type."""
        angles = positions.float().unsqueeze(-1) * self._inverse_frequencies.to(positions.device)
        angles = angles.view(-1, 1, *angles.shape[-2:])
        return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pair ``(x[i], x[i + D/2])`` of every head by its angle; ``x [B, H, T, D]``."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``q [B, H, T, D]`` are the last T of the S tokens of ``k, v [B, K, S, D]``; gives ``[B, H, T, D]``."""
    tokens, seen = q.shape[2], k.shape[2]
    if tokens == seen:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    # is_causal would align the mask with the first key; the queries stand at the end.
    mask = torch.ones(tokens, seen, dtype=torch.bool, device=q.device).tril(seen - tokens)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)


def single_query_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Decode: one query a sequence sees every key, so there is no mask; in the type of the cache.

    Two plain matrix products, because CPU SDPA with a single bf16 query is several times slower.
    """
    batch, heads, _, head_dim = q.shape
    grouped = q.to(k.dtype).view(batch, k.shape[1], heads // k.shape[1], head_dim)  # [B, K, G, D]
    weights = (grouped @ k.transpose(-1, -2) * head_dim**-0.5).softmax(dim=-1)  # [B, K, G, S]
    mixed: Tensor = weights @ v
    return mixed.view(batch, heads, 1, head_dim).to(q.dtype)


def iter_linears(model: Llama) -> Iterator[tuple[int, str, nn.Linear]]:
    """``(layer, module_name, linear)`` of every block's seven projections, in forward order; not the head."""
    for layer in range(len(model.layers)):
        for name in LINEARS:
            yield layer, name, linear(model, layer, name)


def linear(model: Llama, layer: int, name: str) -> nn.Linear:
    """The projection called ``name`` (one of ``config.LINEARS``) of block ``layer``."""
    found = getattr(_parent(model, layer, name), name)
    assert isinstance(found, nn.Linear)
    return found


def replace_linear(model: Llama, layer: int, name: str, module: nn.Module) -> None:
    """Put ``module`` (same input and output shape) in the place of a projection."""
    setattr(_parent(model, layer, name), name, module)


def _parent(model: Llama, layer: int, name: str) -> nn.Module:
    block = model.layers[layer]
    assert isinstance(block, Block)
    return block.self_attn if name in ATTENTION_LINEARS else block.mlp
