"""Bytes of sparse formats counted from arrays, and chances counted from cases."""

from __future__ import annotations

import itertools

import pytest

from labs.formulas import sparsity


def test_bytes_are_those_of_the_arrays() -> None:
    # [[5, 0, 0], [0, 0, 7]] in fp16 with int32: two rows, two nonzeros.
    assert sparsity.coo_bytes(2, 2) == 2 * 4 + 2 * 4 + 2 * 2
    assert sparsity.csr_bytes(2, 2, 2) == 3 * 4 + 2 * 4 + 2 * 2
    assert sparsity.bsr_bytes(32, 3, 16, 2) == 3 * 4 + 3 * 4 + 3 * 256 * 2
    assert sparsity.two_four_bytes(16, 64, 2) == 16 * 32 * 2 + 16 * 32 / 4
    assert sparsity.bitmap_bytes(4, 16, 10, 2) == 8 + 20


def test_two_four_in_shares() -> None:
    assert [sparsity.two_four_share(bits) for bits in (16, 8, 4)] == [9 / 16, 5 / 8, 3 / 4]
    assert sparsity.bits_per_weight(4, 0.5, 1) == 4 * sparsity.two_four_share(4)


def test_break_even_is_where_both_take_as_much() -> None:
    density = sparsity.break_even_density(2, 4)
    assert density * 1000 * (2 + 4) == pytest.approx(1000 * 2)
    assert sparsity.least_speedup(1 - density, 2, 4) == pytest.approx(1)
    assert sparsity.speed_break_even_density(100e9, 10e9) == pytest.approx(0.1)
    assert sparsity.speed_break_even_density(1, 2) == 1


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_chances_are_sums_over_all_groups(density: float) -> None:
    weights = {
        kept: density ** sum(kept) * (1 - density) ** (4 - sum(kept))
        for kept in itertools.product((0, 1), repeat=4)
    }
    fitting = sum(weight for kept, weight in weights.items() if sum(kept) <= 2)
    assert sparsity.two_four_chance(density) == pytest.approx(fitting)
    some = sum(weight for kept, weight in weights.items() if sum(kept))
    assert sparsity.block_density(density, 4) == pytest.approx(some)
    assert sparsity.union_density(density, 4) == pytest.approx(some)
