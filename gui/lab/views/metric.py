"""One figure, large; under it its spread, and what theory said of it with the error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout

from gui.lab.badge import Badge
from gui.lab.change_text import change_text
from gui.lab.help_button import HelpButton
from gui.lab.number_text import MISSING, plain, split, unit_scale, with_unit
from gui.lab.views.view import View, csv_text, pick

if TYPE_CHECKING:
    from gui.theme import Theme


class MetricView(View):
    shape = "compact"
    corner: Badge

    def __init__(self) -> None:
        super().__init__()
        self.corner = Badge("measured")  # the card fills it; beside the figure it leaves the title its room
        self._figure = QLabel()
        self._figure.setTextFormat(Qt.TextFormat.RichText)
        self._figure.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._spread = QLabel()
        self._spread.setProperty("role", "muted")
        self._error = QLabel()
        self._formula = HelpButton()
        self._badge = Badge("estimated")
        theory = QHBoxLayout()
        theory.setSpacing(5)
        for widget in (self._badge, self._error, self._formula):
            theory.addWidget(widget)
        theory.addStretch(1)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(2)
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self._figure, 1)
        top.addWidget(self.corner)
        body.addLayout(top)
        body.addWidget(self._spread)
        body.addLayout(theory)
        body.addStretch(1)

    def redraw(self) -> None:
        result, unit = self.result, self.result.get("unit") or ""
        number, shown = split(result.get("value"), unit)
        if number == MISSING:
            shown = ""
        theme = self.theme
        self._figure.setText(
            f"<span style='font-size:25px; font-weight:600; color:{theme.ink}'>{number}</span>"
            f"<span style='font-size:14px; color:{theme.muted}'>&nbsp;{shown}</span>"
        )
        self._show_spread(unit)
        self._show_theory(unit)
        self.setAccessibleDescription(f"{number} {shown}")
        self.updateGeometry()

    def _show_spread(self, unit: str) -> None:
        low, high = self.result.get("low"), self.result.get("high")
        self._spread.setVisible(low is not None and high is not None)
        if low is not None and high is not None:
            largest = max(abs(low), abs(high))
            factor, shown = unit_scale(largest, unit)
            self._spread.setText(f"{plain(low / factor)} – {plain(high / factor)} {shown}".strip())

    def _show_theory(self, unit: str) -> None:
        predicted, value = self.result.get("predicted"), self.result.get("value")
        for widget in (self._badge, self._error, self._formula):
            widget.setVisible(predicted is not None)
        if predicted is None:
            return
        self._badge.set_provenance("estimated", with_unit(predicted, unit))
        error = "" if value is None else change_text(value, predicted, unit)
        self._error.setText(error)
        self._error.setToolTip(self.tr("How far the figure above lies from what the formula says"))
        self._formula.set_help(pick(self.result["formula"]) if self.result.get("formula") else "")

    def restyle(self, theme: Theme) -> None:
        self._badge.restyle(theme)
        self.corner.restyle(theme)
        super().restyle(theme)

    def to_csv(self) -> str:
        result = self.result
        header = ["title", "value", "low", "high", "predicted", "unit", "provenance"]
        cells = [result.get(key) for key in ("value", "low", "high", "predicted")]
        row = ["" if cell is None else cell for cell in cells]
        return csv_text(
            header, [[pick(result["title"]), *row, result.get("unit") or "", result["provenance"]]]
        )
