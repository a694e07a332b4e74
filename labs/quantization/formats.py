"""The eleven number formats that the labs compare: width, scale, and the values they hold. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from labs.formulas.number_formats import (
    BF16,
    FP4_E2M1,
    FP8_E4M3,
    FP8_E5M2,
    FP16,
    FP32,
    TF32,
    FloatFormat,
    finite_values,
)

FormatName = Literal[
    "fp32", "tf32", "bf16", "fp16", "fp8_e4m3", "fp8_e5m2", "int8", "int4", "nf4", "fp4_e2m1", "mxfp4"
]
# What shares one scale when a whole matrix is stored: nothing, the tensor, a row, or this many neighbours.
Sharing = Literal["none", "tensor", "row", "block"]

BLOCK = 32
# QLoRA (Dettmers et al., arXiv 2305.14314), appendix E: quantiles of the normal distribution, scaled to
# [-1, 1], with an exact zero; the spacing is therefore finest where normal weights are densest.
NF4_LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


@dataclass(frozen=True)
class NumberFormat:
    """``unit_max`` is the largest code value before scaling, ``scale_bits`` what one scale costs, and
    ``sharing`` who shares it. A format without sharing stores values as they are."""

    name: FormatName
    title: str
    bits: int
    form: FloatFormat | None = None
    sharing: Sharing = "none"
    scale_bits: int = 0

    @property
    def scaled(self) -> bool:
        """Whether the format maps ``[-absmax, absmax]`` to its codes; FP8 does so for matrices only."""
        return self.name in ("int8", "int4", "nf4", "fp4_e2m1", "mxfp4")

    @property
    def power_of_two_scale(self) -> bool:
        return self.name == "mxfp4"

    @property
    def unit_max(self) -> float:
        if self.form is not None:
            return self.form.max
        return 1.0 if self.name == "nf4" else float(2 ** (self.bits - 1) - 1)

    def scale(self, absmax: float) -> float:
        """What one unit of code stands for when ``absmax`` must be representable.

        MXFP4 takes the power of two that brings absmax into FP4's top binade, as the OCP MX specification 1.0
        (section 6.3) does: values between 6 and 8 units are then clipped to 6.
        """
        if absmax == 0:
            return 1.0
        if self.power_of_two_scale:
            exponent = math.frexp(absmax)[1] - 1 - math.frexp(self.unit_max)[1] + 1
            return math.ldexp(1.0, max(-127, min(127, exponent)))
        return absmax / self.unit_max

    def unit_levels(self) -> tuple[float, ...]:
        """The values of all codes before scaling, ascending; for formats of at most 8 bits."""
        if self.name == "nf4":
            return NF4_LEVELS
        if self.form is None:
            top = int(self.unit_max)
            return tuple(float(code) for code in range(-top, top + 1))
        positive = list(finite_values(self.form))
        return tuple(-value for value in reversed(positive[1:])) + tuple(positive)

    def bits_per_element(self, rows: int, columns: int) -> float:
        """Storage of a ``[rows, columns]`` matrix, scales included; a ragged last block has one too."""
        shares = {"none": 0, "tensor": 1, "row": rows, "block": rows * math.ceil(columns / BLOCK)}[
            self.sharing
        ]
        storage = self.form.storage_bits if self.form and self.form.storage_bits else self.bits
        return storage + shares * self.scale_bits / (rows * columns)


FORMATS: dict[str, NumberFormat] = {
    entry.name: entry
    for entry in (
        NumberFormat("fp32", "FP32", 32, FP32),
        NumberFormat("tf32", "TF32", 19, TF32),
        NumberFormat("bf16", "BF16", 16, BF16),
        NumberFormat("fp16", "FP16", 16, FP16),
        NumberFormat("fp8_e4m3", "FP8 E4M3", 8, FP8_E4M3, "tensor", 32),
        NumberFormat("fp8_e5m2", "FP8 E5M2", 8, FP8_E5M2, "tensor", 32),
        NumberFormat("int8", "INT8", 8, None, "row", 16),
        NumberFormat("int4", "INT4", 4, None, "block", 16),
        NumberFormat("nf4", "NF4", 4, None, "block", 16),
        NumberFormat("fp4_e2m1", "FP4 E2M1", 4, FP4_E2M1, "block", 16),
        NumberFormat("mxfp4", "MXFP4", 4, FP4_E2M1, "block", 8),
    )
}
