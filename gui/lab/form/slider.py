"""A slider over the values of a parameter: linear, logarithmic, powers of two, or a list of allowed
numbers."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSlider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtGui import QWheelEvent

# Positions of a slider over a continuous range: finer than a pixel on the widths in use.
FINE = 400


def slider_values(
    low: float, high: float, *, integer: bool, scale: str = "linear", step: float | None = None
) -> list[float]:
    """The values that the slider stops at, ascending, ``low`` and ``high`` among them."""
    if high <= low:
        return [low]
    if scale == "log2" and low > 0:
        count = math.floor(math.log2(high / low) + 1e-9)
        values = [low * 2.0**power for power in range(count + 1)]
    elif scale == "log" and low > 0:
        values = [_rounded(low * (high / low) ** (index / FINE)) for index in range(FINE + 1)]
        values[0], values[-1] = low, high
    else:
        stride = step or (1.0 if integer else (high - low) / FINE)
        if integer:
            stride = max(1.0, round(stride))
        count = min(20_000, math.floor((high - low) / stride + 1e-9))
        values = [_clean(low + index * stride) for index in range(count + 1)]
    if values[-1] < high:
        values.append(high)
    if integer:
        values = [float(round(value)) for value in values]
    return sorted(set(values))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _clean(value: float) -> float:
    """Without the tail that adding steps leaves (99.30000000000001)."""
    return float(f"{value:.10g}")


class ValueSlider(QSlider):
    """A horizontal slider that stops at given values. The wheel scrolls the page unless the slider has
    focus."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._values = list(values)
        self.setRange(0, len(self._values) - 1)
        self.setPageStep(max(1, len(self._values) // 10))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(60)

    def number(self) -> float:
        return self._values[self.value()]

    def show_number(self, number: float) -> None:
        """Move to the nearest stop without telling anyone."""
        index = bisect.bisect_left(self._values, number)
        near = [i for i in (index - 1, index) if 0 <= i < len(self._values)]
        blocked = self.blockSignals(True)
        self.setValue(min(near, key=lambda i: abs(self._values[i] - number)))
        self.blockSignals(blocked)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
