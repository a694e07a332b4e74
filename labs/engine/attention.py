"""Attention over a paged KV store: one batched product for all decodes, SDPA for each prefill chunk.

Shapes: B decodes, T new tokens of a chunk, S tokens seen (the new ones included), H query heads, K KV heads,
G = H / K, D head dim. ``naive_attention`` is what every path must equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.models.llama import causal_attention

if TYPE_CHECKING:
    from torch import Tensor

    from labs.engine.batch import Batch
    from labs.engine.kv_store import KVStore


def paged_attention(q: Tensor, store: KVStore, layer: int, batch: Batch) -> Tensor:
    """``q [N, H, D]`` of all tokens of the step, whose KV is written already; gives ``[N, H, D]``."""
    parts = []
    if batch.decodes:
        parts.append(decode_attention(q[: batch.decodes], store, layer, batch.decode_slots, batch.future))
    for chunk in batch.chunks:
        parts.append(chunk_attention(q[chunk.first : chunk.first + chunk.tokens], store, layer, chunk.slots))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def decode_attention(q: Tensor, store: KVStore, layer: int, slots: Tensor, future: Tensor) -> Tensor:
    """``q [B, H, D]``, a token of each sequence, over its ``slots [B, S]``; none where ``future [B, S]``.

    Two plain matrix products in the type that the device multiplies well: CPU SDPA with a single query is
    slower, several times so in bf16.
    """
    batch, heads, head_dim = q.shape
    dtype = _compute_type(q)
    keys, values = store.read(layer, slots.flatten(), dtype)
    keys, values = (part.view(len(part), batch, -1, head_dim) for part in (keys, values))  # [K, B, S, D]
    grouped = q.to(dtype).view(batch, len(keys), heads // len(keys), head_dim).transpose(0, 1)  # [K, B, G, D]
    scores = grouped @ keys.transpose(-1, -2) * head_dim**-0.5
    weights = scores.masked_fill_(future[:, None, :], -torch.inf).softmax(dim=-1)
    mixed: Tensor = weights @ values  # [K, B, G, D]
    return mixed.transpose(0, 1).reshape(batch, heads, head_dim).to(q.dtype)


def chunk_attention(q: Tensor, store: KVStore, layer: int, slots: Tensor) -> Tensor:
    """``q [T, H, D]``, the last T tokens of the sequence in ``slots [S]``; gives ``[T, H, D]``."""
    dtype = _compute_type(q)
    keys, values = store.read(layer, slots, dtype)
    mixed = causal_attention(q.to(dtype).transpose(0, 1)[None], keys[None], values[None])
    return mixed[0].transpose(0, 1).to(q.dtype)


def naive_attention(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The formula written out, for one sequence: ``q [T, H, D]`` and all its ``keys, values [K, S, D]``."""
    tokens, heads, _ = q.shape
    seen, group = keys.shape[1], heads // len(keys)
    future = torch.arange(seen)[None, :] > torch.arange(seen - tokens, seen)[:, None]
    mixed = torch.empty_like(q)
    for head in range(heads):
        scores = q[:, head] @ keys[head // group].T / q.shape[-1] ** 0.5
        mixed[:, head] = F.softmax(scores.masked_fill(future, -torch.inf), dim=-1) @ values[head // group]
    return mixed


def _compute_type(q: Tensor) -> torch.dtype:
    # A CPU multiplies small fp32 matrices faster than bf16 ones; a GPU the other way round.
    return torch.float32 if q.device.type == "cpu" else q.dtype
