"""The paged KV store: keys and values of every layer in fixed blocks that any sequence may hold.

Shapes: L layers, K key-value heads, D head dim, M slots; slot ``block * block_size + offset`` is one token's
place, the same in every layer. A head's slots lie behind each other, so a block is one contiguous read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.engine.precision import KVType
    from labs.models.config import ModelConfig

_DTYPES: dict[KVType, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
_LARGEST_CODE = 127
_SMALLEST_STEP = 1e-12


@dataclass(frozen=True)
class HostBlocks:
    """KV of some blocks in host memory: ``data [L, 2, K, blocks, block_size, D]``, ``scales`` for INT8."""

    data: Tensor
    scales: Tensor | None

    @property
    def nbytes(self) -> int:
        return self.data.nbytes + (0 if self.scales is None else self.scales.nbytes)


class KVStore:
    """Keys ``data[:, 0]`` and values ``data[:, 1]``, ``[L, 2, K, M, D]``.

    INT8 codes are symmetric with one fp32 scale for each token and head: ``scales [L, 2, K, M]``.
    """

    def __init__(
        self, config: ModelConfig, blocks: int, block_size: int, kind: KVType, device: torch.device | str
    ) -> None:
        if blocks < 1 or block_size < 1:
            raise ValueError(f"{blocks} blocks of {block_size} tokens: both must be positive")
        self.kind, self.blocks, self.block_size = kind, blocks, block_size
        heads = (config.layers, 2, config.kv_heads, blocks * block_size)
        self.data = torch.zeros(*heads, config.head_dim, dtype=_DTYPES[kind], device=device)
        self.scales = torch.zeros(heads, device=device) if kind == "int8" else None

    @property
    def nbytes(self) -> int:
        """Bytes allocated, scales included."""
        return self.data.nbytes + (0 if self.scales is None else self.scales.nbytes)

    @property
    def bytes_per_block(self) -> int:
        return self.nbytes // self.blocks

    def write(self, layer: int, slots: Tensor, k: Tensor, v: Tensor) -> None:
        """Store ``k, v [N, K, D]`` of one layer in ``slots [N]``."""
        for part, values in enumerate((k, v)):
            values = values.transpose(0, 1)  # [K, N, D]
            if self.scales is not None:
                steps = values.float().abs().amax(dim=-1).clamp(min=_SMALLEST_STEP) / _LARGEST_CODE
                self.scales[layer, part].index_copy_(1, slots, steps)
                values = (values.float() / steps.unsqueeze(-1)).round()
            self.data[layer, part].index_copy_(1, slots, values.to(self.data.dtype))

    def read(self, layer: int, slots: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Keys and values ``[K, N, D]`` of one layer at ``slots [N]``, as ``dtype``."""
        keys, values = (self._read(layer, part, slots, dtype) for part in (0, 1))
        return keys, values

    def _read(self, layer: int, part: int, slots: Tensor, dtype: torch.dtype) -> Tensor:
        read = self.data[layer, part].index_select(1, slots).to(dtype)
        if self.scales is None:
            return read
        return read * self.scales[layer, part].index_select(1, slots).unsqueeze(-1).to(dtype)

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy block ``source`` onto block ``target`` in all layers, for each ``(source, target)``.

        All sources are read before a target is written.
        """
        if not pairs:
            return
        sources, targets = self._index([pair[0] for pair in pairs]), self._index([pair[1] for pair in pairs])
        for blocks in self._by_block():
            blocks[:, :, :, targets] = blocks[:, :, :, sources]

    def save_blocks(self, blocks: Sequence[int]) -> HostBlocks:
        """Copies of ``blocks`` in host memory, for swapping out."""
        index = self._index(blocks)
        saved = [part[:, :, :, index].cpu() for part in self._by_block()]
        return HostBlocks(saved[0], saved[1] if len(saved) > 1 else None)

    def restore_blocks(self, saved: HostBlocks, blocks: Sequence[int]) -> None:
        """Write what ``save_blocks`` returned into ``blocks``, in the same order; they may differ."""
        if saved.data.shape[3] != len(blocks):
            raise ValueError(f"{saved.data.shape[3]} saved blocks cannot fill {len(blocks)}")
        index = self._index(blocks)
        for part, values in zip(self._by_block(), (saved.data, saved.scales), strict=False):
            assert values is not None, "saved from a store of another type"
            part[:, :, :, index] = values.to(part.device)

    def _by_block(self) -> list[Tensor]:
        """Views with the slots split into ``[..., blocks, block_size, ...]``."""
        parts = [self.data] if self.scales is None else [self.data, self.scales]
        shape = (self.blocks, self.block_size)
        return [torch.unflatten(part, 3, shape) for part in parts]

    def _index(self, blocks: Sequence[int]) -> Tensor:
        return torch.tensor(blocks, dtype=torch.long, device=self.data.device)
