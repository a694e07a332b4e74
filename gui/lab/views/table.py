"""Rows of figures: sortable by any column, numbers right-aligned with their units in the head."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QApplication, QTableView, QVBoxLayout

from gui.lab.badge import provenance_word
from gui.lab.help_button import wrapped
from gui.lab.number_text import plain, unit_scale
from gui.lab.views.column_widths import ROOMY, TIGHT, Column, pieces, shares
from gui.lab.views.view import View, csv_text, pick, with_unit_title

if TYPE_CHECKING:
    from gui.theme import Theme

ROW = 28
MOST_ROWS_SHOWN = 14
WIDEST_CELL, MOST_HEAD_LINES = 320, 3
WORD_JOINER = "\u2060"
BOLD = 1.08  # how much wider than the measured face
Index = QModelIndex | QPersistentModelIndex


class Rows(QAbstractTableModel):
    """The result's rows in the order of the last sort. Sorting numbers puts "no figure" last."""

    def __init__(self) -> None:
        super().__init__()
        self._result: dict[str, Any] = {"columns": [], "rows": []}
        self._order: list[int] = []
        self._units: list[tuple[float, str]] = []
        self._theme: Theme | None = None
        self.cut: set[int] = set()  # columns too narrow for all that they say

    def show(self, result: dict[str, Any], theme: Theme) -> None:
        self.beginResetModel()
        self._result, self._theme = result, theme
        self._order = list(range(len(result["rows"])))
        self._units = [self._unit_of(column) for column in range(len(result["columns"]))]
        self.endResetModel()

    def _unit_of(self, column: int) -> tuple[float, str]:
        """One prefix a column, that of its median figure: the figures stay comparable at a glance."""
        cells = [row[column] for row in self._result["rows"]]
        sizes = sorted(abs(cell) for cell in cells if isinstance(cell, int | float) and math.isfinite(cell))
        return unit_scale(
            sizes[len(sizes) // 2] if sizes else 0.0, self._result["columns"][column].get("unit") or ""
        )

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 Qt's own default
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 Qt's own default
        return 0 if parent.isValid() else len(self._result["columns"])

    def cell(self, index: Index) -> Any:
        return self._result["rows"][self._order[index.row()]][index.column()]

    def text(self, index: Index) -> str:
        cell = self.cell(index)
        if isinstance(cell, dict | str):
            return pick(cell)
        factor = self._units[index.column()][0]
        return plain(cell if cell is None or factor == 1 else cell / factor)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        cell, theme = self.cell(index), self._theme
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(index)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            word = isinstance(cell, dict | str) and not (
                _is_sign(pick(cell)) and self.numeric(index.column())
            )
            side = Qt.AlignmentFlag.AlignLeft if word else Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole and isinstance(cell, dict | str):
            return wrapped(pick(cell)) if len(pick(cell)) > 30 or index.column() in self.cut else None
        highlighted = self._order[index.row()] == self._result.get("highlight")
        if theme is not None and highlighted and role == Qt.ItemDataRole.BackgroundRole:
            return QColor(theme.selection)
        if highlighted and role == Qt.ItemDataRole.FontRole:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self._result["columns"][section]
        if role == Qt.ItemDataRole.DisplayRole:
            # Qt would break a line behind the stroke of a unit.
            return with_unit_title(column["title"], self._units[section][1].replace("/", f"/{WORD_JOINER}"))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self.numeric(section) else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter) | int(Qt.TextFlag.TextWordWrap)
        if role == Qt.ItemDataRole.ToolTipRole:
            parts = [pick(column["help"])] if column.get("help") else []
            if column.get("provenance"):
                parts.append(provenance_word(column["provenance"]))
            return wrapped("\n".join(parts)) or None
        if role == Qt.ItemDataRole.ForegroundRole and column.get("provenance") and self._theme is not None:
            return QColor(getattr(self._theme, column["provenance"]))
        return None

    def numeric(self, section: int) -> bool:
        """Whether there are figures in a column."""
        cells = [row[section] for row in self._result["rows"]]
        return any(isinstance(cell, int | float) for cell in cells)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        rows = self._result["rows"]
        self.layoutAboutToBeChanged.emit()
        if column < 0:
            self._order = list(range(len(rows)))
        else:
            down = order == Qt.SortOrder.DescendingOrder
            known = [i for i in range(len(rows)) if not _missing(rows[i][column])]
            known.sort(key=lambda i: _sort_key(rows[i][column]), reverse=down)
            self._order = known + [i for i in range(len(rows)) if _missing(rows[i][column])]
        self.layoutChanged.emit()


def _is_sign(text: str) -> bool:
    """Whether a text may stand for a figure, as ``∞`` does."""
    return not any(character.isalnum() for character in text)


def _missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _sort_key(cell: Any) -> tuple[int, float, str]:
    if isinstance(cell, int | float):
        return (0, float(cell), "")
    return (1, 0.0, pick(cell))


class Grid(QTableView):
    """Copies its selection as tab-separated text, with the head."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            QApplication.clipboard().setText(self.selected_text())
        else:
            super().keyPressEvent(event)

    def selected_text(self) -> str:
        chosen = sorted(self.selectionModel().selectedIndexes(), key=lambda i: (i.row(), i.column()))
        rows: dict[int, list[str]] = {}
        model = self.model()
        assert isinstance(model, Rows)
        for index in chosen:
            rows.setdefault(index.row(), []).append(model.text(index).replace("\u2009", "").replace("−", "-"))
        return "\n".join("\t".join(cells) for cells in rows.values())


class TableView(View):
    def __init__(self) -> None:
        super().__init__()
        self.model = Rows()
        self.grid = Grid()
        self.grid.setModel(self.model)
        self.grid.setSortingEnabled(True)
        self._columns: list[Column] = []
        self._tight = self._sideways = False
        self.grid.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.grid.horizontalHeader().setSortIndicatorClearable(True)
        self.grid.horizontalHeader().setHighlightSections(False)
        self.grid.horizontalHeader().setStretchLastSection(False)
        self.grid.verticalHeader().hide()
        self.grid.verticalHeader().setDefaultSectionSize(ROW)
        self.grid.setShowGrid(False)
        self.grid.setWordWrap(False)  # words that are cut end in dots
        self._set_margins(tight=False)
        self.grid.setFrameShape(self.grid.Shape.NoFrame)
        self.grid.setTabKeyNavigation(False)
        self.grid.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.grid.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self.grid)

    def redraw(self) -> None:
        header = self.grid.horizontalHeader()
        column, order = header.sortIndicatorSection(), header.sortIndicatorOrder()
        self.model.show(self.result, self.theme)
        if 0 <= column < len(self.result["columns"]):
            self.model.sort(column, order)
        self._measure_columns()
        self._size_columns()
        self.grid.setAccessibleName(pick(self.result["title"]))
        self.updateGeometry()

    def _set_margins(self, tight: bool) -> None:
        """The same for cells and heads, so that both line up."""
        self._tight = tight
        side = 4 if tight else 8
        self.grid.setStyleSheet(
            f"QTableView::item {{ padding: 0 {side}px }} QHeaderView::section {{ padding: 5px {side}px }}"
        )

    def _measure_columns(self) -> None:
        """Cells beyond the first 200 rows are taken to be like these."""
        cells, heads = self.grid.fontMetrics(), self.grid.horizontalHeader().fontMetrics()
        rows = range(min(200, self.model.rowCount()))
        bold = BOLD if self.result.get("highlight") is not None else 1.0
        self._columns = []
        for column in range(self.model.columnCount()):
            texts = (self.model.text(self.model.index(row, column)) for row in rows)
            widest = max((cells.horizontalAdvance(text) for text in texts), default=0)
            head = self._head(column)
            self._columns.append(
                Column(
                    cells=min(WIDEST_CELL, round(widest * bold)),
                    head=round(heads.horizontalAdvance(head) * BOLD),
                    piece=round(
                        max((heads.horizontalAdvance(piece) for piece in pieces(head)), default=0) * BOLD
                    ),
                    words=not self.model.numeric(column),
                )
            )

    def _head(self, column: int) -> str:
        return str(self.model.headerData(column, Qt.Orientation.Horizontal))

    def _size_columns(self) -> None:
        """The columns share the width; heads take more lines before the reader must scroll sideways."""
        room = self.grid.width() - 4 - self._bar()
        widths, tight = shares(self._columns, room)
        self._sideways = sum(widths) > room
        if tight != self._tight:
            self._set_margins(tight)
        margin = TIGHT if tight else ROOMY
        self.model.cut = {
            place
            for place, (column, width) in enumerate(zip(self._columns, widths, strict=True))
            if column.words and column.cells + margin > width
        }
        for index, width in enumerate(widths):
            self.grid.setColumnWidth(index, width)
        self._size_head([width - margin for width in widths])

    def _bar(self) -> int:
        """What the bar of a long table takes of its width. A short one has none, so that a bar below, while
        its columns are too wide, cannot call for one that keeps them too wide."""
        long = self.model.rowCount() > MOST_ROWS_SHOWN
        policy = Qt.ScrollBarPolicy.ScrollBarAsNeeded if long else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.grid.setVerticalScrollBarPolicy(policy)
        return self.grid.verticalScrollBar().sizeHint().width() if long else 0

    def _size_head(self, rooms: list[int]) -> None:
        """As high as the tallest head broken into lines, each in its room."""
        header = self.grid.horizontalHeader()
        metrics, line = header.fontMetrics(), header.fontMetrics().height()
        most = line
        for column, room in enumerate(rooms):
            box = QRect(0, 0, max(1, int((room + 2) / BOLD)), 1000)
            most = max(most, metrics.boundingRect(box, Qt.TextFlag.TextWordWrap, self._head(column)).height())
        header.setFixedHeight(min(most, MOST_HEAD_LINES * line) + 12)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        before = self.sizeHint().height()
        self._size_columns()
        if self.sizeHint().height() != before:
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        rows = min(MOST_ROWS_SHOWN, max(1, self.model.rowCount()))
        extra = self.grid.horizontalScrollBar().sizeHint().height() if self._sideways else 0
        return QSize(360, self.grid.horizontalHeader().height() + rows * ROW + 4 + extra)

    def to_csv(self) -> str:
        columns = self.result["columns"]
        header = [with_unit_title(column["title"], column.get("unit") or "") for column in columns]
        rows = (["" if cell is None else pick(cell) for cell in row] for row in self.result["rows"])
        return csv_text(header, rows)
