"""What every allocator must keep to, whatever is asked of it, and what each of them is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.allocation import KIB, MIB, buddy_size, caching_rounded, caching_segment, size_class
from labs.memory.allocators.buddy import Buddy
from labs.memory.allocators.caching import Caching
from labs.memory.allocators.contest import TITLES, make_store
from labs.memory.allocators.fit import Fit
from labs.memory.allocators.free_runs import FreeRuns
from labs.memory.allocators.paged import Pages
from labs.memory.allocators.replay import replay, seconds_a_call
from labs.memory.allocators.requests import Request, tensor_requests
from labs.memory.allocators.slab import Slab
from labs.memory.allocators.stores import OnePiece, Paged
from tests.labs.memory.naive_fit import NaiveFit

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.memory.allocators.allocator import Allocator

CAPACITY = 64 * MIB
# name: how it is made, the alignment of its addresses, the most that a request may be.
ALLOCATORS: dict[str, tuple[Callable[[], Allocator], int, int]] = {
    "first fit": (lambda: Fit(CAPACITY, "first"), 1, CAPACITY),
    "best fit": (lambda: Fit(CAPACITY, "best", 256), 256, CAPACITY),
    "buddy": (lambda: Buddy(CAPACITY), 512, CAPACITY),
    "slab": (lambda: Slab(CAPACITY, 2 * MIB), 128, CAPACITY),
    "caching": (lambda: Caching(CAPACITY), 512, CAPACITY),
    "pages": (lambda: Pages(CAPACITY, 64 * KIB), 64 * KIB, 64 * KIB),
}
each = pytest.mark.parametrize("name", ALLOCATORS)
# Sizes of all magnitudes; a negative entry frees one of those that are live.
CALLS = st.lists(
    st.one_of(st.integers(1, 26).flatmap(lambda power: st.integers(1, 2**power)), st.integers(-100, -1)),
    max_size=120,
)


def play(allocator: Allocator, calls: list[int], most: int) -> dict[int, int]:
    """The live addresses and what was asked for there; checks after each call that nobody overlaps."""
    live: dict[int, int] = {}
    for call in calls:
        if call > 0 and call <= most:
            address = allocator.allocate(call)
            if address is None:
                if not isinstance(allocator, Slab | Caching):  # what they keep is for some sizes only
                    assert call > allocator.largest_free()
                continue
            assert address not in live
            live[address] = call
        elif call < 0 and live:
            address = list(live)[call % len(live)]
            allocator.free(address)
            del live[address]
        check(allocator, live)
    return live


def check(allocator: Allocator, live: dict[int, int]) -> None:
    assert set(allocator.granted) == set(live)
    assert allocator.used == sum(allocator.granted.values())
    assert allocator.used <= allocator.held <= allocator.capacity
    end = 0
    for address in sorted(live):
        assert address >= end, "two owners of one byte"
        assert allocator.granted[address] >= live[address]
        end = address + allocator.granted[address]
    assert end <= allocator.capacity
    assert 0 <= allocator.largest_free() <= allocator.capacity - allocator.used


@each
@given(calls=CALLS)
def test_nobody_overlaps_and_the_accounts_add_up(name: str, calls: list[int]) -> None:
    make, alignment, most = ALLOCATORS[name]
    allocator = make()
    live = play(allocator, calls, most)
    assert all(address % alignment == 0 for address in live)
    for address in live:
        allocator.free(address)
    assert allocator.used == 0
    if isinstance(allocator, Caching):
        allocator.release_cached()
    assert allocator.held == 0


@each
@given(calls=CALLS)
def test_all_freed_all_is_one_piece_again(name: str, calls: list[int]) -> None:
    make, _, most = ALLOCATORS[name]
    allocator = make()
    for address in play(allocator, calls, most):
        allocator.free(address)
    if isinstance(allocator, Caching):
        allocator.release_cached()
    assert allocator.largest_free() == make().largest_free()
    assert allocator.allocate(allocator.largest_free()) is not None


@given(calls=st.lists(st.integers(-50, 24), max_size=60), alignment=st.sampled_from([1, 2, 8]))
@pytest.mark.parametrize("way", ["first", "best"])
def test_fits_find_what_the_naive_ones_find(way, calls, alignment):
    fast, naive = Fit(96, way, alignment), NaiveFit(96, way, alignment)
    live: list[int] = []
    for call in calls:
        if call > 0:
            address = fast.allocate(call)
            assert address == naive.allocate(call)
            if address is not None:
                live.append(address)
        elif live:
            address = live.pop(call % len(live))
            fast.free(address)
            naive.free(address)
        assert fast.largest_free() == max((length for _, length in naive.runs()), default=0)


@each
def test_freeing_twice_is_refused(name: str) -> None:
    allocator = ALLOCATORS[name][0]()
    address = allocator.allocate(1000)
    assert address is not None
    allocator.free(address)
    with pytest.raises(ValueError, match="not allocated"):
        allocator.free(address)
    with pytest.raises(ValueError, match="at least 1"):
        allocator.allocate(0)


def test_best_fit_leaves_the_large_hole_where_first_fit_cuts_it():
    def holes(way) -> Fit:
        allocator = Fit(100, way)
        addresses = [allocator.allocate(size) for size in (40, 5, 20, 35)]
        allocator.free(addresses[0])  # a hole of 40
        allocator.free(addresses[2])  # and one of 20
        return allocator

    assert (holes("first").allocate(18), holes("best").allocate(18)) == (0, 45)


def test_runs_merge_on_both_sides():
    runs = FreeRuns(30)
    runs.take(0, 30)
    runs.give(0, 10)
    runs.give(20, 10)
    assert (len(runs), runs.largest()) == (2, 10)
    runs.give(10, 10)
    assert (len(runs), runs.largest()) == (1, 30)


def test_a_buddy_merges_with_its_twin_only():
    buddy = Buddy(1024, 128)
    first, second, third = (buddy.allocate(128) for _ in range(3))
    assert (first, second, third) == (0, 128, 256)
    buddy.free(second)
    # 128 and 384 are free and 256 is not: 128's twin is 0, which is in use, so nothing merges.
    assert buddy.free_blocks() == {128: [128, 384], 512: [512]}
    buddy.free(third)
    assert buddy.free_blocks() == {128: [128], 256: [256], 512: [512]}
    buddy.free(first)
    assert buddy.free_blocks() == {1024: [0]}
    assert buddy.splits == buddy.merges == 4


@pytest.mark.parametrize(("capacity", "least"), [(1000, 8), (1024, 12), (64, 128)])
def test_buddies_want_powers_of_two(capacity: int, least: int) -> None:
    with pytest.raises(ValueError, match="powers of two"):
        Buddy(capacity, least)


def test_a_slab_reuses_the_slot_and_gives_an_empty_slab_back():
    slab = Slab(8 * MIB, MIB)
    addresses = [slab.allocate(1000) for _ in range(3)]
    assert slab.held == MIB and slab.granted[addresses[0]] == size_class(1000) == 1024
    slab.free(addresses[1])
    assert slab.allocate(900) == addresses[1], "another size of the same class"
    other = slab.allocate(3000)
    assert slab.held == 2 * MIB and other is not None
    slab.free(other)
    assert slab.held == MIB


def test_caching_keeps_segments_and_asks_the_device_again_only_for_more():
    caching = Caching(256 * MIB)
    for _ in range(10):
        address = caching.allocate(3 * MIB)
        caching.free(address)
    assert caching.device_allocations == 1
    assert caching.held == 20 * MIB, "a request between 1 and 10 MiB has a segment of 20 MiB"
    assert caching.release_cached() == 20 * MIB
    assert (caching.held, caching.device_frees) == (0, 1)


def test_caching_gives_back_what_it_keeps_before_it_refuses():
    caching = Caching(64 * MIB)
    small = [caching.allocate(12 * MIB) for _ in range(4)]
    for address in small:
        caching.free(address)
    assert caching.held == 48 * MIB
    assert caching.allocate(40 * MIB) is not None, "no segment of four is large enough, and all are free"
    assert caching.device_frees == 4


def test_a_split_segment_cannot_be_given_back_while_part_of_it_is_used():
    caching = Caching(20 * MIB)
    first, second = caching.allocate(8 * MIB), caching.allocate(8 * MIB)
    caching.free(first)
    assert caching.release_cached() == 0
    assert caching.allocate(12 * MIB) is None, "12 MiB are free, and not in one piece"
    caching.free(second)
    assert caching.allocate(12 * MIB) == 0


@given(size=st.integers(1, 2**34))
def test_rounding_never_gives_less(size: int) -> None:
    for granted in (buddy_size(size), size_class(size), caching_rounded(size)):
        assert granted >= size
    assert buddy_size(size) < 2 * size or size == 1
    assert size <= 512 or size_class(size) < 1.25 * size
    assert caching_segment(caching_rounded(size)) >= caching_rounded(size)


def grow(store, owner: int, *sizes: int, limit: int = 4096) -> list[bool]:
    return [store.resize(owner, size, limit) for size in sizes]


def test_one_piece_doubles_and_copies_what_it_holds():
    store = OnePiece(Fit(10_000), "copy")
    assert all(grow(store, 1, 100, 101, 200, 201))
    assert store.copied == 100 + 200
    assert store.room(1) == 400 and store.stored == 201
    store.release(1)
    assert (store.stored, store.allocator.used) == (0, 0)


def test_copying_needs_room_for_both():
    store = OnePiece(Fit(250), "copy")
    assert grow(store, 1, 100, 101, limit=200) == [True, False]
    assert store.needed[1] == 100, "it has what it had"


def test_pages_never_copy_and_count_before_they_take():
    store = Paged(Pages(1000, 100))
    assert grow(store, 1, 250, 350) == [True, True] and grow(store, 2, 700) == [False]
    assert (len(store.places[1]), store.places.get(2), store.copied) == (4, [], 0)
    assert store.most_wanted == 600


@pytest.mark.parametrize("name", TITLES)
def test_a_replay_loses_no_byte_and_draws_what_there_is(name) -> None:
    requests = tensor_requests(120, seed=3)
    run = replay(requests, make_store(name, 256 * MIB, 2 * MIB, "reserve"), cells=128)
    assert len(run.owners) == 120 and run.served + len(run.failed) == 120
    last = run.moments[-1]
    assert (last.stored, last.used) == (0, 0)
    assert all(one.stored <= one.used <= one.held for one in run.moments)
    state: dict[int, tuple[int, int]] = {}
    per_event: dict[int, int] = {}
    for row in run.map.rows:
        state[row.cell] = row.owner, row.filled
        per_event[row.event] = sum(filled for _, filled in state.values())
    for moment in run.moments:
        if moment.event - 1 in per_event:
            assert per_event[moment.event - 1] == moment.stored, "the cells hold what is needed"
    assert seconds_a_call(run.store, make_store(name, 256 * MIB, 2 * MIB, "reserve").allocator) > 0


@pytest.mark.parametrize("name", TITLES)
def test_the_map_of_growing_owners_holds_what_they_need(name) -> None:
    requests = [
        Request(0.1 * step, owner, 40_000 * (step + 1) + owner, 1_000_000)
        for step in range(20)
        for owner in range(3)
    ]
    run = replay(requests, make_store(name, 64 * MIB, 64 * KIB, "copy"), cells=500)
    assert not run.failed
    filled: dict[int, int] = {}
    for row in run.map.rows:
        filled[row.cell] = row.filled
    assert sum(filled.values()) == run.moments[-1].stored == sum(run.store.needed.values())


def test_whoever_finds_no_room_is_given_up_and_leaves_it_to_others():
    requests = [
        Request(0.0, 1, 80, 80),
        Request(0.1, 2, 80, 80),
        Request(0.2, 1, 0, 80),
        Request(0.3, 3, 90, 90),
    ]
    run = replay(requests, OnePiece(Fit(100), "reserve"), cells=10)
    assert run.failed == {2} and run.served == 2
    assert [one.kind for one in run.happenings] == ["start", "fail", "end", "start"]
