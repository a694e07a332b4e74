"""What a part, heading, section or topic holds: its labs and its questions, each one click away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.icons import icon
from gui.language import language_switch
from gui.reading.outline_model import Marks, label
from gui.theme import theme_switch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gui.library.outline import Node

MEASURE = 760  # px: the width of a comfortable column


class _Row(QPushButton):
    """A question or a lab as a wide button: a wrapped title, an optional second line, icons at the right."""

    def __init__(self, title: str, detail: str, icons: list[tuple[str, str]]) -> None:
        super().__init__()
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(title)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        box = QHBoxLayout(self)
        box.setContentsMargins(12, 9, 12, 9)
        words = QVBoxLayout()
        words.setSpacing(2)
        for text, role in ((title, ""), (detail, "muted")):
            if text:
                line = QLabel(text)
                line.setWordWrap(True)
                line.setProperty("role", role)
                line.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
                words.addWidget(line)
        box.addLayout(words, 1)
        for name, colour in icons:
            mark = QLabel()
            mark.setPixmap(icon(name, colour).pixmap(16, 16))
            mark.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            box.addWidget(mark)
        # A button's own height knows nothing of the labels inside it.
        self._box = box

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._box.totalHeightForWidth(width)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.setMinimumHeight(self._box.totalHeightForWidth(self.width()))


class _Progress(QWidget):
    """A thin bar: the share of questions read."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share
        self.setFixedHeight(6)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme_switch.current.rule))
        painter.drawRoundedRect(self.rect(), 3, 3)
        if self._share > 0:
            painter.setBrush(QColor(theme_switch.current.good))
            width = max(6, round(self.width() * self._share))
            painter.drawRoundedRect(0, 0, width, self.height(), 3, 3)


class OverviewPage(QScrollArea):
    """Rebuilt whole for each node: a section has a dozen rows."""

    node_requested = Signal(str)
    lab_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._node: Node | None = None
        self._marks = Marks()
        self._labs: list[Mapping[str, Any]] = []
        theme_switch.changed.connect(self._rebuild)

    def show_node(self, node: Node, marks: Marks, labs: list[Mapping[str, Any]]) -> None:
        """``labs`` are the descriptions (id, title, summary) of the labs under this node."""
        self._node, self._marks, self._labs = node, marks, labs
        self._rebuild()
        self.verticalScrollBar().setValue(0)

    def _rebuild(self, _theme: object = None) -> None:
        if self._node is None:
            return
        column = QWidget()
        column.setProperty("role", "pane")
        column.setMaximumWidth(MEASURE)
        box = QVBoxLayout(column)
        box.setContentsMargins(28, 26, 28, 40)
        box.setSpacing(8)
        self._add_head(box, self._node)
        if self._labs:
            box.addWidget(_heading(self.tr("Labs")))
            for lab in self._labs:
                self._add_lab(box, lab)
        self._add_children(box, self._node)
        box.addStretch(1)
        holder = QWidget()
        holder.setProperty("role", "pane")
        centre = QHBoxLayout(holder)
        centre.setContentsMargins(0, 0, 0, 0)
        centre.addWidget(column, 1, Qt.AlignmentFlag.AlignTop)
        self.setWidget(holder)

    def _add_head(self, box: QVBoxLayout, node: Node) -> None:
        title = QLabel(label(node))
        title.setProperty("role", "title")
        title.setWordWrap(True)
        box.addWidget(title)
        questions = _questions(node)
        read = sum(question.id in self._marks.read for question in questions)
        text = self.tr("{read} of {total} questions read").format(read=read, total=len(questions))
        count = QLabel(text)
        count.setProperty("role", "muted")
        box.addWidget(count)
        box.addWidget(_Progress(read / max(1, len(questions))))

    def _add_lab(self, box: QVBoxLayout, lab: Mapping[str, Any]) -> None:
        pick = language_switch.pick
        row = _Row(pick(lab["title"]), pick(lab["summary"]), [("lab", theme_switch.current.accent)])
        row.clicked.connect(lambda _=False, lab_id=lab["id"]: self.lab_requested.emit(f"lab:{lab_id}"))
        box.addWidget(row)

    def _add_children(self, box: QVBoxLayout, node: Node) -> None:
        if node.kind in ("part", "heading") and not any(child.kind == "question" for child in node.children):
            box.addWidget(_heading(self.tr("Contents")))
            for child in node.children:
                questions = _questions(child)
                notes = sum(question.id in self._marks.notes for question in questions)
                detail = self.tr("{total} questions, {notes} with a note").format(
                    total=len(questions), notes=notes
                )
                self._add_node(box, child, detail)
            return
        for group in node.children if node.kind == "section" else [node]:
            box.addWidget(_heading(label(group) if group is not node else self.tr("Questions")))
            for question in group.children:
                self._add_node(box, question, "")

    def _add_node(self, box: QVBoxLayout, node: Node, detail: str) -> None:
        theme = theme_switch.current
        icons = [
            (name, colour)
            for name, colour, ids in (
                ("note", theme.muted, self._marks.notes),
                ("lab", theme.accent, self._marks.labs),
                ("check", theme.good, self._marks.read),
            )
            if node.id in ids
        ]
        row = _Row(label(node), detail, icons)
        row.clicked.connect(lambda _=False, node_id=node.id: self.node_requested.emit(node_id))
        box.addWidget(row)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._rebuild()
        super().changeEvent(event)


def _heading(text: str) -> QLabel:
    heading = QLabel(text)
    heading.setProperty("role", "heading")
    heading.setContentsMargins(0, 14, 0, 0)
    return heading


def _questions(node: Node) -> list[Node]:
    if node.kind == "question":
        return [node]
    return [question for child in node.children for question in _questions(child)]
