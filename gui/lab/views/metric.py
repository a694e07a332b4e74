"""One figure, large; under it its spread, and what theory said of it with the error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout

from gui.lab.badge import Badge
from gui.lab.help_button import HelpButton
from gui.lab.number_text import MISSING, signed_percent, split, with_unit
from gui.lab.views.view import View, csv_text, pick

if TYPE_CHECKING:
    from gui.theme import Theme


class MetricView(View):
    shape = "compact"

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._figure = QLabel()
        self._figure.setTextFormat(Qt.TextFormat.RichText)
        self._figure.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._spread = QLabel()
        self._spread.setProperty("role", "muted")
        self._theory = QLabel()
        self._theory.setTextFormat(Qt.TextFormat.RichText)
        self._formula = HelpButton()
        self._badge = Badge("estimated")
        theory = QHBoxLayout()
        theory.setSpacing(5)
        for widget in (self._theory, self._formula):
            theory.addWidget(widget)
        theory.addStretch(1)
        theory.addWidget(self._badge)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(2)
        body.addWidget(self._figure)
        body.addWidget(self._spread)
        body.addLayout(theory)

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
        given = low is not None and high is not None
        self._spread.setVisible(given)
        if given:
            self._spread.setText(f"{with_unit(low, unit)} – {with_unit(high, unit)}")

    def _show_theory(self, unit: str) -> None:
        predicted, value = self.result.get("predicted"), self.result.get("value")
        given = predicted is not None
        for widget in (self._theory, self._badge, self._formula):
            widget.setVisible(given)
        if not given:
            return
        error = "" if value is None else signed_percent(value, predicted)
        text = self.tr("theory {value}").format(value=with_unit(predicted, unit))
        self._theory.setText(
            f"<span style='color:{self.theme.muted}'>{text}</span>"
            + (f"&nbsp; <span style='color:{self.theme.ink}'>{error}</span>" if error else "")
        )
        self._theory.setToolTip(self.tr("The figure above against what the formula says") if error else "")
        self._formula.set_help(pick(self.result["formula"]) if self.result.get("formula") else "")

    def restyle(self, theme: Theme) -> None:
        self._badge.restyle(theme)
        super().restyle(theme)

    def to_csv(self) -> str:
        result = self.result
        header = ["title", "value", "low", "high", "predicted", "unit", "provenance"]
        cells = [result.get(key) for key in ("value", "low", "high", "predicted")]
        row = ["" if cell is None else cell for cell in cells]
        return csv_text(
            header, [[pick(result["title"]), *row, result.get("unit") or "", result["provenance"]]]
        )
