"""KV-cache bytes and waste against published figures and brute force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.kv_cache import (
    block_table_bytes,
    blocks_for,
    bytes_per_token,
    cached_tokens,
    expected_last_block_waste,
    largest_batch,
    last_block_waste,
    least_overhead_block_size,
    mla_bytes_per_token,
    paged_waste,
    reserved_waste,
)

lengths = st.lists(st.integers(1, 5000), min_size=1, max_size=20)
block_sizes = st.integers(1, 300)


@pytest.mark.parametrize(
    ("layers", "kv_heads", "kib"),
    [(32, 8, 128), (80, 8, 320), (32, 32, 512)],  # Llama-3-8B, Llama-3-70B, Llama-2-7B
)
def test_bytes_per_token(layers: int, kv_heads: int, kib: int) -> None:
    found = bytes_per_token(layers=layers, kv_heads=kv_heads, head_dim=128, bytes_per_element=2)
    assert found == kib * 1024


def test_opt_13b_needs_the_800_kb_that_the_paged_attention_paper_says() -> None:
    # 2309.06180, section 3: "2 (key and value vectors) x 5120 (hidden) x 40 (layers) x 2 (bytes per FP16)".
    assert bytes_per_token(layers=40, kv_heads=40, head_dim=128, bytes_per_element=2) == 800 * 1024


def test_mla_keeps_one_latent_for_all_heads() -> None:
    # DeepSeek-V3: 61 layers of 512 + 64 elements in BF16, 70,272 bytes.
    found = mla_bytes_per_token(layers=61, kv_lora_rank=512, rope_head_dim=64, bytes_per_element=2)
    assert found == 70_272


def test_a_window_bounds_what_a_layer_keeps() -> None:
    assert [cached_tokens(n, 128) for n in (1, 128, 129, 10_000)] == [1, 128, 128, 128]
    assert cached_tokens(10_000) == 10_000


@pytest.mark.parametrize(("tokens", "blocks", "waste"), [(0, 0, 0), (1, 1, 15), (16, 1, 0), (17, 2, 15)])
def test_blocks(tokens: int, blocks: int, waste: int) -> None:
    assert blocks_for(tokens, 16) == blocks
    assert last_block_waste(tokens, 16) == waste


@pytest.mark.parametrize(("tokens", "block_size"), [(-1, 16), (1, 0)])
def test_impossible_blocks_are_refused(tokens: int, block_size: int) -> None:
    with pytest.raises(ValueError, match="expected at least"):
        blocks_for(tokens, block_size)


@given(tokens=st.integers(0, 10**6), block_size=block_sizes)
def test_a_last_block_is_never_empty(tokens: int, block_size: int) -> None:
    assert 0 <= last_block_waste(tokens, block_size) < block_size


@given(start=st.integers(0, 1000), block_size=block_sizes)
def test_expected_waste_is_the_mean_over_a_block_of_lengths(start: int, block_size: int) -> None:
    wastes = [last_block_waste(tokens, block_size) for tokens in range(start, start + block_size)]
    assert sum(wastes) / block_size == expected_last_block_waste(block_size)


def test_waste_by_hand() -> None:
    # 10 + 20 tokens: one block and two of 16 (48 slots), or two reservations of 100.
    assert paged_waste([10, 20], 16) == pytest.approx(18 / 48)
    assert reserved_waste([10, 20], 100) == pytest.approx(170 / 200)
    assert paged_waste([], 16) == reserved_waste([], 100) == 0.0


@given(lengths=lengths, block_size=block_sizes)
def test_paging_wastes_less_than_reserving_for_the_longest(lengths: list[int], block_size: int) -> None:
    reserved = blocks_for(max(lengths), block_size) * block_size
    assert 0 <= paged_waste(lengths, block_size) <= reserved_waste(lengths, reserved) + 1e-12


def test_a_reservation_must_hold_its_sequence() -> None:
    with pytest.raises(ValueError, match="21 tokens does not fit 20"):
        reserved_waste([3, 21], 20)


def test_block_table_bytes() -> None:
    assert block_table_bytes(4096, 16) == 256 * 4
    assert block_table_bytes(4097, 16, bytes_per_entry=8) == 257 * 8


@given(tokens=st.integers(1, 10**6), slot=st.floats(1, 1e6), factor=st.floats(0.1, 10))
def test_no_block_size_costs_less_than_the_best(tokens: int, slot: float, factor: float) -> None:
    def cost(size: float) -> float:
        return tokens / size * 4 + size / 2 * slot

    best = least_overhead_block_size(tokens, slot)
    assert cost(best) <= cost(best * factor) * (1 + 1e-9)


def test_memory_alone_asks_for_tiny_blocks() -> None:
    assert least_overhead_block_size(131_072, 128 * 1024) == pytest.approx(8**0.5)


def test_largest_batch_by_hand() -> None:
    # 24 GiB hold 12,288 blocks of 16 x 128 KiB; 1,000 tokens take 63 of them.
    assert largest_batch(24 * 2**30, 1000, 128 * 1024, 16) == 12_288 // 63


@given(
    free=st.integers(0, 10**9),
    tokens=st.integers(1, 5000),
    slot=st.integers(1, 10**5),
    block_size=block_sizes,
)
def test_the_largest_batch_fits_and_one_more_does_not(
    free: int, tokens: int, slot: int, block_size: int
) -> None:
    batch = largest_batch(free, tokens, slot, block_size)
    sequence = blocks_for(tokens, block_size) * block_size * slot
    assert batch * sequence <= free < (batch + 1) * sequence
