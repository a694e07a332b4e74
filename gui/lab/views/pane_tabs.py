"""Which of several panes are in sight, where not all of them fit side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from gui.lab.layouts.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent


class PaneTabs(QWidget):
    """A button a pane. Choosing one that is hidden shows it in place of the one chosen longest ago; the
    first, from which the others come, gives way last. Hidden where all fit."""

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.buttons: list[QPushButton] = []
        self._columns = 1
        self._keys: list[Hashable] = []
        self._turns: list[Hashable] = []  # all that were ever there, the one chosen last at the end
        self._flow = Flow(4)
        self._flow.setContentsMargins(0, 0, 0, 0)
        self.setLayout(self._flow)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_panes(self, keys: Sequence[Hashable]) -> None:
        """Those that were there before keep their turn; of new ones the first are shown first."""
        for old in self.buttons:
            self._flow.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.buttons = [QPushButton() for _ in keys]
        for place, button in enumerate(self.buttons):
            button.setProperty("role", "chip")
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, place=place: self.choose(place))
            self._flow.addWidget(button)
        self._keys = list(keys)
        self._turns = [key for key in self._keys[::-1] if key not in self._turns] + self._turns

    def show_names(self, names: list[str]) -> None:
        for button, name in zip(self.buttons, names, strict=True):
            button.setText(name)
            button.setAccessibleName(name)
        self.updateGeometry()

    def set_columns(self, columns: int) -> None:
        self._columns = columns
        self.setVisible(len(self.buttons) > columns)
        self._check()

    def shown(self) -> list[int]:
        """The panes in sight, in their order."""
        recent = [self._keys.index(key) for key in self._turns if key in self._keys]
        return sorted(recent[len(recent) - self._columns :])

    def choose(self, place: int) -> None:
        """Bring a pane into sight."""
        shown = self.shown()
        if place not in shown and self._columns > 1 and 0 in shown:
            self._to_the_end(0)
        self._to_the_end(place)
        self._check()
        self.chosen.emit()

    def _to_the_end(self, place: int) -> None:
        key = self._keys[place]
        self._turns.remove(key)
        self._turns.append(key)

    def _check(self) -> None:
        shown = self.shown()
        for place, button in enumerate(self.buttons):
            button.setChecked(place in shown)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go from button to button."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        here = next((i for i, button in enumerate(self.buttons) if button.hasFocus()), None)
        if step is None or here is None:
            super().keyPressEvent(event)
        else:
            self.buttons[(here + step) % len(self.buttons)].setFocus()

    def sizeHint(self) -> QSize:
        return QSize(200, self._flow.heightForWidth(max(200, self.width())))
