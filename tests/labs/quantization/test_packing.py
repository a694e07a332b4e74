"""Packed codes come back unchanged, in exactly the bytes that the formula counts."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.quantization.packing import pack, packed_bytes, unpack


@settings(deadline=None)
@given(st.data(), st.integers(2, 8))
def test_unpack_undoes_pack(data, bits):
    codes = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=70))
    tensor = torch.tensor(codes, dtype=torch.int64)
    packed = pack(tensor, bits)
    assert packed.dtype == torch.uint8
    assert packed.numel() == packed_bytes(len(codes), bits) == math.ceil(len(codes) * bits / 8)
    assert unpack(packed, bits, len(codes)).tolist() == codes


def test_four_bits_lie_low_nibble_first():
    assert pack(torch.tensor([0x1, 0x2, 0xF]), 4).tolist() == [0x21, 0x0F]


@pytest.mark.parametrize("code", [-1, 16])
def test_a_code_that_does_not_fit_is_refused(code):
    with pytest.raises(ValueError, match=r"0\.\.15"):
        pack(torch.tensor([0, code]), 4)
