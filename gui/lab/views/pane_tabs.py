"""Which of several panes are in sight, where not all of them fit side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from gui.lab.flow import Flow

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
        self._recent: list[int] = []  # the panes, the one chosen last at the end
        self._flow = Flow(4)
        self._flow.setContentsMargins(0, 0, 0, 0)
        self.setLayout(self._flow)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_count(self, count: int) -> None:
        for old in self.buttons:
            self._flow.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.buttons = [QPushButton() for _ in range(count)]
        for place, button in enumerate(self.buttons):
            button.setProperty("role", "chip")
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, place=place: self.choose(place))
            self._flow.addWidget(button)
        # The first panes are shown first.
        self._recent = list(range(count - 1, -1, -1))

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
        return sorted(self._recent[len(self._recent) - self._columns :])

    def choose(self, place: int) -> None:
        """Bring a pane into sight."""
        if place not in self.shown():
            self._recent.remove(place)
            if self._columns > 1 and 0 in self.shown():
                self._recent.remove(0)
                self._recent.append(0)
        else:
            self._recent.remove(place)
        self._recent.append(place)
        self._check()
        self.chosen.emit()

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
