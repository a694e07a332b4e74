"""Bits a value once block scales are counted, against the numbers that each format is known by."""

from __future__ import annotations

import pytest

from labs.formulas.block_formats import MXFP4, MXFP6, MXFP8, NF4, NVFP4, Q4_0, Q4_1, Q8_0, BlockFormat


@pytest.mark.parametrize(
    ("form", "bits"),
    [
        (MXFP8, 8.25),
        (MXFP6, 6.25),
        (MXFP4, 4.25),
        (NVFP4, 4.5),
        (NF4, 4.5),
        (Q8_0, 8.5),
        (Q4_0, 4.5),
        (Q4_1, 5.0),
    ],
)
def test_bits_per_element(form: BlockFormat, bits: float) -> None:
    assert form.bits_per_element == bits


def test_a_ragged_last_block_is_stored_whole() -> None:
    assert Q4_1.storage_bytes(32) == 20
    assert Q4_1.storage_bytes(33) == 40
    assert MXFP4.storage_bytes(576) == 18 * 17
