"""Figures as text: four significant digits, and the prefix of the unit that a reader of the field expects."""

from __future__ import annotations

import math

MISSING = "—"
_LARGE = ((1e18, "E"), (1e15, "P"))  # of counts: rates are compared in T, however many there are
_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_IEC = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
BYTES = ("B", "byte", "bytes")
# Vendors, papers and labs state rates in powers of ten, sizes in powers of two.
_SI_UNITS = ("B/s", "FLOP/s", "FLOPS", "FLOP", "OP/s", "OP", "Hz", "W", "J")
_COUNTS = ("FLOP", "OP")


def unit_scale(largest: float, unit: str) -> tuple[float, str]:
    """The factor and the prefixed unit in which figures up to ``largest`` read best."""
    size = abs(largest)
    if not math.isfinite(size) or size == 0:
        return 1.0, unit
    if unit == "s":
        return next((step for step in _SECONDS if size >= step[0] * 0.9995), _SECONDS[-1])
    if unit in BYTES:
        return next((step for step in _IEC if size >= step[0]), _IEC[-1])
    if unit in _SI_UNITS:
        prefixes = (*_LARGE, *_SI) if unit in _COUNTS else _SI
        return next(
            ((factor, prefix + unit) for factor, prefix in prefixes if size >= factor * 0.9995), (1.0, unit)
        )
    return 1.0, unit


def plain(value: float | int | None, digits: int = 4) -> str:
    """``value`` to ``digits`` significant digits; integers in full with thin group separators."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if float(value).is_integer() and size < 1e9:
        text = f"{int(value):,}".replace(",", "\u2009" if size >= 10000 else "")
    elif size >= 10**digits and size < 1e7:
        text = f"{value:,.0f}".replace(",", "\u2009")
    elif 1e-4 <= size < 10**digits:
        text = f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
        if "." in text and size < 1e-2:
            text = text.rstrip("0")
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"{mantissa}×10{superscript(int(exponent))}"
    return text.replace("-", "−")


def superscript(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def split(value: float | int | None, unit: str, digits: int = 4) -> tuple[str, str]:
    """``(number, unit)`` of one figure, prefixed: ``(0.0021, "s")`` is ``("2.100", "ms")``."""
    if value is None or not math.isfinite(value):
        return plain(value), unit
    factor, prefixed = unit_scale(value, unit)
    # Rounded to 12 digits: 3.2e-8 / 1e-9 is 32 and a speck, and would be written 32.00.
    return plain(float(f"{value / factor:.12g}") if factor != 1 else value, digits), prefixed


def with_unit(value: float | int | None, unit: str, digits: int = 4) -> str:
    number, prefixed = split(value, unit, digits)
    if number == MISSING or not prefixed:
        return number
    return f"{number}%" if prefixed == "%" else f"{number}\u00a0{prefixed}"


def signed_percent(value: float, reference: float) -> str:
    """How far ``value`` lies from ``reference``, ``+3.1%``; empty where that means nothing."""
    if not (math.isfinite(value) and math.isfinite(reference)) or reference == 0:
        return ""
    change = (value - reference) / abs(reference) * 100
    if abs(change) < 0.05:
        return "0%"
    digits = 1 if abs(change) < 100 else 0
    return f"{change:+.{digits}f}%".replace("-", "−")


def exact(value: float | int) -> str:
    """The shortest text that reads back as the same number: for inputs and CSV."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"  # not through int, which has no -0
    return repr(value)
