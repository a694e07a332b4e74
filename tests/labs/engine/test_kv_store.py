"""What is written into blocks is what is read out of them, whatever is copied or swapped meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.engine.kv_store import KVStore
from tests.labs.engine.small_models import small_model

if TYPE_CHECKING:
    from labs.engine.precision import KVType

CONFIG = small_model().config
HALF_STEP = {"fp32": 0.0, "bf16": 2**-8, "int8": 0.5 / 127}  # of a token's largest value, at worst


def vectors(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    k, v = torch.randn(2, count, CONFIG.kv_heads, CONFIG.head_dim, generator=generator).unbind()
    return k, v


@pytest.mark.parametrize("kind", HALF_STEP)
def test_reading_gives_what_was_written_to_half_a_step(kind: KVType) -> None:
    store = KVStore(CONFIG, 4, 3, kind, "cpu")
    slots = torch.tensor([7, 0, 11, 4])
    k, v = vectors(4)
    store.write(1, slots, k, v)
    for read, written in zip(store.read(1, slots, torch.float32), (k, v), strict=True):
        written = written.transpose(0, 1)
        error = (read - written).abs() / written.abs().amax(dim=-1, keepdim=True)
        assert error.max() <= HALF_STEP[kind] + 1e-6
    assert not store.data[0].any()  # the other layer
    assert not store.data[1, :, :, [1, 2, 3, 5, 6, 8, 9, 10]].any()


@pytest.mark.parametrize("kind", HALF_STEP)
def test_a_zero_vector_is_stored_exactly(kind: KVType) -> None:
    store = KVStore(CONFIG, 1, 1, kind, "cpu")
    zeros = torch.zeros(1, CONFIG.kv_heads, CONFIG.head_dim)
    store.write(0, torch.tensor([0]), zeros, zeros)
    assert not store.read(0, torch.tensor([0]), torch.float32)[0].any()


def test_copies_read_all_sources_before_they_write() -> None:
    """A swap of two blocks in one call, and one source for two targets."""
    store = KVStore(CONFIG, 4, 2, "fp32", "cpu")
    k, v = vectors(4)
    store.write(0, torch.arange(4), k, v)
    store.copy_blocks([(0, 1), (1, 0), (0, 3)])
    keys, _ = store.read(0, torch.tensor([2, 3, 0, 1, 6, 7]), torch.float32)
    assert torch.equal(keys, k.transpose(0, 1)[:, [0, 1, 2, 3, 0, 1]])


@pytest.mark.parametrize("kind", HALF_STEP)
def test_saved_blocks_come_back_into_others(kind: KVType) -> None:
    store = KVStore(CONFIG, 5, 2, kind, "cpu")
    slots = torch.tensor([2, 3, 8, 9])
    store.write(1, slots, *vectors(4))
    before = store.read(1, slots, torch.float32)
    saved = store.save_blocks([1, 4])
    store.data.zero_()
    store.restore_blocks(saved, [0, 1])
    for right, read in zip(before, store.read(1, torch.arange(4), torch.float32), strict=True):
        assert torch.equal(right, read)
    assert saved.nbytes == 2 * store.bytes_per_block
    with pytest.raises(ValueError, match="2 saved blocks cannot fill 1"):
        store.restore_blocks(saved, [0])


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 blocks of 4"):
        KVStore(CONFIG, 0, 4, "fp32", "cpu")
