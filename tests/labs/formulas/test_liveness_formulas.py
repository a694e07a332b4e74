"""Arena planning against the rules that every plan must keep, and small cases worked out by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.liveness import (
    Lifetime,
    arena_bytes,
    greedy_offsets,
    live_bytes,
    naive_bytes,
    peak_bytes,
    step_workspace_bytes,
)

CHAIN = [Lifetime("a", 0, 1, 4), Lifetime("b", 1, 2, 6), Lifetime("c", 2, 3, 4)]

lifetimes = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(1, 50)).map(
        lambda t: Lifetime("t", t[0], t[0] + t[1], t[2])
    ),
    max_size=24,
)


def test_a_chain_needs_two_neighbours_at_once() -> None:
    assert naive_bytes(CHAIN) == 14
    assert live_bytes(CHAIN) == [4, 10, 10, 4]
    assert peak_bytes(CHAIN) == 10
    assert greedy_offsets(CHAIN) == [6, 0, 6]  # c takes a's place
    assert arena_bytes(CHAIN, greedy_offsets(CHAIN)) == 10


def test_the_smallest_gap_is_taken() -> None:
    # Around the last one are gaps of 5 and of 3 places: it fits both, and goes into the smaller.
    fixed = [Lifetime("low", 0, 0, 5), Lifetime("wall", 0, 1, 20), Lifetime("high", 0, 0, 3)]
    late = Lifetime("late", 1, 1, 3)
    offsets = greedy_offsets([*fixed, late])
    assert offsets[3] >= 20  # the wall lies at 0, so what follows it is all there is
    assert arena_bytes([*fixed, late], offsets) == 28


def test_nothing_needs_nothing() -> None:
    assert naive_bytes([]) == peak_bytes([]) == arena_bytes([], []) == 0


@given(lifetimes)
def test_no_two_live_tensors_share_a_byte_and_the_arena_keeps_its_bounds(
    found: list[Lifetime],
) -> None:
    offsets = greedy_offsets(found)
    for i, one in enumerate(found):
        for j in range(i):
            if one.overlaps(found[j]):
                apart = offsets[i] + one.size <= offsets[j] or offsets[j] + found[j].size <= offsets[i]
                assert apart
    assert peak_bytes(found) <= arena_bytes(found, offsets) <= naive_bytes(found)


def test_the_workspace_of_a_step_is_the_peak_of_its_mlp() -> None:
    hidden, ffn = 8, 20
    lives = [
        Lifetime("residual", 0, 2, hidden),
        Lifetime("norm", 0, 0, hidden),
        Lifetime("gate_up", 0, 1, 2 * ffn),
        Lifetime("product", 1, 2, ffn),
        Lifetime("down", 2, 2, hidden),
    ]
    assert step_workspace_bytes(tokens=5, hidden=hidden, ffn=ffn, bytes_per_element=2) == 10 * peak_bytes(
        lives
    )
