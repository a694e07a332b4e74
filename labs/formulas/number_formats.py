"""What a format can store: field widths, limits, and the exact bits of a value. Pure Python, no torch.

Every value of every format here is a Python float, so encoding and decoding are exact: the only rounding is
the one that the format itself asks for, to the nearest value and on ties to the even code (IEEE 754).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

# How the codes with an all-ones exponent are spent:
# "ieee": infinity and NaN; "nan_only": finite values, the very last code NaN; "none": finite values only.
Specials = Literal["ieee", "nan_only", "none"]


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format: one sign bit, then ``exponent_bits``, then ``mantissa_bits``.

    A normal value is ``(-1)**s * 2**(e - bias) * (1 + m / 2**mantissa_bits)``; a subnormal one, ``e = 0``, is
    ``(-1)**s * 2**(1 - bias) * m / 2**mantissa_bits``.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    specials: Specials = "ieee"
    storage_bits: int = 0  # where memory holds more bits than the format uses (TF32); 0: as many as it uses

    @property
    def bits(self) -> int:
        """Bits that carry information: sign, exponent and mantissa."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bytes_per_element(self) -> float:
        return (self.storage_bits or self.bits) / 8

    @property
    def bias(self) -> int:
        return (1 << self.exponent_bits - 1) - 1

    @property
    def max_code(self) -> int:
        """Code of the largest finite value: the last one before infinity or NaN."""
        reserved = {"ieee": 1 << self.mantissa_bits, "nan_only": 1, "none": 0}[self.specials]
        return (1 << self.exponent_bits + self.mantissa_bits) - 1 - reserved

    @property
    def max(self) -> float:
        return decode(self.max_code, self)

    @property
    def min_normal(self) -> float:
        return math.ldexp(1.0, 1 - self.bias)

    @property
    def min_subnormal(self) -> float:
        return math.ldexp(1.0, 1 - self.bias - self.mantissa_bits)

    @property
    def epsilon(self) -> float:
        """Gap between 1 and the next value: a normal value is stored within half of it, relatively."""
        return math.ldexp(1.0, -self.mantissa_bits)


FP32 = FloatFormat("fp32", 8, 23)
TF32 = FloatFormat("tf32", 8, 10, storage_bits=32)
BF16 = FloatFormat("bf16", 8, 7)
FP16 = FloatFormat("fp16", 5, 10)
# Micikevicius et al., arXiv 2209.05433, table 1; the same as OCP OFP8 and torch.float8_e4m3fn.
FP8_E4M3 = FloatFormat("fp8_e4m3", 4, 3, "nan_only")
FP8_E5M2 = FloatFormat("fp8_e5m2", 5, 2)
# OCP Microscaling Formats (MX) specification 1.0, section 5.3.3.
FP4_E2M1 = FloatFormat("fp4_e2m1", 2, 1, "none")

FLOAT_FORMATS = {form.name: form for form in (FP32, TF32, BF16, FP16, FP8_E4M3, FP8_E5M2, FP4_E2M1)}


def decode(code: int, form: FloatFormat) -> float:
    """The value of a code, which is the integer that sign, exponent and mantissa bits spell."""
    if not 0 <= code < 2**form.bits:
        raise ValueError(f"{form.name} has {form.bits} bits, got code {code}")
    magnitude = code & (2 ** (form.bits - 1) - 1)
    sign = -1.0 if code != magnitude else 1.0
    exponent, mantissa = divmod(magnitude, 2**form.mantissa_bits)
    if exponent == 2**form.exponent_bits - 1 and form.specials == "ieee":
        return math.nan if mantissa else sign * math.inf
    if magnitude == 2 ** (form.bits - 1) - 1 and form.specials == "nan_only":
        return math.nan
    significand = mantissa if exponent == 0 else mantissa + 2**form.mantissa_bits
    return sign * math.ldexp(significand, max(exponent, 1) - form.bias - form.mantissa_bits)


def encode(value: float, form: FloatFormat) -> int:
    """The code of the nearest value.

    Beyond the largest one: infinity where the format has it, else the largest itself (saturation), as torch's
    casts do. NaN needs a format that has NaN.
    """
    sign = 2 ** (form.bits - 1) if math.copysign(1.0, value) < 0 else 0
    if math.isnan(value):
        if form.specials == "none":
            raise ValueError(f"{form.name} has no NaN")
        # The quiet bit is the mantissa's first one.
        return sign | (2 ** (form.bits - 1) - 1 if form.specials == "nan_only" else _quiet_nan(form))
    overflow = form.max_code + 1 if form.specials == "ieee" else form.max_code
    if math.isinf(value):
        return sign | overflow
    code = _nearest_code(abs(value), form)
    return sign | (overflow if code > form.max_code else code)


def round_to(value: float, form: FloatFormat) -> float:
    """The value that the format stores instead."""
    return decode(encode(value, form), form)


def bit_fields(code: int, form: FloatFormat) -> tuple[str, str, str]:
    """Sign, exponent and mantissa as strings of ``0`` and ``1``, most significant bit first."""
    text = f"{code:0{form.bits}b}"
    return text[0], text[1 : 1 + form.exponent_bits], text[1 + form.exponent_bits :]


def finite_values(form: FloatFormat) -> Iterator[float]:
    """All non-negative finite values in increasing order: 8 for FP4 E2M1, 127 for FP8 E4M3."""
    return (decode(code, form) for code in range(form.max_code + 1))


def spacing(value: float, form: FloatFormat) -> float:
    """Gap between neighbouring values around ``|value|``, in the direction away from zero."""
    code = encode(abs(value), form)
    below = min(code, form.max_code - 1)
    return decode(below + 1, form) - decode(below, form)


def _quiet_nan(form: FloatFormat) -> int:
    return int((2**form.exponent_bits - 1) * 2**form.mantissa_bits + 2 ** (form.mantissa_bits - 1))


def _nearest_code(magnitude: float, form: FloatFormat) -> int:
    """Rounded as if the exponent went on for ever, so that the caller sees overflow as a too large code."""
    # frexp gives zero the exponent of one half; zero belongs to the smallest exponent.
    exponent = max(math.frexp(magnitude)[1] - 1, 1 - form.bias) if magnitude else 1 - form.bias
    step = Fraction(2) ** (exponent - form.mantissa_bits)
    # A significand that rounds up to the next power of two carries into the exponent field by itself.
    significand = round(Fraction(magnitude) / step)
    return int((exponent + form.bias - 1) * 2**form.mantissa_bits + significand)
