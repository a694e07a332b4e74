"""How far a figure lies from another: a ratio where the unit's zero is "nothing", a difference elsewhere.

A level in dB is already a ratio, taken as a logarithm: 31 dB is not "3 % more" than 30 dB, it is 1 dB more.
"""

from __future__ import annotations

import math

from labs.text import Text, same

# The window's side of this rule is ``gui.lab.change_text``.
_LOGARITHMS = ("dB", "dBm", "nat", "nat/token")
_TEMPERATURES = ("°C", "°F")
_SHARES = ("%", "percentage points")
_DIGITS = 4  # of a figure beside which the change stands


def change_text(value: float, reference: float, unit: str) -> Text | None:
    """``+0.4 dB``, ``+2.5 pp`` (percentage points) or ``+3.1%``; None where there is no such figure."""
    if not (math.isfinite(value) and math.isfinite(reference)):
        return None
    if unit in _SHARES:
        change = _difference(value, reference)
        return Text(zh=f"{change} 个百分点", en=f"{change} pp")
    if unit in (*_LOGARITHMS, *_TEMPERATURES):
        return same(f"{_difference(value, reference)} {unit}")
    return same(f"{(value - reference) / abs(reference):+.1%}") if reference else None


def _difference(value: float, reference: float) -> str:
    """Signed, down to the last digit to which the larger of the two is shown."""
    largest = max(abs(value), abs(reference))
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(largest))) if largest else 0
    text = f"{value - reference:+.{decimals}f}"
    if float(text) == 0:
        return "0"
    return text.rstrip("0").rstrip(".") if "." in text else text
