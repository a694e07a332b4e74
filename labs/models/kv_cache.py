"""A contiguous, preallocated KV cache: the simplest one, for a batch whose sequences are of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from labs.models.config import ModelConfig


class KVCache:
    """Keys and values ``[layers, B, K, capacity, D]``; the first ``length`` positions are filled.

    FP32 whatever the model's type: on a CPU, attention with one bf16 query is several times slower.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.layers, batch, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.capacity = capacity
        self.length = 0

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store ``k, v [B, K, T, D]`` of one layer behind the filled positions; views of all S = length + T.

        ``length`` stays: the model advances it once every layer has written. ValueError if the cache is full.
        """
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"KV cache of {self.capacity} tokens cannot hold {end}")
        self.keys[layer, :, :, self.length : end] = k
        self.values[layer, :, :, self.length : end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    @property
    def nbytes(self) -> int:
        """Bytes allocated, for keys and values together."""
        return self.keys.nbytes + self.values.nbytes
