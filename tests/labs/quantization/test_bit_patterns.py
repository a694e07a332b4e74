"""The bits on show spell the value that tensors really get, and a clicked bit gives what it promises."""

import math
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.quantization.bit_patterns import bit_pattern
from labs.quantization.casting import cast
from labs.quantization.formats import FORMATS

values = st.floats(-1e5, 1e5, width=32)
ranges = st.floats(2**-6, 100, width=32)


@settings(deadline=None)
@given(values, ranges, st.sampled_from(list(FORMATS)))
def test_the_pattern_holds_the_value_that_a_tensor_gets(value, absmax, name):
    pattern = bit_pattern(value, name, absmax)
    stored = cast(torch.tensor([value]), name, absmax if FORMATS[name].scaled else None).item()
    assert pattern.value == stored or pattern.value == pytest.approx(stored, rel=1e-6, abs=1e-45)


@settings(deadline=None)
@given(values, ranges, st.sampled_from(list(FORMATS)))
def test_a_flipped_bit_is_stored_as_promised(value, absmax, name):
    pattern = bit_pattern(value, name, absmax)
    assert len(pattern.flips) == sum(len(bits) for _, bits in pattern.fields)
    digits = "".join(bits for _, bits in pattern.fields)
    for index, flipped in enumerate(pattern.flips):
        if math.isnan(flipped):
            continue
        after = bit_pattern(flipped, name, absmax)
        assert after.value == pytest.approx(flipped, rel=1e-12)
        changed = [at for at, (a, b) in enumerate(zip(digits, _digits(after), strict=True)) if a != b]
        # A flipped sign of zero gives -0.0, which an integer cannot tell from 0.
        assert changed == [index] or flipped == 0


def _digits(pattern) -> str:
    return "".join(bits for _, bits in pattern.fields)


def test_fp32_bits_are_the_machine_s_own():
    bits = _digits(bit_pattern(0.1, "fp32", 1.0))
    assert int(bits, 2) == struct.unpack(">I", struct.pack(">f", 0.1))[0]


@pytest.mark.parametrize(
    ("value", "name", "condition"),
    [
        (0.5, "bf16", "exact"),
        (0.1, "bf16", "rounded"),
        (70000.0, "fp16", "overflow"),
        (1e-7, "fp16", "subnormal"),
        (1e-9, "fp16", "underflow"),
        (65510.0, "fp16", "rounded"),
        (500.0, "fp8_e4m3", "clipped"),
        (2.0, "int8", "clipped"),
        (0.001, "int8", "underflow"),
        (1.0, "nf4", "exact"),
        (9.0, "mxfp4", "clipped"),
    ],
)
def test_the_condition_is_named(value, name, condition):
    assert bit_pattern(value, name, 1.0).condition == condition
