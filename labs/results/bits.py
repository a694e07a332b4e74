"""The bit patterns in which formats store a value."""

from __future__ import annotations

from typing import Literal

import msgspec

from labs.results.result import Result
from labs.text import Text


class BitField(msgspec.Struct, frozen=True, kw_only=True):
    """A run of bits, most significant first, as ``"0"``/``"1"``; ``role`` picks the colour."""

    role: Literal["sign", "exponent", "mantissa", "integer", "code", "scale"]
    bits: str


class BitRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one format stores the value. ``flips`` is what the value becomes when each bit is flipped, NaN
    where that is no number, in the order of the bits; an empty list: the bits cannot be clicked."""

    name: Text
    fields: list[BitField]
    value: float
    error: float
    note: Text | None = None
    flips: list[float] = []


class Bits(Result, frozen=True, kw_only=True, tag="bits"):
    """The bit patterns of one value in several formats. Clicking a bit sets the lab's parameter ``edits``."""

    rows: list[BitRow]
    edits: str = ""
    highlight: int | None = None
