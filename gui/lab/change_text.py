"""How far a figure lies from another: a ratio where the unit's zero is "nothing", a difference elsewhere.

A level in dB is already a ratio, taken as a logarithm: 31 dB is not "3% more" than 30 dB, it is 1 dB more.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QCoreApplication

from gui.lab.number_text import signed_percent

translate = QCoreApplication.translate

# The worker's side of this rule is ``labs.change_text``.
_LOGARITHMS = ("dB", "dBm", "nat", "nat/token")
_TEMPERATURES = ("°C", "°F")
_SHARES = ("%", "percentage points")
_DIGITS = 4  # of a figure beside which the change stands


def change_text(value: float, reference: float, unit: str) -> str:
    """``+0.4 dB``, ``+2.5 pp`` (percentage points) or ``+3.1%``; empty where there is no such figure."""
    if unit not in (*_LOGARITHMS, *_TEMPERATURES, *_SHARES):
        return signed_percent(value, reference)
    if not (math.isfinite(value) and math.isfinite(reference)):
        return ""
    change = _difference(value, reference)
    if unit in _SHARES:
        return translate("Change", "{change} pp").format(change=change).replace(" ", "\u00a0")
    return f"{change}\u00a0{unit}"


def _difference(value: float, reference: float) -> str:
    """Signed, down to the last digit to which the larger of the two is shown."""
    largest = max(abs(value), abs(reference))
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(largest))) if largest else 0
    text = f"{value - reference:+.{decimals}f}"
    if float(text) == 0:
        return "0"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
