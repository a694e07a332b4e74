"""Paged attention's native kernel against the formula on odd shapes, and how contexts are cut into parts."""

from __future__ import annotations

import msgspec
import pytest
import torch

from labs.engine.kv_store import KVStore
from labs.models.config import ModelConfig
from labs.ops.native_attention import NativeAttention, native_attention
from labs.ops.paged_attention import naive_paged_attention, parts_for
from labs.text import Text

TINY = ModelConfig(
    architecture="llama",
    layers=2,
    hidden=64,
    intermediate=64,
    heads=6,
    kv_heads=2,
    head_dim=20,
    vocab=8,
    context=512,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
)


def native() -> NativeAttention:
    library = native_attention()
    if isinstance(library, Text):
        pytest.skip(library.en)
    return NativeAttention(library, 2)


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("block_size", [1, 7, 16, 100])
def test_the_native_kernel_equals_the_formula(kind: str, block_size: int) -> None:
    attention, generator = native(), torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 63, 100], dtype=torch.int32)
    width = -(-100 // block_size)
    store = KVStore(TINY, 3 * width + 2, block_size, kind, "cpu")  # type: ignore[arg-type]
    slots = torch.arange(store.blocks * block_size)
    for layer in range(TINY.layers):
        k, v = (torch.randn(len(slots), TINY.kv_heads, TINY.head_dim, generator=generator) for _ in range(2))
        store.write(layer, slots, k, v)
    tables = torch.randperm(store.blocks, generator=generator)[: 3 * width].view(3, width).int()
    q = torch.randn(3, TINY.heads, TINY.head_dim, generator=generator)
    keys, values = store.read(1, slots, torch.float32)
    expected = naive_paged_attention(q, keys, values, tables, lengths, block_size)
    torch.testing.assert_close(attention.decode(q, store, 1, tables, lengths), expected, rtol=1e-4, atol=1e-5)


def test_where_the_blocks_lie_changes_no_bit() -> None:
    """Paging moves data and leaves the arithmetic alone: any block size gives what contiguous memory does."""
    attention, generator = native(), torch.Generator().manual_seed(1)
    length, config = 96, msgspec.structs.replace(TINY, head_dim=64)
    k, v = (torch.randn(length, config.kv_heads, 64, generator=generator) for _ in range(2))
    q = torch.randn(1, config.heads, 64, generator=generator)
    results = []
    for size in (96, 16, 4, 1):
        store = KVStore(config, length // size + 1, size, "fp32", "cpu")
        store.data.fill_(torch.nan)  # a slot that nobody wrote may hold anything
        table = torch.randperm(length // size + 1, generator=generator)[: length // size].view(1, -1).int()
        positions = torch.arange(length)
        slots = table[0, positions // size].long() * size + positions % size
        store.write(0, slots, k, v)
        results.append(attention.decode(q, store, 0, table, torch.tensor([length], dtype=torch.int32)))
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_a_lone_long_sequence_is_cut_into_parts_and_many_are_not() -> None:
    assert parts_for(items=8, longest=8192, processors=108) == 16
    assert parts_for(items=512, longest=8192, processors=108) == 1
    assert parts_for(items=1, longest=64, processors=108) == 1
