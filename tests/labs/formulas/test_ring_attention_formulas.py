"""Who computes what on a ring, and what it sends, against counting."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.prefill import causal_pairs
from labs.formulas.ring_attention import (
    all_gather_bytes,
    attention_flops,
    balance,
    hidden_block_tokens,
    pairs,
    positions,
    rank_kv_bytes,
    sent_bytes,
    step_pairs,
)

layouts = st.sampled_from(["contiguous", "zigzag", "striped"])


@given(ranks=st.integers(1, 6), size=st.integers(1, 8), layout=layouts)
def test_every_causal_pair_is_computed_once(ranks: int, size: int, layout: str) -> None:
    tokens = 2 * ranks * size
    owned = [positions(rank, ranks, tokens, layout) for rank in range(ranks)]  # type: ignore[arg-type]
    assert sorted(itertools.chain(*owned)) == list(range(tokens)) and all(
        part == sorted(part) for part in owned
    )
    steps = step_pairs(ranks, tokens, layout)  # type: ignore[arg-type]
    assert sum(map(sum, steps)) == causal_pairs(tokens)


def test_pairs_are_counted_as_they_are() -> None:
    assert pairs([1, 5], [0, 1, 2, 9]) == 2 + 3


def test_zigzag_is_balanced_and_contiguous_is_not() -> None:
    # One rank's diagonal, then three full blocks against whole ones: 1/2 + 3 for 4 x 2.5 of work at 4 ranks.
    assert balance(4, 4096, "contiguous") == pytest.approx(8 / 14, abs=1e-3)
    assert balance(4, 4096, "zigzag") == pytest.approx(1.0, abs=1e-9)
    assert balance(4, 4096, "striped") > 0.999


def test_uneven_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a multiple of 8"):
        positions(0, 4, 12, "zigzag")


def test_the_ring_sends_as_much_as_gathering_and_holds_less() -> None:
    shape = (4096, 8, 8, 128, 2)
    assert sent_bytes(*shape) == 7 / 8 * all_gather_bytes(*shape)
    assert rank_kv_bytes(*shape) == 3 / 8 * all_gather_bytes(*shape)


def test_a_block_is_hidden_when_computing_takes_as_long() -> None:
    peak, link, heads, kv_heads, dim = 1e15, 4e11, 32, 8, 128
    tokens = hidden_block_tokens(peak, link, heads=heads, kv_heads=kv_heads, bytes_per_element=2)
    computing = attention_flops(tokens * tokens, heads, dim) / peak
    sending = 2 * tokens * kv_heads * dim * 2 / link
    assert computing == pytest.approx(sending)
    mha = hidden_block_tokens(peak, link, heads=heads, kv_heads=heads, bytes_per_element=2)
    assert mha == peak / link  # the paper's condition
