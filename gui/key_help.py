"""The keyboard shortcuts, listed from the commands themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from gui.commands import CommandSet


def show_keys(parent: QWidget, commands: CommandSet) -> QDialog:
    """A window with every command and its keys; returns it, shown."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(QCoreApplication.translate("KeyHelp", "Keyboard shortcuts"))
    sheet = QWidget()
    grid = QGridLayout(sheet)
    grid.setHorizontalSpacing(28)
    grid.setVerticalSpacing(6)
    menu_before = ""
    row = 0
    for menu, title, keys in commands.help_rows():
        if not keys:
            continue
        if menu != menu_before:
            heading = QLabel(menu)
            heading.setProperty("role", "heading")
            heading.setContentsMargins(0, 10 if row else 0, 0, 0)
            grid.addWidget(heading, row, 0, 1, 2)
            menu_before, row = menu, row + 1
        grid.addWidget(QLabel(title), row, 0)
        shown = QLabel(keys)
        shown.setProperty("role", "muted")
        grid.addWidget(shown, row, 1, Qt.AlignmentFlag.AlignRight)
        row += 1
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setWidget(sheet)
    box = QVBoxLayout(dialog)
    box.addWidget(scroll)
    dialog.resize(460, 560)
    dialog.show()
    return dialog
