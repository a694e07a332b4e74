"""The stored runs of a lab: open one, compare several, name, pin, delete."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QItemSelectionModel, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QInputDialog,
    QLabel,
    QPushButton,
    QStackedWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.icons import icon
from gui.lab.parameter_text import changed_text
from gui.lab.runs.compare import MOST_COMPARED, Compare
from gui.lab.runs.stored_run import UNLIKE, StoredRun, local_time
from gui.lab.worker.wire import FrameError
from gui.theme import Theme, theme_switch
from gui.unsaved import stored

if TYPE_CHECKING:
    from gui.library.runs import RunRecord, Runs

ID = Qt.ItemDataRole.UserRole
# A long name leaves the other columns their place; in full on hover.
WIDEST_COLUMN = 280


class History(QWidget):
    opened = Signal(object)  # StoredRun
    closed = Signal()

    def __init__(self, runs: Runs | None) -> None:
        super().__init__()
        self._runs = runs
        self._description: dict[str, Any] = {}
        self._records: dict[int, RunRecord] = {}
        self.compare = Compare()
        self.compare.closed.connect(self._show_list)
        self._hint = QLabel()
        self._hint.setProperty("role", "muted")
        self._hint.setWordWrap(True)
        self.list = QTreeWidget()
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setColumnCount(4)
        self.list.setIconSize(QSize(14, 14))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.itemSelectionChanged.connect(self._enable)
        self.list.itemActivated.connect(lambda item, _column: self._open(item))
        self._style_list(theme_switch.current)
        self._buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(6)
        slots = {
            "open": self._open_selected,
            "compare": self.compare_selected,
            "rename": self._rename,
            "pin": self._pin,
            "delete": self._delete,
        }
        for name, slot in slots.items():
            button = QPushButton()
            button.clicked.connect(slot)
            self._buttons[name] = button
            row.addWidget(button)
        row.addStretch(1)
        self._back = QPushButton()
        self._back.clicked.connect(self.closed)
        row.addWidget(self._back)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(16, 12, 16, 16)
        column.addLayout(row)
        column.addWidget(self._hint)
        column.addWidget(self.list, 1)
        self._pages = QStackedWidget()
        self._pages.addWidget(page)
        self._pages.addWidget(self.compare)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._pages)
        self._retranslate()

    def _style_list(self, theme: Theme) -> None:
        self.list.setStyleSheet(
            f"QTreeView {{ background: transparent; selection-color: {theme.ink} }}"
            "QTreeView::item { padding: 6px 8px; border: 0 }"
            f"QTreeView::item:selected {{ background: {theme.selection}; color: {theme.ink} }}"
            f"QTreeView::item:hover:!selected {{ background: {theme.hover} }}"
        )

    def _show_list(self) -> None:
        self._pages.setCurrentIndex(0)

    def show_runs(self, description: dict[str, Any]) -> None:
        self._description = description
        self._pages.setCurrentIndex(0)
        self._fill()

    def _fill(self) -> None:
        """List the runs as they are now; what was selected, and where the keyboard stood, stays so."""
        selected, row = self.selected_ids(), self.list.currentIndex().row()
        listed = self._runs.listed(self._description["id"]) if self._runs is not None else []
        self._records = {record.id: record for record in listed}
        with QSignalBlocker(self.list):  # else the pressed button, of no run for a moment, loses the keyboard
            self.list.clear()
            for record in listed:
                item = self._item(record)
                self.list.addTopLevelItem(item)
                item.setSelected(record.id in selected)
            place = self.list.model().index(min(row, len(listed) - 1), 0)
            self.list.selectionModel().setCurrentIndex(place, QItemSelectionModel.SelectionFlag.NoUpdate)
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setMaximumSectionSize(WIDEST_COLUMN)
        for column in (0, 2, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self._enable()

    def _item(self, record: RunRecord) -> QTreeWidgetItem:
        when = local_time(record.started)
        changed = changed_text(self._description["schema"], record.params) or self.tr("defaults")
        words = {"done": self.tr("done"), "stopped": self.tr("stopped"), "failed": self.tr("failed")}
        named = f"{record.name} · {when}" if record.name else when
        item = QTreeWidgetItem([named, changed, f"{record.seconds:.2f} s", words[record.status]])
        item.setData(0, ID, record.id)
        item.setToolTip(0, named)
        item.setToolTip(1, changed)
        item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if record.pinned:
            item.setIcon(0, icon("pin"))
        return item

    def selected_ids(self) -> list[int]:
        return [int(item.data(0, ID)) for item in self.list.selectedItems()]

    def _enable(self) -> None:
        ids = self.selected_ids()
        count = len(ids)
        self._buttons["open"].setEnabled(count == 1)
        self._buttons["compare"].setEnabled(2 <= count <= MOST_COMPARED)
        self._buttons["rename"].setEnabled(count == 1)
        self._buttons["pin"].setEnabled(count > 0)
        self._buttons["delete"].setEnabled(count > 0)
        unpin = count > 0 and all(self._records[run].pinned for run in ids)
        self._buttons["pin"].setText(self.tr("Unpin") if unpin else self.tr("Pin"))
        empty = self.list.topLevelItemCount() == 0
        nothing = self.tr("No stored run yet. Every finished run is stored by itself.")
        how = self.tr("Double-click opens a run. Select two to four (Ctrl or Shift) to compare them.")
        self._hint.setText(nothing if empty else how)

    def _load(self, run_id: int) -> StoredRun | None:
        assert self._runs is not None
        try:
            return StoredRun.of(self._runs.load(run_id))
        except (KeyError, FrameError) as error:
            self._say_unreadable(error)
            return None

    def _say_unreadable(self, error: Exception) -> None:
        self._hint.setText(self.tr("This run cannot be read: {error}").format(error=error))

    def _open(self, item: QTreeWidgetItem) -> None:
        run = self._load(int(item.data(0, ID)))
        if run is not None:
            self.opened.emit(run)

    def _open_selected(self) -> None:
        for item in self.list.selectedItems()[:1]:
            self._open(item)

    def compare_selected(self) -> None:
        """Set the selected runs side by side, oldest first."""
        runs = [run for run in map(self._load, self.selected_ids()) if run is not None]
        if 2 <= len(runs) <= MOST_COMPARED:
            try:
                self.compare.show_runs(self._description, sorted(runs, key=lambda run: run.record.started))
            except UNLIKE as error:
                self._say_unreadable(error)
            else:
                self._pages.setCurrentWidget(self.compare)

    def _rename(self) -> None:
        for run_id in self.selected_ids()[:1]:
            old = self._records[run_id].name
            name, good = QInputDialog.getText(self, self.tr("Rename"), self.tr("Name of the run:"), text=old)
            if good:
                self.rename(run_id, name.strip())

    def rename(self, run_id: int, name: str) -> None:
        assert self._runs is not None
        stored(self, partial(self._runs.rename, run_id, name))
        self._fill()

    def _pin(self) -> None:
        assert self._runs is not None
        runs, ids = self._runs, self.selected_ids()
        pinned = not all(self._records[run].pinned for run in ids)
        all(stored(self, partial(runs.pin, run_id, pinned)) for run_id in ids)  # to the first that fails
        self._fill()

    def _delete(self) -> None:
        assert self._runs is not None
        runs, ids = self._runs, self.selected_ids()
        all(stored(self, partial(runs.delete, run_id)) for run_id in ids)
        self.list.setFocus()
        self._fill()

    def _retranslate(self) -> None:
        words = {
            "open": self.tr("Open"),
            "compare": self.tr("Compare"),
            "rename": self.tr("Rename"),
            "pin": self.tr("Pin"),
            "delete": self.tr("Delete"),
        }
        for name, word in words.items():
            self._buttons[name].setText(word)
        self._back.setText(self.tr("Back to the lab"))
        self.list.setAccessibleName(self.tr("Stored runs"))
        self.list.setHeaderLabels(
            [self.tr("When"), self.tr("Differs from the defaults"), self.tr("Took"), self.tr("Ended")]
        )
        if self.isVisible():  # else it is filled when it is shown
            self._fill()

    def restyle(self, theme: Theme) -> None:
        self._style_list(theme)
        self.compare.restyle(theme)

    def relanguage(self) -> None:
        if self.isVisible():
            self._fill()
            self.compare.relanguage()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
