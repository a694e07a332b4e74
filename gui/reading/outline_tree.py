"""The outline on screen: a tree that filters as one types, with marks for note, lab and read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QIcon,
    QKeyEvent,
    QPainter,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from gui.icons import icon
from gui.language import language_switch
from gui.library.outline_filter import filter_outline
from gui.reading.outline_model import (
    MARKS_ROLE,
    NODE_ROLE,
    Marks,
    NodeMarks,
    OutlineModel,
    is_appendix_question,
    label,
)
from gui.reading.row_state import is_hovered, is_selected
from gui.theme import Theme, theme_switch

if TYPE_CHECKING:
    from gui.library.outline import Node, Outline

Index = QModelIndex | QPersistentModelIndex
ICON = 14
PAD = 5
DEPTH = {"part": 0, "heading": 1, "section": 2, "topic": 3, "question": 4}


class _Title(NamedTuple):
    """As a row draws it; sizes in px."""

    layout: QTextLayout
    height: int
    beside: int  # the width of the marks at its right


class _NodeDelegate(QStyledItemDelegate):
    """Draws a title, wrapped, and its marks at the right."""

    stale = Signal()  # rows were measured for another width than that in which they are drawn

    def __init__(self, view: QTreeView) -> None:
        super().__init__(view)
        self._view = view
        self._measured_for: int | None = None
        self.restyle()

    def restyle(self) -> None:
        """Forget what depends on theme, language or font."""
        theme = theme_switch.current
        self._icons: dict[str, QIcon] = {
            "note": icon("note", theme.muted),
            "lab": icon("lab", theme.accent),
            "read": icon("check", theme.good),
        }
        # Titles are laid out often, while scrolling and resizing, and with few distinct widths.
        self._layouts: dict[tuple[str, int, NodeMarks], _Title] = {}

    def _font(self, node: Node) -> QFont:
        font = QFont(self._view.font())
        if node.kind in ("part", "heading"):
            font.setWeight(QFont.Weight.DemiBold)
        return font

    @staticmethod
    def _marks_width(marks: NodeMarks, font: QFontMetrics) -> int:
        if marks.total > 1:
            return font.horizontalAdvance(_count(marks)) + 6
        return (ICON + 3) * (marks.note + marks.lab + bool(marks.read)) + 3

    def _title(self, node: Node, marks: NodeMarks) -> _Title:
        # The one column is as wide as the viewport. Asking that itself would make the Python classes of all
        # that a widget might be: 20 ms of every start.
        key = (node.id, self._view.columnWidth(0), marks)
        if key not in self._layouts:
            self._layouts[key] = self._laid_out(node, marks, key[1])
        return self._layouts[key]

    def _laid_out(self, node: Node, marks: NodeMarks, column: int) -> _Title:
        font = self._font(node)
        depth = 2 if is_appendix_question(node) else DEPTH[node.kind]
        indent = self._view.indentation() * (depth + 1)
        beside = self._marks_width(marks, QFontMetrics(font))
        width = max(column - indent - beside - 16, 60)
        layout = QTextLayout(label(node), font)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        layout.setTextOption(option)
        layout.beginLayout()
        height = 0.0
        while (line := layout.createLine()).isValid():
            line.setLineWidth(width)
            line.setPosition(QPointF(0, height))
            height += line.height()
        layout.endLayout()
        return _Title(layout, math.ceil(height), beside)

    def _notice_width(self) -> None:
        """The view keeps heights of rows, whichever width it had when it asked for them."""
        width = self._view.columnWidth(0)
        if self._measured_for not in (None, width):
            self.stale.emit()
        self._measured_for = width

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        self._notice_width()
        title = self._title(index.data(NODE_ROLE), index.data(MARKS_ROLE))
        return QSize(60, title.height + 2 * PAD)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        self._notice_width()
        node: Node = index.data(NODE_ROLE)
        marks: NodeMarks = index.data(MARKS_ROLE)
        theme = theme_switch.current
        rect: QRect = option.rect
        selected = is_selected(self._view, index)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if selected or is_hovered(self._view, rect):
            # The outline says that the arrow keys move this row.
            painter.setPen(QColor(theme.accent) if selected and self._view.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection if selected else theme.hover))
            painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 1.5, -4.5, -1.5), 6, 6)
        title = self._title(node, marks)
        painter.setFont(title.layout.font())
        self._draw_marks(painter, rect, marks, theme, title.beside)
        unwritten = node.kind == "question" and not marks.note
        painter.setPen(QColor(theme.muted if unwritten else theme.ink))
        title.layout.draw(painter, QPointF(rect.x() + 4, rect.y() + PAD))
        painter.restore()

    def _draw_marks(self, painter: QPainter, rect: QRect, marks: NodeMarks, theme: Theme, width: int) -> None:
        x = rect.right() - width - 6
        if marks.total > 1:
            painter.setPen(QColor(theme.good if marks.read == marks.total else theme.muted))
            box = QRect(x, rect.y(), width, rect.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, _count(marks))
            return
        y = rect.y() + PAD + 2
        for name, shown in (("note", marks.note), ("lab", marks.lab), ("read", bool(marks.read))):
            if shown:
                self._icons[name].paint(painter, QRect(x, y, ICON, ICON))
                x += ICON + 3


def _count(marks: NodeMarks) -> str:
    return f"{marks.read}/{marks.total}"


class OutlineTree(QWidget):
    """A filter line over the tree, and a legend under it."""

    activated = Signal(str)  # node id, by click, Enter or arrow keys

    def __init__(self, outline: Outline, marks: Marks) -> None:
        super().__init__()
        self.model = OutlineModel(outline, marks)
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.view = QTreeView()
        self.view.setModel(self.model)
        self.view.setHeaderHidden(True)
        self.view.setIndentation(14)
        self.view.setVerticalScrollMode(QTreeView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Always there, so that it cannot come and go with the width that titles wrap to.
        self.view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.view.setMouseTracking(True)
        self._delegate = _NodeDelegate(self.view)
        self.view.setItemDelegate(self._delegate)
        self._summary = QLabel()
        self._summary.setProperty("role", "muted")
        self._summary.setWordWrap(True)
        self._summary.setContentsMargins(0, 0, 8, 0)
        self._lay_out()
        self._expanded_before_filter: set[str] | None = None
        self._announce = True
        self.filter.textChanged.connect(self._apply_filter)
        self.filter.installEventFilter(self)
        self.view.selectionModel().currentChanged.connect(self._current_changed)
        self.view.clicked.connect(self._clicked)
        # A new width changes how titles wrap; once it is at rest, rows are measured again.
        self._relayout = QTimer(self, singleShot=True, interval=60)
        self._relayout.timeout.connect(self._measure_again)
        self._delegate.stale.connect(self._relayout.start)
        theme_switch.changed.connect(self._restyle)
        self.view.expand(self.model.index(0, 0))
        self._retranslate()

    def _lay_out(self) -> None:
        box = QVBoxLayout(self)
        box.setContentsMargins(8, 8, 0, 6)
        box.setSpacing(6)
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 8, 0)
        top.addWidget(self.filter)
        box.addLayout(top)
        box.addWidget(self.view, 1)
        box.addWidget(self._summary)

    def current_id(self) -> str | None:
        node = self.model.node(self.view.currentIndex())
        return node.id if node else None

    def select(self, node_id: str) -> None:
        """Show and mark a node without announcing it. An unknown id (an old bookmark) is ignored."""
        node = self.model.outline.nodes.get(node_id)
        if node is None:
            return
        self._announce = False
        index = self.model.index_of(node)
        in_sight = self._in_sight(index)
        self.view.setCurrentIndex(index)
        # Hidden, Qt does it with the first show, when titles know how they wrap.
        if self.view.isVisible() and not in_sight:
            # To the middle: one sees what comes next, and few steps scroll the tree.
            self.view.scrollTo(index, QTreeView.ScrollHint.PositionAtCenter)
        self._announce = True

    def _in_sight(self, index: QModelIndex) -> bool:
        """If only in part: a row under the mouse must not jump away when it is clicked."""
        # Without a frame the viewport is as high as the view; itself it would cost 20 ms, see _title.
        sight = QRect(0, 0, self.view.width(), self.view.height())
        return sight.intersects(self.view.visualRect(index))

    def refresh_marks(self) -> None:
        self._delegate.restyle()
        self._relayout.start()
        self._summarise()

    def _current_changed(self, current: QModelIndex, _before: QModelIndex) -> None:
        node = self.model.node(current)
        if node and self._announce:
            self.activated.emit(node.id)

    def _clicked(self, index: QModelIndex) -> None:
        node = self.model.node(index)
        if node and node.kind != "question":
            self.view.setExpanded(index, not self.view.isExpanded(index))

    def _apply_filter(self, text: str) -> None:
        if text.strip() and self._expanded_before_filter is None:
            self._expanded_before_filter = self._expanded()
        visible = filter_outline(self.model.outline, text, language_switch.current) if text.strip() else None
        self.view.setUpdatesEnabled(False)
        for node in self.model.outline.nodes.values():
            index = self.model.index_of(node)
            self.view.setRowHidden(
                index.row(), index.parent(), visible is not None and node.id not in visible
            )
        if visible is not None:
            self.view.expandAll()
        elif self._expanded_before_filter is not None:
            self._restore(self._expanded_before_filter)
            self._expanded_before_filter = None
        self.view.setUpdatesEnabled(True)
        self._matches = None if visible is None else sum("-" in node_id for node_id in visible)
        self._summarise()

    _matches: int | None = None

    def _expanded(self) -> set[str]:
        nodes = self.model.outline.nodes.values()
        return {node.id for node in nodes if self.view.isExpanded(self.model.index_of(node))}

    def _restore(self, expanded: set[str]) -> None:
        self.view.collapseAll()
        for node_id in expanded:
            self.view.expand(self.model.index_of(self.model.outline.nodes[node_id]))
        if self.view.currentIndex().isValid():
            self.view.scrollTo(self.view.currentIndex())

    def _summarise(self) -> None:
        marks = self.model.marks
        total = len(self.model.outline.questions)
        if self._matches is not None:
            text = self.tr("{found} of {total} questions match")
            self._summary.setText(text.format(found=self._matches, total=total))
            return
        text = self.tr("{read} of {total} read · {notes} with a note · {labs} with a lab")
        self._summary.setText(
            text.format(read=len(marks.read), total=total, notes=len(marks.notes), labs=len(marks.labs))
        )

    def _restyle(self, _theme: object) -> None:
        self._delegate.restyle()
        self.view.viewport().update()

    def _retranslate(self) -> None:
        self.filter.setPlaceholderText(self.tr("Filter the outline"))
        self.filter.setAccessibleName(self.tr("Filter the outline"))
        self.view.setAccessibleName(self.tr("Outline"))
        self._delegate.restyle()
        self.view.scheduleDelayedItemsLayout()
        self._summarise()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            if self.filter.text():
                self._apply_filter(self.filter.text())
        super().changeEvent(event)

    def _measure_again(self) -> None:
        """The node that one reads stays in sight when the titles above it wrap more, or less."""
        current, view = self.view.currentIndex(), self.view
        in_sight = self._in_sight(current)
        view.doItemsLayout()
        if in_sight:
            view.scrollTo(current)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """From the filter line, Down and Enter go into the tree, Esc clears."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._enter_tree()
                return True
            if event.key() == Qt.Key.Key_Escape and self.filter.text():
                self.filter.clear()
                return True
        return super().eventFilter(watched, event)

    def _enter_tree(self) -> None:
        """Select the first visible question and give the tree the keyboard."""
        index = self.model.index(0, 0)
        while index.isValid():
            node = self.model.node(index)
            if node and node.kind == "question":
                self.view.setCurrentIndex(index)
                break
            index = self.view.indexBelow(index)
        self.view.setFocus()
