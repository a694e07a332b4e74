"""The form of a lab, made from its JSON Schema and from nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtWidgets import QWidget

from gui.lab.form.field import Field
from gui.lab.layouts.grid import Grid

# After the last key or wheel step, the exact run starts when the reader has paused this long.
PAUSE_MS = 350
# A field takes 2 to 4 ms to make and show: a form of thirty is made in turns, with the first at once.
FIELDS_A_TURN = 6


class LabForm(QWidget):
    """``edited(values, dragging)``: dragging is True while a slider is held or keys still step, and one last
    call with False follows when the value has settled. ``filled`` tells that the fields of a schema are all
    made, which may take turns of the event loop; their values are there from the start."""

    edited = Signal(object, bool)
    filled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[str, Field] = {}
        self._grid = Grid(compact_width=216, normal_width=216, gap=14)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self.setLayout(self._grid)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(lambda: self.edited.emit(self.values(), False))
        self._turn = QTimer(self, singleShot=True, interval=0)
        self._turn.timeout.connect(self._make_more)

    def set_schema(self, schema: dict[str, Any]) -> None:
        """Replace all fields; every parameter starts at its default."""
        self._pause.stop()
        self._turn.stop()
        for old in self._fields.values():
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self._fields = {name: Field(name, prop, self) for name, prop in schema.get("properties", {}).items()}
        for field in self._fields.values():
            field.moved.connect(lambda how, field=field: self._on_moved(field, how))
            field.hide()
            self._grid.addWidget(field)
        self._make_more()

    def field(self, name: str) -> Field | None:
        return self._fields.get(name)

    def values(self) -> dict[str, Any]:
        """All parameters, hidden ones included."""
        return {name: field.value() for name, field in self._fields.items()}

    def changed_values(self) -> dict[str, Any]:
        """Only those that differ from their defaults: what a link carries."""
        return {name: field.value() for name, field in self._fields.items() if field.modified}

    def set_values(self, values: dict[str, Any]) -> None:
        """Show ``values``, the rest at their defaults. Tells nobody."""
        self._pause.stop()
        for name, field in self._fields.items():
            field.show_value(values.get(name, field.default))
        self._show_relevant()

    def merge_values(self, values: dict[str, Any]) -> None:
        """Show ``values`` and leave the other parameters as they are. Tells nobody."""
        self.set_values(self.values() | values)

    def reset(self) -> None:
        """Everything back to its default, and say so."""
        self.set_values({})
        self.edited.emit(self.values(), False)

    def show_error(self, name: str, text: str) -> bool:
        """Put a refusal beside the parameter that caused it. False when that one is not in sight."""
        field = self._fields.get(name)
        if field is None or not field.isVisibleTo(self):
            return False
        field.show_error(text)
        return True

    def _on_moved(self, field: Field, how: str) -> None:
        self._show_relevant()
        if how == "final":
            self._pause.stop()
            self.edited.emit(self.values(), False)
            return
        if field.previews:
            self.edited.emit(self.values(), True)
        if how == "step":
            self._pause.start()

    def _show_relevant(self) -> None:
        """Show the fields that belong to the values; those not made yet, some now and the rest in turns."""
        values = self.values()
        shown = {name: field for name, field in self._fields.items() if field.shown_for(values)}
        late = any(field.made for field in self._fields.values())
        new = [field for field in shown.values() if not field.made]
        if self._turn.isActive():
            new = []
        for field in new[:FIELDS_A_TURN]:
            _ = field.editor  # makes it
        with self._grid.arranged_once():
            for name, field in self._fields.items():
                field.setVisible(name in shown and field.made)
        if len(new) > FIELDS_A_TURN:
            self._turn.start()
        elif new and late:
            self._order_tabs()
        self.updateGeometry()

    def _make_more(self) -> None:
        self._show_relevant()
        if not self._turn.isActive():
            self.filled.emit()

    def _order_tabs(self) -> None:
        """Through the fields in their order: what was made late stands at the window's end.

        The focus chain itself is not asked: PySide hangs what ``nextInFocusChain`` returns on the widget that
        was asked. That comes to the window, and when the form goes, whatever Qt made for the window (menus,
        viewports) would count as deleted.
        """
        chain: list[QWidget] = []
        for field in self._fields.values():
            for widget in field.findChildren(QWidget):
                # Not what pops up: it is in a window of its own.
                if widget.focusPolicy() != Qt.FocusPolicy.NoFocus and field.isAncestorOf(widget):
                    chain.append(widget)
        for one, following in pairwise(chain):
            QWidget.setTabOrder(one, following)

    def retranslate(self) -> None:
        for field in self._fields.values():
            field.retranslate()
        self._grid.invalidate()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)
