"""What paging moves, shares and copies, checked against counting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.paged_attention import (
    beam_slots,
    copies_of_forks,
    decode_traffic,
    gathered_traffic,
    reordered_tokens,
    shared_prefix_tokens,
)

LLAMA = {"heads": 32, "kv_heads": 8, "head_dim": 128, "kv_element_bytes": 2}


def test_a_layers_traffic_is_that_of_its_keys_and_values() -> None:
    traffic = decode_traffic([4096], **LLAMA, block_size=16)  # type: ignore[arg-type]
    assert traffic.kv_bytes == 2 * 4096 * 8 * 128 * 2
    assert traffic.table_bytes == 256 * 4
    assert traffic.flops == 4 * 4096 * 32 * 128
    assert 3.9 < traffic.intensity < 4  # 2 FLOPs a number and query head, four query heads to 2 bytes


def test_contiguous_memory_has_no_table() -> None:
    assert decode_traffic([7, 9], **LLAMA).table_bytes == 0  # type: ignore[arg-type]


def test_gathering_first_reads_writes_and_reads_again() -> None:
    traffic = decode_traffic([1000], **LLAMA, block_size=16)  # type: ignore[arg-type]
    assert gathered_traffic(traffic) - traffic.moved_bytes == 2 * traffic.kv_bytes


def test_a_block_of_one_token_is_never_copied() -> None:
    assert copies_of_forks(10, 1) == 0
    assert copies_of_forks(16, 16) == 15


def test_rebuilding_copies_every_beam_from_the_second_token_on() -> None:
    assert reordered_tokens(beams=4, prompt=10, new_tokens=3) == 4 * (11 + 12)


@given(st.integers(0, 500), st.integers(1, 64))
def test_whole_blocks_are_shared(tokens: int, block_size: int) -> None:
    shared = shared_prefix_tokens(tokens, block_size)
    assert shared % block_size == 0 and 0 <= tokens - shared < block_size


@given(st.integers(1, 8), st.integers(0, 200), st.integers(1, 100), st.integers(1, 64))
def test_beams_hold_at_least_their_tokens_and_at_most_a_copy_each(
    beams: int, shared: int, own: int, block_size: int
) -> None:
    slots = beam_slots(beams, shared, own, block_size)
    assert slots >= shared + beams * own
    assert slots <= beams * beam_slots(1, shared, own, block_size)
    assert slots % block_size == 0
