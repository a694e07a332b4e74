"""The one list of commands. Menus, shortcuts, the command palette and the help page are derived from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QKeySequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PySide6.QtWidgets import QMenu, QMenuBar, QWidget


class Command(NamedTuple):
    """``title`` and ``menu`` are English sources, translated when shown."""

    id: str
    title: str
    menu: str
    shortcut: str = ""
    checkable: bool = False
    separator_before: bool = False


def QT_TRANSLATE_NOOP(context: str, source: str) -> str:
    """Marks a string for translation. Qt's own function of this name is typed to return an object."""
    return source


def _title(source: str) -> str:
    return QCoreApplication.translate("Commands", source)


# QT_TRANSLATE_NOOP marks the strings for lupdate; `_title` translates them when they are shown.
MENUS = (
    QT_TRANSLATE_NOOP("Commands", "File"),
    QT_TRANSLATE_NOOP("Commands", "Go"),
    QT_TRANSLATE_NOOP("Commands", "Note"),
    QT_TRANSLATE_NOOP("Commands", "Lab"),
    QT_TRANSLATE_NOOP("Commands", "View"),
    QT_TRANSLATE_NOOP("Commands", "Help"),
)
COMMANDS = (
    Command("file.model", QT_TRANSLATE_NOOP("Commands", "Choose model folder…"), "File"),
    Command("file.default_model", QT_TRANSLATE_NOOP("Commands", "Use the default model"), "File"),
    Command(
        "file.print",
        QT_TRANSLATE_NOOP("Commands", "Print note to PDF…"),
        "File",
        "Ctrl+P",
        separator_before=True,
    ),
    Command("file.quit", QT_TRANSLATE_NOOP("Commands", "Quit"), "File", "Ctrl+Q", separator_before=True),
    Command("go.search", QT_TRANSLATE_NOOP("Commands", "Search notes and titles"), "Go", "Ctrl+K"),
    Command("go.filter", QT_TRANSLATE_NOOP("Commands", "Filter the outline"), "Go", "Ctrl+L"),
    Command("go.labs", QT_TRANSLATE_NOOP("Commands", "All labs"), "Go", "Ctrl+Shift+L"),
    Command("go.back", QT_TRANSLATE_NOOP("Commands", "Back"), "Go", "Alt+Left", separator_before=True),
    Command("go.forward", QT_TRANSLATE_NOOP("Commands", "Forward"), "Go", "Alt+Right"),
    Command("go.previous", QT_TRANSLATE_NOOP("Commands", "Previous question"), "Go", "Alt+Up"),
    Command("go.next", QT_TRANSLATE_NOOP("Commands", "Next question"), "Go", "Alt+Down"),
    Command("note.find", QT_TRANSLATE_NOOP("Commands", "Find in page"), "Note", "Ctrl+F"),
    Command("note.read", QT_TRANSLATE_NOOP("Commands", "Mark as read"), "Note", "Ctrl+D", checkable=True),
    Command(
        "note.zoom_in", QT_TRANSLATE_NOOP("Commands", "Zoom in"), "Note", "Ctrl++", separator_before=True
    ),
    Command("note.zoom_out", QT_TRANSLATE_NOOP("Commands", "Zoom out"), "Note", "Ctrl+-"),
    Command("note.zoom_reset", QT_TRANSLATE_NOOP("Commands", "Actual size"), "Note", "Ctrl+0"),
    Command("lab.run", QT_TRANSLATE_NOOP("Commands", "Run"), "Lab", "Ctrl+Return"),
    Command("lab.stop", QT_TRANSLATE_NOOP("Commands", "Stop"), "Lab", "Ctrl+."),
    Command("lab.reset", QT_TRANSLATE_NOOP("Commands", "Reset to defaults"), "Lab", "Ctrl+Shift+R"),
    Command("lab.link", QT_TRANSLATE_NOOP("Commands", "Copy link to these values"), "Lab", "Ctrl+Shift+C"),
    Command("lab.source", QT_TRANSLATE_NOOP("Commands", "Show code"), "Lab", "Ctrl+U"),
    Command("lab.close", QT_TRANSLATE_NOOP("Commands", "Close lab"), "Lab", "Ctrl+W", separator_before=True),
    Command("view.outline", QT_TRANSLATE_NOOP("Commands", "Outline"), "View", "F9", checkable=True),
    Command("view.note", QT_TRANSLATE_NOOP("Commands", "Note"), "View", "F10", checkable=True),
    Command("view.lab", QT_TRANSLATE_NOOP("Commands", "Lab"), "View", "F11", checkable=True),
    Command(
        "view.dark",
        QT_TRANSLATE_NOOP("Commands", "Dark theme"),
        "View",
        "Ctrl+T",
        checkable=True,
        separator_before=True,
    ),
    Command(
        "view.language", QT_TRANSLATE_NOOP("Commands", "Switch to Chinese / English"), "View", "Ctrl+Shift+E"
    ),
    Command("help.commands", QT_TRANSLATE_NOOP("Commands", "Command palette"), "Help", "Ctrl+Shift+P"),
    Command("help.keys", QT_TRANSLATE_NOOP("Commands", "Keyboard shortcuts"), "Help", "F1"),
    Command("help.about", QT_TRANSLATE_NOOP("Commands", "About InferLab"), "Help"),
)


class CommandSet:
    """The commands bound to their callbacks as QActions on one window."""

    def __init__(self, window: QWidget, callbacks: Mapping[str, Callable[[], object]]) -> None:
        missing = {command.id for command in COMMANDS} ^ set(callbacks)
        if missing:
            raise ValueError(f"commands and callbacks differ: {sorted(missing)}")
        self.actions: dict[str, QAction] = {}
        for command in COMMANDS:
            action = QAction(window)
            action.setCheckable(command.checkable)
            if command.shortcut:
                action.setShortcut(QKeySequence(command.shortcut))
            callback = callbacks[command.id]
            action.triggered.connect(lambda _checked=False, call=callback: call())
            window.addAction(action)
            self.actions[command.id] = action
        self.retranslate()

    def __getitem__(self, command_id: str) -> QAction:
        return self.actions[command_id]

    def fill_menu_bar(self, bar: QMenuBar) -> list[QMenu]:
        """Menus in the order of ``MENUS``; call ``retranslate`` to name them."""
        self._menus = []
        for name in MENUS:
            menu = bar.addMenu(name)
            menu.setObjectName(name)
            for command in COMMANDS:
                if command.menu == name:
                    if command.separator_before:
                        menu.addSeparator()
                    menu.addAction(self.actions[command.id])
            self._menus.append(menu)
        self.retranslate()
        return self._menus

    _menus: list[QMenu] = []  # noqa: RUF012  (replaced, never mutated)

    def retranslate(self) -> None:
        for command in COMMANDS:
            self.actions[command.id].setText(_title(command.title))
        for menu in self._menus:
            menu.setTitle(_title(menu.objectName()))

    def help_rows(self) -> list[tuple[str, str, str]]:
        """(menu, title, shortcut) of every command, for the help page."""
        rows = []
        for command in COMMANDS:
            keys = self.actions[command.id].shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            rows.append((_title(command.menu), _title(command.title), keys))
        return rows
