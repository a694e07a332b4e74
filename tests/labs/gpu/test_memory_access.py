"""Sectors and passes against a count by hand for any addresses at all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labs.gpu.memory_access import global_request, shared_request

ADDRESSES = st.lists(st.integers(0, 400), min_size=32, max_size=32)
SIZES = st.sampled_from([4, 8, 16])


@given(ADDRESSES, st.sampled_from([1, 2, 4, 8, 16]))
def test_sectors_are_those_of_the_bytes(elements: list[int], size: int) -> None:
    request = global_request(np.array(elements) * size, size)
    touched = {element * size + byte for element in elements for byte in range(size)}
    assert list(request.sectors) == sorted({byte // 32 for byte in touched})
    assert list(request.lines) == sorted({byte // 128 for byte in touched})
    assert request.asked == len(touched) and 0 < request.efficiency <= 1


@given(ADDRESSES, st.lists(st.booleans(), min_size=32, max_size=32), SIZES)
def test_passes_are_the_most_words_asked_of_a_bank(
    elements: list[int], active: list[bool], size: int
) -> None:
    addresses, mask = np.array(elements) * size, np.array(active)
    request = shared_request(addresses, mask, size)
    passes = phases = 0
    for lanes in np.split(np.arange(32), size // 4):
        words = {int(addresses[lane]) // 4 + k for lane in lanes if mask[lane] for k in range(size // 4)}
        phases += bool(words)
        passes += max((sum(word % 32 == bank for word in words) for bank in range(32)), default=0)
    assert (request.passes, request.least) == (passes, phases)
    assert ((request.cycle >= 0) == mask).all() and request.cycle.max(initial=-1) < max(passes, 1)


def test_one_word_goes_to_all_lanes_at_once() -> None:
    everyone = np.ones(32, dtype=bool)
    assert shared_request(np.zeros(32, dtype=int), everyone, 4).passes == 1
    assert shared_request(np.arange(32) * 128, everyone, 4).conflicts == 31
    assert shared_request(np.arange(32) * 132, everyone, 4).conflicts == 0
