"""The list of commands is complete and free of clashes."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QWidget

from gui.commands import COMMANDS, MENUS, CommandSet


def test_shortcuts_are_valid_and_unique() -> None:
    keys = [command.shortcut for command in COMMANDS if command.shortcut]
    assert len(set(keys)) == len(keys)
    assert all(not QKeySequence(key).isEmpty() for key in keys)


def test_every_command_is_in_a_menu_that_exists() -> None:
    assert {command.menu for command in COMMANDS} == set(MENUS)


def test_a_command_without_a_callback_is_refused(qapp: object) -> None:
    with pytest.raises(ValueError, match=r"file\.quit"):
        CommandSet(QWidget(), {command.id: lambda: None for command in COMMANDS if command.id != "file.quit"})
