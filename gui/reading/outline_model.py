"""The outline as a Qt item model: titles in the language in force, and marks for note, lab and read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt

from gui.language import language_switch

if TYPE_CHECKING:
    from gui.library.outline import Node, Outline

Index = QModelIndex | QPersistentModelIndex
NODE_ROLE = Qt.ItemDataRole.UserRole
MARKS_ROLE = Qt.ItemDataRole.UserRole + 1


@dataclass
class Marks:
    """Ids of the questions that have a note, have a lab, and were read."""

    notes: set[str] = field(default_factory=set)
    labs: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class NodeMarks:
    """What is drawn beside one node; ``read`` of ``total`` questions for a node that holds questions."""

    note: bool
    lab: bool
    read: int
    total: int


class OutlineModel(QAbstractItemModel):
    """One column. Nodes stand in for Qt's internal pointers: the outline keeps them alive."""

    def __init__(self, outline: Outline, marks: Marks) -> None:
        super().__init__()
        self.outline = outline
        self.marks = marks
        self._rows = {
            id(node): row for siblings in self._sibling_lists() for row, node in enumerate(siblings)
        }
        self._indexes: dict[str, QModelIndex] = {}
        self._questions: dict[str, list[str]] = {}
        for part in outline.parts:
            self._collect(part)

    def _sibling_lists(self) -> list[list[Node]]:
        return [self.outline.parts, *(node.children for node in self.outline.nodes.values())]

    def _collect(self, node: Node) -> list[str]:
        found = [node.id] if node.kind == "question" else []
        for child in node.children:
            found += self._collect(child)
        self._questions[node.id] = found
        return found

    def node(self, index: Index) -> Node | None:
        return index.internalPointer() if index.isValid() else None

    def index_of(self, node: Node) -> QModelIndex:
        """Kept, for the outline never changes: a view asks some hundred times when one goes elsewhere."""
        found = self._indexes.get(node.id)
        if found is None:
            found = self._indexes[node.id] = self.createIndex(self._rows[id(node)], 0, node)
        return found

    def questions_below(self, node: Node) -> list[str]:
        """Ids of the questions below a node, in the order of the outline."""
        return self._questions[node.id]

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        above = self.node(parent)
        siblings = above.children if above else self.outline.parts
        if column == 0 and 0 <= row < len(siblings):
            return self.index_of(siblings[row])
        return QModelIndex()

    def parent(self, index: Index = QModelIndex()) -> QModelIndex:  # type: ignore[override]  # noqa: B008
        node = self.node(index)
        return self.index_of(node.parent) if node and node.parent else QModelIndex()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        node = self.node(parent)
        return len(node.children if node else self.outline.parts)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 1

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        node = self.node(index)
        if node is None:
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return label(node)
        if role == Qt.ItemDataRole.ToolTipRole:
            other = "en" if language_switch.current == "zh" else "zh"
            return f"{node.id}\n{node.title(language_switch.current)}\n{node.title(other)}"
        if role == NODE_ROLE:
            return node
        if role == MARKS_ROLE:
            return self.node_marks(node)
        return None

    def node_marks(self, node: Node) -> NodeMarks:
        questions = self.questions_below(node)
        read = sum(question in self.marks.read for question in questions)
        if node.kind == "question":
            return NodeMarks(node.id in self.marks.notes, node.id in self.marks.labs, read, 1)
        return NodeMarks(False, False, read, len(questions))


def is_appendix_question(node: Node) -> bool:
    """Questions of the appendix stand directly under a heading."""
    return node.kind == "question" and node.parent is not None and node.parent.kind == "heading"


def label(node: Node) -> str:
    """The title with its number where the outline writes one."""
    title = node.title(language_switch.current)
    return f"{node.id} {title}" if node.kind in ("heading", "section") else title
