"""The result as text, until it is drawn."""

from __future__ import annotations

from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout

from gui.lab.views.view import View, csv_text, pick


class TilesView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self.text)

    def redraw(self) -> None:
        self.text.setStyleSheet(f"background: {self.theme.paper}; color: {self.theme.ink}")
        self.text.setPlainText("\n\n".join(": ".join(row) for row in self._rows()))

    def _rows(self) -> list[tuple[str, str]]:
        return [(pick(one["name"]), f"{one['rows']} x {one['columns']}") for one in self.result["tensors"]]

    def to_csv(self) -> str:
        return csv_text(["name", "text"], self._rows())
