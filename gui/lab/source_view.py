"""The lab's own file, as it runs, to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.theme import Theme, theme_switch

if TYPE_CHECKING:
    from gui.lab.code.pane import CodePane


class SourceView(QWidget):
    """``pane`` is made when a source is first shown."""

    def __init__(self) -> None:
        super().__init__()
        self.pane: CodePane | None = None
        self._path = ""
        self._body = QVBoxLayout(self)
        self._body.setContentsMargins(16, 10, 16, 16)

    def show_source(self, path: str, source: str) -> None:
        from gui.lab.code.pane import CodePane

        if self.pane is None:
            self.pane = CodePane("python", editable=False)
            self.pane.restyle(theme_switch.current)
            self._body.addWidget(self.pane)
        another, self._path = path != self._path, path
        self.pane.show_name(path)
        self.pane.show_text(source, [])
        if another:
            self.pane.editor.go_to_line(1)

    def restyle(self, theme: Theme) -> None:
        if self.pane is not None:
            self.pane.restyle(theme)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange and self.pane is not None:
            self.pane.show_name(self._path)
        super().changeEvent(event)
