"""A number that one types or steps with the arrow keys; what is out of range is refused with the range."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QLineEdit

from gui.lab.number_text import exact

translate = QCoreApplication.translate

# Groups of three digits, parted by commas or by the thin space that this app itself writes. Any other comma
# may be a decimal one, and is refused: 0,1 must not become 1.
_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}([,\u2009]\d{3})+(\.\d*)?")

if TYPE_CHECKING:
    from PySide6.QtGui import QFocusEvent, QKeyEvent


class NumberBox(QLineEdit):
    """A line edit and not a spin box: a spin box has fixed decimals, and 1e-40 is a number that one types
    here."""

    typed = Signal(str)  # "step": more may follow; "final": Return or focus left
    refused = Signal(str)  # why; "" when the text is good again

    def __init__(
        self,
        *,
        integer: bool,
        low: float = -math.inf,
        high: float = math.inf,
        step: float | None = None,
        scale: str = "linear",
    ) -> None:
        super().__init__()
        self._integer, self._low, self._high = integer, low, high
        self._step, self._scale = step, scale
        self._good: float = low if math.isfinite(low) else 0.0
        self.textEdited.connect(lambda: self._read("step"))
        self.returnPressed.connect(lambda: self._read("final"))

    def number(self) -> float | int:
        """The last good number."""
        return int(self._good) if self._integer else float(self._good)

    def show_number(self, number: float) -> None:
        self._good = number
        self.setText(exact(float(number)))
        self.setCursorPosition(0)
        self._mark("")

    def _read(self, how: Literal["step", "final"]) -> None:
        reason, number = self._parse(self.text())
        if reason:
            self._mark(reason)
            return
        self._mark("")
        changed, self._good = number != self._good, number
        if changed or how == "final":
            self.typed.emit(how)

    def _parse(self, text: str) -> tuple[str, float]:
        text = text.strip().replace("−", "-")
        plain = re.sub("[,\u2009]", "", text) if _GROUPED.fullmatch(text) else text
        try:
            number = float(plain)
        except ValueError:
            return translate("NumberBox", "{text} is not a number.").format(text=repr(text)), 0.0
        if not math.isfinite(number):
            return translate("NumberBox", "The number must be finite."), 0.0
        if self._integer and number != int(number):
            return translate("NumberBox", "{text} is not a whole number; nearest {nearest}.").format(
                text=text, nearest=round(number)
            ), 0.0
        if not self._low <= number <= self._high:
            nearest = self._low if number < self._low else self._high
            template = translate(
                "NumberBox", "{value} is out of range: allowed {low} to {high}; nearest {nearest}."
            )
            bounds = {"low": _bound(self._low), "high": _bound(self._high), "nearest": _bound(nearest)}
            return template.format(value=text, **bounds), 0.0
        return "", number

    def _mark(self, reason: str) -> None:
        self.setProperty("invalid", bool(reason))
        self.refused.emit(reason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1, Qt.Key.Key_PageUp: 10, Qt.Key.Key_PageDown: -10}
        key = Qt.Key(event.key())
        if key in steps:
            self._step_by(steps[key])
        elif key == Qt.Key.Key_Escape and self.property("invalid"):
            self.show_number(self._good)
        else:
            super().keyPressEvent(event)

    def _step_by(self, steps: int) -> None:
        if self._scale == "log2":
            wanted = self._good * 2.0 ** (1 if steps > 0 else -1)
        elif self._step or self._integer:
            wanted = self._good + steps * (self._step or 1)
        else:  # the second significant digit: 0.1 becomes 0.11, 2500 becomes 2600
            size = abs(self._good) or 1.0
            wanted = self._good + steps * 10.0 ** (math.floor(math.log10(size)) - 1)
        wanted = float(f"{min(self._high, max(self._low, wanted)):.10g}")
        if wanted != self._good:
            self.show_number(wanted)
            self.typed.emit("step")

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        reason, number = self._parse(self.text())
        if not reason and number != self._good:
            self._read("final")


def _bound(number: float) -> str:
    return exact(number) if math.isfinite(number) else "∞" if number > 0 else "−∞"
