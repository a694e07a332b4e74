"""Contiguous reservations: one run each, first fit, and waiting where no run is long enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.engine.reserving import ReservingManager
from labs.engine.sequence import Sequence


def sequence(number: int, tokens: int) -> Sequence:
    return Sequence(id=number, prompt=max(1, tokens // 2), limit=tokens - max(1, tokens // 2))


def test_a_hole_that_is_too_small_is_passed_over_and_makes_one_wait() -> None:
    manager = ReservingManager(blocks=8, block_size=4)
    a, b, c = sequence(0, 8), sequence(1, 16), sequence(2, 8)
    assert all(manager.grow(one, one.prompt) for one in (a, b, c))
    assert (a.blocks, b.blocks, c.blocks) == ([0, 1], [2, 3, 4, 5], [6, 7])
    manager.release(a)
    manager.release(c)
    late = sequence(3, 12)
    assert manager.available == 4 and manager.wanted(late, late.prompt, []) > manager.available
    assert not manager.grow(late, late.prompt) and late.blocks == []
    small = sequence(4, 5)
    assert manager.grow(small, small.prompt) and small.blocks == [0, 1]


def test_growing_to_the_limit_takes_nothing_more() -> None:
    manager = ReservingManager(blocks=8, block_size=4)
    one = sequence(0, 9)
    assert manager.grow(one, 1)
    before = list(one.blocks)
    assert manager.grow(one, 9) and one.blocks == before and len(before) == 3


@given(st.lists(st.tuples(st.integers(2, 40), st.booleans()), max_size=30))
def test_runs_are_contiguous_and_never_overlap(requests: list[tuple[int, bool]]) -> None:
    manager = ReservingManager(blocks=20, block_size=4)
    held: list[Sequence] = []
    for number, (tokens, leaves) in enumerate(requests):
        one = sequence(number, tokens)
        fits = manager.wanted(one, one.prompt, []) <= manager.available
        assert manager.grow(one, one.prompt) == fits
        if fits:
            assert one.blocks == list(range(one.blocks[0], one.blocks[0] + manager.blocks_for(tokens)))
            held.append(one)
        if leaves and held:
            manager.release(held.pop(0))
        owned = [block for other in held for block in other.blocks]
        assert sorted([*owned, *manager.free]) == list(range(20))
