"""How a matrix is quantised: one frozen record, checked when it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labs.formulas.quantization import Granularity, Scheme, level_range, scale_count, storage_bytes

Matrix = Literal["weight", "activation"]
ZeroPoint = Literal["integer", "float"]
Rounding = Literal["nearest", "stochastic", "truncate"]
Clipping = Literal["minmax", "percentile", "mse"]
Layout = Literal["tensor", "row", "column", "group"]


@dataclass(frozen=True)
class QuantizerConfig:
    """A uniform quantiser of a weight ``[out, in]`` or an activation ``[tokens, channels]``.

    ``zero_point`` matters to the asymmetric scheme only: an integer code for 0, or the block's own minimum
    kept as a float ("Q4_1" of llama.cpp). ``scale_bits`` is what a scale is stored in, and what it is rounded
    to: 16 is fp16, 32 is fp32; a float zero point is stored likewise, an integer one in ``bits`` bits.
    ``percentile`` is the share of values, in percent, that stays inside the clipped range.
    """

    bits: int = 4
    scheme: Scheme = "symmetric"
    granularity: Granularity = "group"
    group_size: int = 128
    zero_point: ZeroPoint = "integer"
    rounding: Rounding = "nearest"
    clipping: Clipping = "minmax"
    percentile: float = 99.9
    matrix: Matrix = "weight"
    scale_bits: Literal[16, 32] = 16

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must be 2 to 8, got {self.bits}")
        if self.group_size < 1:
            raise ValueError(f"group_size must be positive, got {self.group_size}")
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile must be above 50 and at most 100, got {self.percentile}")

    @property
    def layout(self) -> Layout:
        """Which elements share a scale. A weight's row is an output channel, an activation's row a token.

        A weight has no tokens: "token" means its rows as well. A channel of an activation is a column.
        """
        if self.granularity in ("tensor", "group"):
            return "tensor" if self.granularity == "tensor" else "group"
        return "column" if self.granularity == "channel" and self.matrix == "activation" else "row"

    @property
    def codes(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return level_range(self.bits, self.scheme)

    @property
    def has_float_minimum(self) -> bool:
        return self.scheme == "asymmetric" and self.zero_point == "float"

    @property
    def zero_point_bits(self) -> int:
        if self.scheme == "symmetric":
            return 0
        return self.scale_bits if self.zero_point == "float" else self.bits

    def scales(self, rows: int, columns: int) -> int:
        """Number of scales of a ``[rows, columns]`` matrix."""
        if self.layout == "column":
            rows, columns = columns, rows
        return scale_count(rows, columns, self.granularity, self.group_size)

    def storage_bytes(self, rows: int, columns: int) -> int:
        """Packed codes, scales and zero points of a ``[rows, columns]`` matrix, by formula."""
        if self.layout == "column":
            rows, columns = columns, rows
        return storage_bytes(
            rows, columns, self.bits, self.granularity, self.group_size, self.scale_bits, self.zero_point_bits
        )
