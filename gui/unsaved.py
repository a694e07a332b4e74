"""What could not be stored is told where it was asked for, over the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.library.database import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget


def stored(parent: QWidget, store: Callable[[], object]) -> bool:
    """Whether ``store`` did; where the library could not, a box over ``parent`` says why."""
    try:
        store()
    except LibraryError as error:
        tell_unsaved(parent, str(error))
        return False
    return True


def tell_unsaved(parent: QWidget, text: str, wait: bool = False) -> None:
    """A box over ``parent``; with ``wait``, until it has been read, for a parent that is about to close."""
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QMessageBox

    box = QMessageBox(QMessageBox.Icon.Warning, "InferLab", text, parent=parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    if wait:
        box.exec()
    else:
        box.open()
