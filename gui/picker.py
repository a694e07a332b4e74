"""A line to type in and a list that follows: search, the lab list and the command palette use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QHideEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from gui.theme import theme_switch

if TYPE_CHECKING:
    from collections.abc import Callable

SHADOW = 18
RADIUS = 10
# Square corners this far inside stay within the rounded ones.
INSET = 5
Ranges = list[tuple[int, int]]
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class PickerItem:
    """One row: a title, a second line, text at the right; ranges are (start, end) to highlight.

    ``later`` makes the second line, with its ranges, each time that the row is drawn. The rows of one list
    have all one line or all two.
    """

    key: Any
    title: str
    detail: str = ""
    right: str = ""
    title_ranges: Ranges = field(default_factory=list)
    later: Callable[[], tuple[str, Ranges]] | None = None

    @property
    def has_detail(self) -> bool:
        return bool(self.detail or self.later)

    def second_line(self) -> tuple[str, Ranges]:
        return self.later() if self.later else (self.detail, [])


class _Items(QAbstractListModel):
    def __init__(self) -> None:
        super().__init__()
        self.items: list[PickerItem] = []

    def replace(self, items: list[PickerItem]) -> None:
        self.beginResetModel()
        self.items = items
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.items)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        item = self.items[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return item.title
        return item if role == Qt.ItemDataRole.UserRole else None


class _RowDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, 50 if index.data(Qt.ItemDataRole.UserRole).has_detail else 32)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item: PickerItem = index.data(Qt.ItemDataRole.UserRole)
        theme = theme_switch.current
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection))
            painter.drawRoundedRect(rect.adjusted(4, 1, -4, -1), 6, 6)
        inner = rect.adjusted(14, 6, -14, -6)
        right_width, font = 0, painter.font()
        if item.right:
            metrics = QFontMetrics(font)
            right_width = metrics.horizontalAdvance(item.right) + 12
            painter.setPen(QColor(theme.muted))
            # At a point: in a box, Qt would lay it out as a paragraph.
            baseline = inner.y() + (20 - metrics.height()) // 2 + metrics.ascent()
            painter.drawText(inner.right() + 13 - right_width, baseline, item.right)
        title_font = QFont(font)
        title_font.setWeight(QFont.Weight.DemiBold if item.has_detail else QFont.Weight.Normal)
        title = QRect(inner.x(), inner.y(), inner.width() - right_width, 20)
        _draw_line(painter, title, item.title, item.title_ranges, theme.ink, title_font)
        if item.has_detail:
            below = QRect(inner.x(), inner.y() + 20, inner.width(), 18)
            _draw_line(painter, below, *item.second_line(), theme.muted, font)
        painter.restore()


def _draw_line(painter: QPainter, rect: QRect, text: str, ranges: Ranges, colour: str, font: QFont) -> None:
    """Plain text over marks: a QTextLayout takes twice the time, and a keystroke draws twenty lines."""
    theme = theme_switch.current
    metrics = QFontMetrics(font)
    elided = metrics.elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
    baseline = rect.y() + metrics.ascent()
    painter.setFont(font)
    emphasised = colour != theme.ink  # what is found then stands in ink
    marks = [
        (rect.x() + metrics.horizontalAdvance(elided[:start]), elided[start:end])
        for start, end in ranges
        if start < len(elided)
    ]
    if emphasised:
        painter.setPen(QColor(colour))
        painter.drawText(rect.x(), baseline, elided)
    painter.setPen(QColor(theme.ink))
    for x, marked in marks:
        width = metrics.horizontalAdvance(marked)
        painter.fillRect(x, rect.y(), width, metrics.height(), QColor(theme.mark))
        if emphasised:
            painter.drawText(x, baseline, marked)
    if not emphasised:
        painter.drawText(rect.x(), baseline, elided)


class _Frame(QWidget):
    """Rounded border and shadow around the picker. A widget of its own, because both are translucent: the
    picker inside is not, so that a keystroke repaints the picker alone and not the page behind it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def surround(self, picker: QWidget) -> None:
        reach = SHADOW + INSET
        self.setGeometry(picker.geometry().adjusted(-reach, -reach, reach, reach))
        self.stackUnder(picker)
        self.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_switch.current
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = self.rect().adjusted(SHADOW, SHADOW, -SHADOW, -SHADOW)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 10 if theme.dark else 5))
        for reach in range(SHADOW, 0, -2):
            # Lower than it is high, as under a light from above.
            shade = frame.adjusted(-reach, 6 - reach, reach, min(6 + reach, SHADOW))
            painter.drawRoundedRect(shade, RADIUS + reach, RADIUS + reach)
        painter.setPen(QPen(QColor(theme.rule), 1))
        painter.setBrush(QColor(theme.raised))
        painter.drawRoundedRect(frame, RADIUS, RADIUS)
        painter.end()


class Picker(QWidget):
    """Opens over its parent's upper middle; Enter or a click picks, Esc or losing the focus closes."""

    picked = Signal(object)  # PickerItem.key

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._frame = _Frame(parent)
        self.line = QLineEdit()
        self.list = QListView()
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setStyleSheet("background: transparent")
        self.empty = QLabel()
        self.empty.setProperty("role", "muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._model = _Items()
        self.list.setModel(self._model)
        self.list.setItemDelegate(_RowDelegate(self.list))
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        box = QVBoxLayout(self)
        box.setContentsMargins(*[10 - INSET] * 4)
        box.setSpacing(8)
        box.addWidget(self.line)
        box.addWidget(self.list, 1)
        box.addWidget(self.empty, 1)
        self._provide: Callable[[str], list[PickerItem]] = lambda _text: []
        self._empty_text = ""
        self.line.textChanged.connect(self._refresh)
        self.line.installEventFilter(self)
        self.list.clicked.connect(self._pick)
        self.hide()

    def open(
        self, provide: Callable[[str], list[PickerItem]], *, placeholder: str, empty: str, text: str = ""
    ) -> None:
        """Show what ``provide(text)`` returns as one types; ``empty`` is said when that is nothing."""
        self._provide, self._empty_text = provide, empty
        self.line.setPlaceholderText(placeholder)
        self.line.setAccessibleName(placeholder)
        self.line.setText(text)
        self.line.selectAll()
        self._place()
        self._refresh()
        self.show()
        self.raise_()
        self.line.setFocus()

    def _place(self) -> None:
        area = self.window().rect()
        width = min(680, area.width() - 80)
        height = min(520, area.height() - 140)
        frame = QRect((area.width() - width) // 2, 70, width, height)
        self.setGeometry(frame.adjusted(INSET, INSET, -INSET, -INSET))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(theme_switch.current.raised))
        painter.end()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._frame.surround(self)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._frame.hide()

    def _refresh(self) -> None:
        items = self._provide(self.line.text())
        self._model.replace(items)
        self.list.setVisible(bool(items))
        self.empty.setVisible(not items)
        self.empty.setText(self._empty_text if self.line.text().strip() else self.line.placeholderText())
        if items:
            self.list.setCurrentIndex(self._model.index(0))

    def items(self) -> list[PickerItem]:
        return self._model.items

    def _move(self, step: int) -> None:
        rows = self._model.rowCount()
        if rows:
            row = max(0, min(rows - 1, self.list.currentIndex().row() + step))
            self.list.setCurrentIndex(self._model.index(row))

    def _pick(self) -> None:
        index = self.list.currentIndex()
        if index.isValid():
            key = self._model.items[index.row()].key
            self.hide()
            self.picked.emit(key)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}
            key = Qt.Key(event.key())
            if key in steps:
                self._move(steps[key])
                return True
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._pick()
                return True
            if key == Qt.Key.Key_Escape:
                self.hide()
                return True
        if event.type() == QEvent.Type.FocusOut and self.isVisible():
            self.hide()
        return super().eventFilter(watched, event)
