"""The bits with which a format stores one value, and what the value becomes when a bit flips. No torch."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from labs.formulas.number_formats import FP4_E2M1, FloatFormat, bit_fields, decode, encode
from labs.quantization.formats import FORMATS, NF4_LEVELS, NumberFormat

Role = Literal["sign", "exponent", "mantissa", "integer", "code", "scale"]
Condition = Literal["exact", "rounded", "subnormal", "underflow", "overflow", "clipped"]


@dataclass(frozen=True)
class BitPattern:
    """``fields`` are ``(role, bits)``, most significant first; ``flips`` holds one value a bit, NaN where the
    flipped code is no number of the format, or where the bit belongs to a scale, which absmax decides."""

    fields: tuple[tuple[Role, str], ...]
    value: float
    condition: Condition
    flips: tuple[float, ...]


def bit_pattern(value: float, name: str, absmax: float) -> BitPattern:
    """How format ``name`` stores a finite ``value``; scaled formats map ``[-absmax, absmax]`` to codes."""
    form = FORMATS[name]
    if not form.scaled:
        assert form.form is not None
        return _floating(value, form.form)
    scale = form.scale(absmax)
    if form.name == "nf4":
        return _codebook(value, scale)
    if form.form is None:
        return _integer(value, form, scale)
    if form.power_of_two_scale:
        inner = _floating(value / scale, FP4_E2M1, scale)
        exponent = f"{math.frexp(scale)[1] - 1 + 127:08b}"  # E8M0: a bare exponent, biased by 127
        fields: tuple[tuple[Role, str], ...] = (("scale", exponent), *inner.fields)
        return BitPattern(fields, inner.value, inner.condition, (math.nan,) * 8 + inner.flips)
    return _floating(value / scale, FP4_E2M1, scale)


def _floating(unit: float, form: FloatFormat, scale: float = 1.0) -> BitPattern:
    code = encode(unit, form)
    stored = decode(code, form)
    sign, exponent, mantissa = bit_fields(code, form)
    flips = tuple(_number(decode(code ^ 1 << bit, form) * scale) for bit in reversed(range(form.bits)))
    condition: Condition = "exact" if stored == unit else "rounded"
    if math.isinf(stored):
        condition = "overflow"
    elif abs(unit) > form.max and form.specials != "ieee":
        condition = "clipped"
    elif stored == 0 and unit != 0:
        condition = "underflow"
    elif 0 < abs(stored) < form.min_normal and stored != unit:
        condition = "subnormal"
    return BitPattern(
        (("sign", sign), ("exponent", exponent), ("mantissa", mantissa)), stored * scale, condition, flips
    )


def _integer(value: float, form: NumberFormat, scale: float) -> BitPattern:
    top = int(form.unit_max)
    unit = value / scale
    code = round(max(-top, min(top, unit)))
    pattern = code & (1 << form.bits) - 1  # two's complement

    def flipped(bit: int) -> float:
        other = pattern ^ 1 << bit
        other -= (other >> form.bits - 1) << form.bits
        return (
            other * scale if -top <= other else math.nan
        )  # the symmetric grid leaves out -128 (INT8), -8 (INT4)

    flips = tuple(flipped(bit) for bit in reversed(range(form.bits)))
    bits = f"{pattern:0{form.bits}b}"
    return BitPattern((("integer", bits),), code * scale, _condition(unit, code, top), flips)


def _codebook(value: float, scale: float) -> BitPattern:
    unit = value / scale
    # On a tie the lower level, as torch.bucketize decides for tensors.
    code = sum(unit > (low + high) / 2 for low, high in itertools.pairwise(NF4_LEVELS))
    flips = tuple(NF4_LEVELS[code ^ 1 << bit] * scale for bit in reversed(range(4)))
    stored = NF4_LEVELS[code]
    return BitPattern((("code", f"{code:04b}"),), stored * scale, _condition(unit, stored, 1.0), flips)


def _condition(unit: float, stored: float, top: float) -> Condition:
    # Half a unit in the last place of a double: the division by the scale may have cost that much.
    if math.isclose(unit, stored, rel_tol=1e-15):
        return "exact"
    if abs(unit) > top:
        return "clipped"
    return "underflow" if stored == 0 else "rounded"


def _number(value: float) -> float:
    return value if math.isfinite(value) else math.nan
