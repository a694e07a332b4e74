"""The closed forms of a warp's access against counting, for every stride, size and offset that labs use."""

from __future__ import annotations

import numpy as np
import pytest

from labs.formulas.warp_access import (
    divergent_efficiency,
    interleaved_reduction_share,
    padded_pitch,
    sequential_reduction_share,
    shuffle_steps,
    strided_efficiency,
    strided_passes,
    strided_sectors,
)

LANES = np.arange(32)


@pytest.mark.parametrize("element_bytes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("granule", [32, 128])
def test_sectors_by_counting_bytes(element_bytes: int, granule: int) -> None:
    for stride in (*range(-40, 41), 64, 100, 1024):
        for offset in (0, 1, 3, 8, 31):
            start = (offset + stride * LANES) * element_bytes
            touched = {
                int(byte) // granule for first in start for byte in range(first, first + element_bytes)
            }
            found = strided_sectors(stride, element_bytes, offset=offset, granule=granule)
            assert found == len(touched), (stride, offset)


@pytest.mark.parametrize("element_bytes", [4, 8, 16])
def test_passes_by_counting_words_of_a_bank(element_bytes: int) -> None:
    words, parts = element_bytes // 4, element_bytes // 4
    for stride in range(0, 70):
        passes = 0
        for lanes in np.split(LANES, parts):
            wanted = {int(lane * stride * words + k) for lane in lanes for k in range(words)}
            passes += max(sum(word % 32 == bank for word in wanted) for bank in range(32))
        assert strided_passes(stride, element_bytes) == passes, stride


def test_efficiency() -> None:
    assert strided_efficiency(1, 4) == 1.0
    assert strided_efficiency(1, 4, offset=1) == 128 / 160
    assert strided_efficiency(2, 4) == 0.5
    assert strided_efficiency(8, 4) == strided_efficiency(1000, 4) == 0.125
    assert strided_efficiency(0, 4) == 0.125


def test_a_padded_pitch_is_odd() -> None:
    assert padded_pitch(32) == 33 and padded_pitch(33) == 33 and padded_pitch(48) == 49
    assert strided_passes(padded_pitch(64)) == 1


@pytest.mark.parametrize("threads", [64, 128, 256, 1024])
def test_reductions_by_counting_lanes(threads: int) -> None:
    thread = np.arange(threads)
    shares = []
    for working in (lambda d: thread % (2 * d) == 0, lambda d: thread < d):
        lanes = issued = 0
        distance = 1
        while distance < threads:
            warps = working(distance).reshape(-1, 32)
            lanes += int(warps.sum())
            issued += 32 * int(warps.any(axis=1).sum())
            distance *= 2
        shares.append(lanes / issued)
    assert shares == [interleaved_reduction_share(threads), sequential_reduction_share(threads)]


def test_small_ones() -> None:
    assert shuffle_steps() == 5 and shuffle_steps(8) == 3
    assert divergent_efficiency([16, 16]) == 0.5 and divergent_efficiency([32, 0]) == 1.0
    assert divergent_efficiency([1] * 32) == 1 / 32
