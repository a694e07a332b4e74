"""Whether a row of a view is selected, or under the mouse, as its delegate paints it.

Qt says both in ``option.state``, but reading that loads all the enumerations of QStyle: 7 ms of every start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QCursor

if TYPE_CHECKING:
    from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect
    from PySide6.QtWidgets import QAbstractItemView


def is_selected(view: QAbstractItemView, index: QModelIndex | QPersistentModelIndex) -> bool:
    return view.selectionModel().isSelected(index)


def is_hovered(view: QAbstractItemView, rect: QRect) -> bool:
    """``rect`` is the row's, in the viewport."""
    if not view.underMouse():
        return False  # before `viewport`, whose first call makes the Python classes of every widget: 20 ms
    port = view.viewport()
    return port.underMouse() and rect.contains(port.mapFromGlobal(QCursor.pos()))
