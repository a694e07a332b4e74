"""The bar above the panes: navigation, search, the device that labs run on, panes, language and theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QSize, Qt, Slot
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from gui.icons import icon
from gui.theme import theme_switch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gui.commands import CommandSet


class TopBar(QWidget):
    """Buttons are the window's commands: one action, one place where it is said what it does."""

    def __init__(self, commands: CommandSet) -> None:
        super().__init__()
        self.setProperty("role", "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._commands = commands
        self._buttons: dict[str, tuple[QToolButton, str]] = {}
        self.search = QPushButton()
        self.search.setObjectName("searchButton")
        self.search.setMinimumWidth(200)
        self.search.setMaximumWidth(420)
        self.search.setStyleSheet("text-align: left;")
        self.search.clicked.connect(commands["go.search"].trigger)
        self._device = QLabel()
        self._device.setProperty("role", "muted")
        self._environment: Mapping[str, Any] = {}
        box = QHBoxLayout(self)
        box.setContentsMargins(8, 5, 8, 5)
        box.setSpacing(4)
        for command, name in (("view.outline", "sidebar"), ("go.back", "back"), ("go.forward", "forward")):
            box.addWidget(self._button(command, name))
        box.addSpacing(8)
        box.addWidget(self.search, 1)
        box.addStretch(1)
        box.addWidget(self._device)
        box.addSpacing(8)
        for command, name in (
            ("view.note", "note"),
            ("view.lab", "lab"),
            ("view.language", "language"),
            ("view.dark", "dark"),
        ):
            box.addWidget(self._button(command, name))
        theme_switch.changed.connect(self._restyle)
        self._restyle()
        self._retranslate()

    def _button(self, command: str, name: str) -> QToolButton:
        button = QToolButton()
        button.setDefaultAction(self._commands[command])
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        button.setIconSize(QSize(18, 18))
        self._buttons[command] = (button, name)
        return button

    @Slot(object)
    def set_environment(self, environment: Mapping[str, Any]) -> None:
        """What the worker says of the machine that measurements are made on."""
        self._environment = environment
        self._retranslate()

    def _restyle(self, _theme: object = None) -> None:
        for command, (_button, name) in self._buttons.items():
            shown = "light" if command == "view.dark" and theme_switch.current.dark else name
            self._commands[command].setIcon(icon(shown))
        self.search.setIcon(icon("search", theme_switch.current.muted))

    def _retranslate(self) -> None:
        for command, (button, _name) in self._buttons.items():
            action = self._commands[command]
            keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            button.setToolTip(f"{action.text()} ({keys})" if keys else action.text())
            button.setAccessibleName(action.text())
        keys = self._commands["go.search"].shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        self.search.setText("  " + self.tr("Search notes and titles") + f"   {keys}")
        environment = self._environment
        if not environment:
            self._device.setText("")
            return
        device = environment.get("device_name") or environment.get("cpu") or ""
        threads = environment.get("threads")
        short = self.tr("{n} threads").format(n=threads) if threads else ""
        self._device.setText(" · ".join(part for part in (_shorten(device), short) if part))
        lines = [f"{name}: {value}" for name, value in environment.items() if value not in (None, "")]
        self._device.setToolTip(self.tr("Labs are measured on this machine") + "\n" + "\n".join(lines))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            # The commands are renamed by the window, which hears of the change after its children.
            self._commands.retranslate()
            self._retranslate()
        super().changeEvent(event)


def _shorten(device: str) -> str:
    """A processor's name without its decorations: ``AMD EPYC 9R45``."""
    for noise in ("(R)", "(TM)", "(tm)", " CPU", " Processor", "NVIDIA GeForce "):
        device = device.replace(noise, "")
    return device.split(" @")[0].strip()[:32]
