"""The forward pass of a step in plain torch: works on every device, and is what the native path must equal.

Shapes: N tokens of the step, C width, H query heads, K KV heads, D head dim, R sampled rows, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.engine.attention import paged_attention
from labs.engine.weights import torch_weights

if TYPE_CHECKING:
    from torch import Tensor

    from labs.engine.batch import Batch
    from labs.engine.kv_store import KVStore
    from labs.engine.precision import Weights
    from labs.engine.weights import LayerWeights
    from labs.models.llama import Llama


class TorchPath:
    """Weights of one type on one device, and the step over them."""

    def __init__(self, model: Llama, weights: Weights, device: str, positions: int) -> None:
        self._config = model.config
        self._weights = torch_weights(model, weights, device)
        self.weight_bytes = self._weights.nbytes
        self._cos, self._sin = rotation_table(model, positions, self._weights.activations, device)

    def forward(self, batch: Batch, store: KVStore) -> Tensor:
        """FP32 logits ``[R, V]`` of the rows that ``batch`` samples; their KV is stored on the way."""
        weights = self._weights
        x = F.embedding(batch.ids, weights.embedding)
        cos, sin = self._cos[batch.positions, None], self._sin[batch.positions, None]  # [N, 1, D/2]
        for index, layer in enumerate(weights.layers):
            normed = F.rms_norm(x, x.shape[-1:], layer.attention_norm, self._config.rms_norm_eps)
            x = x + layer.o(self._attention(layer, index, normed, cos, sin, batch, store))
            normed = F.rms_norm(x, x.shape[-1:], layer.mlp_norm, self._config.rms_norm_eps)
            x = x + layer.down(_gated(layer.gate_up(normed)))
        if not len(batch.samples):
            return torch.empty(0, self._config.vocab, device=x.device)
        sampled = F.rms_norm(x[batch.samples], x.shape[-1:], weights.norm, self._config.rms_norm_eps)
        return weights.head(sampled).float()  # type: ignore[no-any-return]

    def _attention(
        self,
        layer: LayerWeights,
        index: int,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        batch: Batch,
        store: KVStore,
    ) -> Tensor:
        config = self._config
        qkv = layer.qkv(x)
        if layer.qkv_bias is not None:
            qkv = qkv + layer.qkv_bias
        qkv = qkv.view(len(x), -1, config.head_dim)
        q, k, v = qkv.split((config.heads, config.kv_heads, config.kv_heads), dim=1)
        if layer.q_norm is not None and layer.k_norm is not None:
            q = F.rms_norm(q, layer.q_norm.shape, layer.q_norm, config.rms_norm_eps)
            k = F.rms_norm(k, layer.k_norm.shape, layer.k_norm, config.rms_norm_eps)
        store.write(index, batch.slots, _rotate(k, cos, sin), v)
        return paged_attention(_rotate(q, cos, sin), store, index, batch).flatten(1)


def _gated(gate_up: Tensor) -> Tensor:
    """``[N, 2F]`` to ``[N, F]``. A function, so that no name keeps gate and up alive behind it."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate).mul_(up)


def rotation_table(
    model: Llama, positions: int, dtype: torch.dtype, device: str | torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[positions, D/2]``; the angle in fp32 whatever the model's type."""
    frequencies = torch.tensor(model.config.inverse_frequencies)
    angles = torch.arange(positions).float()[:, None] * frequencies
    return angles.cos().to(device, dtype), angles.sin().to(device, dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``x [N, heads, D]``, pairs ``(x[i], x[i + D/2])`` turned by ``cos, sin [N, 1, D/2]``."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
