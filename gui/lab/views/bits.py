"""How formats store one value, bit by bit: colour is the bit's role, and a click flips it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFont,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from gui.lab.number_text import exact, plain
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.view import View, csv_text, pick

translate = QCoreApplication.translate

if TYPE_CHECKING:
    from gui.theme import Theme

# Index into the theme's series colours: sign orange, exponent blue, mantissa green, and so on.
ROLES = {"sign": 1, "exponent": 0, "mantissa": 2, "integer": 3, "code": 4, "scale": 6}
WIDE = 680
NAME = 112
FIGURES = 210
TAIL = 112  # of the figures: what the error, or what a flip would make, has
CELL = 18
FIELD_GAP = 5
ROW = 34
NOTE = 17


class BitsView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.legend = Legend()
        self.cells = BitCells(self)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(6)
        body.addWidget(self.legend)
        body.addWidget(self.cells)

    def redraw(self) -> None:
        used = [field["role"] for row in self.result["rows"] for field in row["fields"]]
        names = self._role_names()
        entries = [
            Entry(names[role], role_colour(role, self.theme), "block") for role in ROLES if role in used
        ]
        self.legend.show_entries(entries, self.theme)
        self.cells.show_rows(self.result)
        self.updateGeometry()

    def _role_names(self) -> dict[str, str]:
        return {
            "sign": self.tr("sign"),
            "exponent": self.tr("exponent"),
            "mantissa": self.tr("mantissa"),
            "integer": self.tr("integer"),
            "code": self.tr("code"),
            "scale": self.tr("block scale"),
        }

    def to_csv(self) -> str:
        header = [self.tr("format"), self.tr("bits"), self.tr("roles"), self.tr("value"), self.tr("error")]
        rows = []
        for row in self.result["rows"]:
            bits = " ".join(field["bits"] for field in row["fields"])
            roles = " ".join(field["role"] for field in row["fields"])
            rows.append([pick(row["name"]), bits, roles, row["value"], row["error"]])
        return csv_text(header, rows)


def role_colour(role: str, theme: Theme) -> str:
    return theme.series[ROLES.get(role, 6)]


@dataclass(frozen=True)
class Cell:
    """One bit on the screen: its row, its index among the row's bits, role, value and place."""

    row: int
    bit: int
    role: str
    value: str
    box: QRectF


class BitCells(QWidget):
    def __init__(self, view: BitsView) -> None:
        super().__init__()
        self._view = view
        self._rows: list[dict[str, Any]] = []
        self._at: tuple[int, int] | None = None  # row and bit under the pointer or the keyboard
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_rows(self, result: dict[str, Any]) -> None:
        self._rows = result["rows"]
        if self._at is not None and self._cell(*self._at) is None:
            self._at = None
        self._describe()
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(480, self.heightForWidth(max(480, self.width())))

    def minimumSizeHint(self) -> QSize:
        return QSize(240, ROW)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return round(sum(self._row_height(row, width) for row in self._rows)) or ROW

    def _row_height(self, row: dict[str, Any], width: float) -> float:
        lines = ROW if width >= WIDE else ROW + 22
        return lines + (NOTE if row.get("note") else 0)

    def _tops(self) -> list[float]:
        tops, y = [], 0.0
        for row in self._rows:
            tops.append(y)
            y += self._row_height(row, self.width())
        return tops

    def _cells(self) -> list[Cell]:
        """Every bit's place. Cells shrink where the widest row would not fit."""
        wide = self.width() >= WIDE
        left = NAME if wide else 8.0
        room = self.width() - left - (FIGURES if wide else 8)
        widest = max((_width_in_cells(row) for row in self._rows), default=1.0)
        side = min(float(CELL), room / widest)
        found = []
        for index, (row, top) in enumerate(zip(self._rows, self._tops(), strict=True)):
            x, bit = left, 0
            y = top + (8 if wide else 28)
            for field in row["fields"]:
                for value in field["bits"]:
                    box = QRectF(x, y, side, CELL)
                    found.append(Cell(index, bit, field["role"], value, box))
                    x, bit = x + side, bit + 1
                x += FIELD_GAP * side / CELL
        return found

    def _cell(self, row: int, bit: int) -> Cell | None:
        return next((cell for cell in self._cells() if (cell.row, cell.bit) == (row, bit)), None)

    def flip_of(self, row: int, bit: int) -> float | None:
        """What the value becomes when the bit flips; None where it cannot be clicked."""
        flips = self._rows[row].get("flips") or []
        if not self._view.result.get("edits") or bit >= len(flips):
            return None
        value = float(flips[bit])
        return value if math.isfinite(value) else None

    def _font(self, size: int, bold: bool = False, mono: bool = False) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(size)
        if mono:
            font.setFamilies(["DejaVu Sans Mono", "Noto Sans Mono", "monospace"])
        if bold:
            font.setWeight(QFont.Weight.DemiBold)
        return font

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tops = self._tops()
        for index, row in enumerate(self._rows):
            self._paint_row(painter, index, row, tops[index])
        figure = self._font(11, mono=True)
        for cell in self._cells():
            self._paint_cell(painter, cell, figure)
        painter.end()

    def _paint_row(self, painter: QPainter, index: int, row: dict[str, Any], top: float) -> None:
        theme, wide = self._view.theme, self.width() >= WIDE
        height = self._row_height(row, self.width())
        if index == self._view.result.get("highlight"):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection))
            painter.drawRoundedRect(QRectF(0, top + 1, self.width(), height - 2), 6, 6)
        elif index:
            painter.setPen(QPen(QColor(theme.rule), 1))
            painter.drawLine(QPointF(0, top + 0.5), QPointF(self.width(), top + 0.5))
        painter.setPen(QColor(theme.ink))
        painter.setFont(self._font(13, bold=index == self._view.result.get("highlight")))
        name = QRectF(8, top, NAME - 8, ROW) if wide else QRectF(8, top + 4, self.width() / 3, 22)
        painter.drawText(name, int(Qt.AlignmentFlag.AlignVCenter), pick(row["name"]))
        self._paint_figures(painter, index, row, top)
        if row.get("note"):
            painter.setFont(self._font(11))
            painter.setPen(QColor(theme.muted))
            left = NAME if wide else 8
            box = QRectF(left, top + height - NOTE - 3, self.width() - left - 8, NOTE)
            text = QFontMetricsF(painter.font()).elidedText(
                pick(row["note"]), Qt.TextElideMode.ElideRight, box.width()
            )
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), text)

    def _paint_figures(self, painter: QPainter, index: int, row: dict[str, Any], top: float) -> None:
        """Value and error; while a bit of this row is pointed at, what the flip would make of it."""
        theme, wide = self._view.theme, self.width() >= WIDE
        box = QRectF(self.width() - FIGURES - 2, top, FIGURES - 6, ROW)
        if not wide:
            box = QRectF(self.width() / 3, top + 4, self.width() * 2 / 3 - 8, 22)
        flip = self.flip_of(*self._at) if self._at is not None and self._at[0] == index else None
        error = plain(float(row["error"]), 3)
        stored = float(row["value"])
        # Zero with its sign: here the sign is a bit on show.
        value = plain(stored, 7) if stored or math.copysign(1, stored) > 0 else "−0"
        tail = f"→ {plain(flip, 5)}" if flip is not None else f"{translate('BitsView', 'error')} {error}"
        right = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight)
        small, bold = self._font(12), self._font(13, bold=True)
        beside = room_beside(_advance(bold, value), _advance(small, tail), box.width())
        if beside or flip is not None:
            painter.setFont(small)
            painter.setPen(QColor(theme.accent if flip is not None else theme.muted))
            painter.drawText(box, right, tail)
        if beside or flip is None:
            painter.setFont(bold)
            painter.setPen(QColor(theme.ink))
            painter.drawText(box.adjusted(0, 0, -beside, 0), right, value)

    def _paint_cell(self, painter: QPainter, cell: Cell, figure: QFont) -> None:
        theme = self._view.theme
        colour = QColor(role_colour(cell.role, theme))
        box = cell.box.adjusted(0.5, 0, -0.5, 0)
        fill = QColor(colour)
        fill.setAlphaF(
            (0.95 if theme.dark else 0.92) if cell.value == "1" else (0.20 if theme.dark else 0.14)
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawRoundedRect(box, 2.5, 2.5)
        if self._at == (cell.row, cell.bit):
            painter.setPen(QPen(QColor(theme.ink), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 2.5, 2.5)
        if box.width() >= 8:
            painter.setFont(figure)
            on = "#101418" if theme.dark else "#ffffff"
            painter.setPen(QColor(on if cell.value == "1" else theme.ink))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, cell.value)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = next((cell for cell in self._cells() if cell.box.contains(event.position())), None)
        self._point(None if found is None else (found.row, found.bit))
        clickable = found is not None and self.flip_of(found.row, found.bit) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if clickable else Qt.CursorShape.ArrowCursor)

    def leaveEvent(self, event: Any) -> None:
        if not self.hasFocus():
            self._point(None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.mouseMoveEvent(event)
        if event.button() == Qt.MouseButton.LeftButton:
            self.flip()

    def focusInEvent(self, event: QFocusEvent) -> None:
        if self._at is None and self._rows and event.reason() != Qt.FocusReason.MouseFocusReason:
            self._point((self._view.result.get("highlight") or 0, 0))
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._point(None)
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }
        key = Qt.Key(event.key())
        if key in moves and self._rows:
            row, bit = self._at or (0, 0)
            row = min(len(self._rows) - 1, max(0, row + moves[key][0]))
            bits = sum(len(field["bits"]) for field in self._rows[row]["fields"])
            self._point((row, min(bits - 1, max(0, bit + moves[key][1]))))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.flip()
        else:
            super().keyPressEvent(event)

    def flip(self) -> None:
        """Flip the bit pointed at: the lab's parameter takes the value that results."""
        flipped = self.flip_of(*self._at) if self._at is not None else None
        if flipped is not None:
            self._view.param_edited.emit(self._view.result["edits"], flipped)

    def _point(self, at: tuple[int, int] | None) -> None:
        if at != self._at:
            self._at = at
            self._describe()
            self.update()

    def _describe(self) -> None:
        """What a screen reader says of the bit pointed at."""
        self.setAccessibleName(translate("BitsView", "Bits; arrow keys move, Space flips"))
        if self._at is None:
            self.setAccessibleDescription("")
            return
        cell = self._cell(*self._at)
        if cell is not None:
            flip = self.flip_of(cell.row, cell.bit)
            becomes = f" → {exact(flip)}" if flip is not None else ""
            name = pick(self._rows[cell.row]["name"])
            self.setAccessibleDescription(f"{name}, {cell.role} {cell.bit}: {cell.value}{becomes}")


def room_beside(value: float, tail: float, room: float) -> float:
    """How much of ``room`` a value leaves its tail, to the right of it; 0 where only one of them has a place:
    half a number would be another number. All in pixels."""
    beside = min(float(TAIL), room - value)
    return beside if beside >= tail + FIELD_GAP else 0.0


def _advance(font: QFont, text: str) -> float:
    return QFontMetricsF(font).horizontalAdvance(text)


def _width_in_cells(row: dict[str, Any]) -> float:
    bits = sum(len(field["bits"]) for field in row["fields"])
    return bits + max(0, len(row["fields"]) - 1) * FIELD_GAP / CELL
