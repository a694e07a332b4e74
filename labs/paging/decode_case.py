"""One decode step's attention to be timed: a store larger than the caches, tables into it, and queries."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
import torch

from labs.caches import last_level_cache_bytes
from labs.engine.kv_store import KVStore
from labs.formulas.paged_attention import Traffic, decode_traffic
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context
    from labs.engine.precision import KVType
    from labs.models.config import ModelConfig

Order = Literal["shuffled", "in_order"]

_CACHES_FULL = 2  # last-level caches that the rotating layers fill
_MOST_LAYERS = 64
_ELEMENT_BYTES = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0}
_SCALE_BYTES = 4.0  # of INT8, one for each token and head


@dataclass(frozen=True)
class Shape:
    """``batch`` sequences of ``context`` tokens each, on the heads of a model."""

    batch: int
    context: int
    heads: int
    kv_heads: int
    head_dim: int
    kv: KVType

    @property
    def element_bytes(self) -> float:
        """Of a stored number, with its share of a scale."""
        scale = _SCALE_BYTES / self.head_dim if self.kv == "int8" else 0.0
        return _ELEMENT_BYTES[self.kv] + scale

    def traffic(self, block_size: int) -> Traffic:
        """``block_size`` 0: contiguous, no table."""
        return decode_traffic(
            [self.context] * self.batch,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            kv_element_bytes=self.element_bytes,
            block_size=block_size,
        )


def shape_of(config: ModelConfig, batch: int, context: int, kv: KVType) -> Shape:
    """The model's own heads."""
    return Shape(batch, context, config.heads, config.kv_heads, config.head_dim, kv)


@dataclass(frozen=True)
class Case:
    """``store`` has several layers to rotate through, so that a call finds nothing of its KV in the caches.

    ``tables [B, W]``, ``lengths [B]`` int32; ``slots [B, S]``: the same, a slot for each position.
    """

    shape: Shape
    store: KVStore
    q: Tensor
    tables: Tensor
    lengths: Tensor
    slots: Tensor

    @property
    def layers(self) -> int:
        return len(self.store.data)


def make_store(ctx: Context, config: ModelConfig, shape: Shape, largest_block: int) -> KVStore:
    """A store with room for ``shape`` in blocks of any power of two up to ``largest_block``, random inside.

    LabError where it does not fit this machine.
    """
    slots = shape.batch * math.ceil(shape.context / largest_block) * largest_block
    layer_bytes = 2 * slots * shape.kv_heads * shape.head_dim * shape.element_bytes
    wanted = math.ceil(_CACHES_FULL * last_level_cache_bytes(ctx.device) / layer_bytes)
    layers = min(max(1, wanted), _MOST_LAYERS)
    ctx.reserve(
        int(2 * layers * layer_bytes),
        Text(zh="计时用的 KV 缓存", en="the KV cache that is timed"),
        Text(zh="把上下文或批大小调小。", en="Use a shorter context or a smaller batch."),
    )
    sized = msgspec.structs.replace(config, layers=layers)
    store = KVStore(sized, slots // largest_block, largest_block, shape.kv, ctx.device)
    generator = torch.Generator(ctx.device).manual_seed(ctx.seed)
    for layer in range(layers):
        ctx.check()
        if store.scales is None:
            store.data[layer].normal_(generator=generator)
        else:
            store.data[layer].random_(-127, 128, generator=generator)
            store.scales[layer].fill_(1 / 127)
    return store


def make_case(ctx: Context, store: KVStore, shape: Shape, block_size: int, order: Order) -> Case:
    """``store`` divided into blocks of ``block_size`` slots (0: contiguous, one block a sequence).

    ``shuffled``: every block lies anywhere, as after hours of serving. LabError if the store is too small.
    """
    slots = store.blocks * store.block_size
    size = block_size or slots // shape.batch
    width, blocks = math.ceil(shape.context / size), slots // size
    if shape.batch * width > blocks:
        zh, en = f"放不下 {shape.batch * width} 个块", f"no room for {shape.batch * width} blocks"
        raise LabError(Text(zh=zh, en=en))
    numbers = torch.arange(blocks)
    if order == "shuffled" and block_size:
        numbers = torch.randperm(blocks, generator=ctx.generator())
    tables = numbers[: shape.batch * width].view(shape.batch, width).int()
    positions = torch.arange(shape.context)
    read = tables[:, positions // size].long() * size + positions % size
    q = torch.randn(shape.batch, shape.heads, shape.head_dim, generator=ctx.generator())
    lengths = torch.full((shape.batch,), shape.context, dtype=torch.int32)
    q, tables, lengths, read = (part.to(ctx.device) for part in (q, tables, lengths, read))
    return Case(shape, reblocked(store, size), q, tables.contiguous(), lengths, read)


def reblocked(store: KVStore, block_size: int) -> KVStore:
    """The same memory, counted in blocks of another size."""
    other = copy.copy(store)
    other.blocks, other.block_size = store.blocks * store.block_size // block_size, block_size
    return other
