"""The boxes of tokens, of which only those in sight are drawn, and the area in which many of them scroll."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

from gui.lab.views.block_look import readable_on
from gui.lab.views.hover import HoverCard
from gui.lab.views.plot import hover_card, hover_row
from gui.lab.views.token_layout import LINE, NAME, PADDING, TokenLayout, laid_out, visible
from gui.lab.views.view import pick

if TYPE_CHECKING:
    from gui.lab.views.tokens import TokensView

TALLEST = 460


class TokenArea(QScrollArea):
    """As tall as the tokens, up to TALLEST: then they scroll."""

    def __init__(self, boxes: TokenBoxes) -> None:
        super().__init__()
        self._boxes = boxes
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setWidget(boxes)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return min(self._boxes.heightForWidth(width), TALLEST)

    def sizeHint(self) -> QSize:
        width = max(320, self.width())
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, NAME + LINE)


class TokenBoxes(QWidget):
    """Arrow keys move from token to token."""

    def __init__(self, view: TokensView) -> None:
        super().__init__()
        self._view = view
        self._layout: tuple[int, TokenLayout] | None = None
        self._at: int | None = None
        self._card = HoverCard(self)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def refresh(self) -> None:
        """The result, the theme or the language is another."""
        self._layout = None
        self._card.restyle(self._view.theme)
        if self._at is not None and self._at >= len(self._view.tokens):
            self._at = None
        self.setAccessibleName(self.tr("Tokens; arrow keys move, Space plays"))
        self._tell()
        self.updateGeometry()
        self.update()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(12)
        return font

    def places(self, width: int | None = None) -> TokenLayout:
        width = self.width() if width is None else width
        if self._layout is None or self._layout[0] != width:
            rows = [row["tokens"] for row in self._view.result.get("rows", [])]
            self._layout = (width, laid_out(rows, max(60.0, width - 2.0), QFontMetricsF(self._font())))
        return self._layout[1]

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return max(NAME + LINE, round(self.places(width).height))

    def sizeHint(self) -> QSize:
        width = max(240, self.width())
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.heightForWidth(self.width()) if self.width() > 120 else NAME + LINE)

    def update_between(self, before: int | None, after: int | None) -> None:
        """Repaint the tokens that have appeared, vanished, or are no longer the newest."""
        if before is None or after is None:
            self.update()
            return
        events = self._view.events
        changed = np.flatnonzero((events >= min(before, after)) & (events <= max(before, after)))
        if not len(changed):
            return
        places = self.places()
        top, bottom = places.top[changed].min(), places.top[changed].max() + LINE
        if len(changed) == 1:
            self.update(places.box(int(changed[0])).toAlignedRect().adjusted(-2, -2, 2, 2))
        else:
            self.update(QRect(0, int(top) - 2, self.width(), int(bottom - top) + 4))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        view, places, area = self._view, self.places(), event.rect()
        names = QFont(self._font())
        names.setWeight(QFont.Weight.DemiBold)
        painter.setFont(names)
        painter.setPen(QColor(view.theme.muted))
        for row, top in zip(view.result.get("rows", []), places.names, strict=False):
            if top + NAME >= area.top() and top <= area.bottom():
                box = QRectF(0, top, self.width(), NAME - 2)
                painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), pick(row["name"]))
        painter.setFont(self._font())
        metrics, revealed = QFontMetricsF(self._font()), view.revealed()
        for token in places.between(area.top(), area.bottom()):
            if revealed[token]:
                self._paint_token(painter, token, places.box(token), metrics)
        painter.end()

    def _paint_token(self, painter: QPainter, token: int, box: QRectF, metrics: QFontMetricsF) -> None:
        view = self._view
        ground, line = view.background(token)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(box, 3, 3)
        if line is not None:
            painter.fillRect(QRectF(box.left() + 2, box.bottom() - 2, box.width() - 4, 2), line)
        newest = view.shown is not None and view.events[token] == view.shown >= 0
        if token == self._at or newest:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(view.theme.accent), 1.5))
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        painter.setPen(readable_on(ground) if view.scale is not None else QColor(view.theme.ink))
        text = visible(view.tokens[token])
        if box.width() >= self.width() - 2:
            text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, box.width() - 2 * PADDING)
        painter.drawText(box.adjusted(PADDING, 0, 0, -1), int(Qt.AlignmentFlag.AlignVCenter), text)

    def token_at(self, position: QPointF) -> int | None:
        """The revealed token there."""
        token = self.places().at(position.x(), position.y())
        return token if token is not None and self._view.revealed()[token] else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.point(self.token_at(event.position()))

    def leaveEvent(self, event: Any) -> None:
        if not self.hasFocus():
            self.point(None)

    def focusOutEvent(self, event: Any) -> None:
        self.point(None)
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, clock = event.key(), self._view.follower.clock
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._move(-1 if key == Qt.Key.Key_Left else 1)
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._move_line(-1 if key == Qt.Key.Key_Up else 1)
        elif clock is None or not clock.player.take_key(event):
            super().keyPressEvent(event)

    def _move(self, by: int) -> None:
        """To the next revealed token in this direction."""
        shown = np.flatnonzero(self._view.revealed())
        if not len(shown):
            return
        at = -1 if self._at is None else self._at
        later, earlier = shown[shown > at], shown[shown < at]
        if by > 0 and len(later):
            self.point(int(later[0]))
        elif by < 0 and len(earlier):
            self.point(int(earlier[-1]))

    def _move_line(self, by: int) -> None:
        """To the nearest revealed token on the next line in this direction."""
        if self._at is None:
            self._move(1)
            return
        places, shown = self.places(), np.flatnonzero(self._view.revealed())
        beyond = shown[(places.top[shown] - places.top[self._at]) * by > 0]
        if len(beyond):
            tops = places.top[beyond]
            line = beyond[tops == (tops.min() if by > 0 else tops.max())]
            self.point(int(line[np.argmin(np.abs(places.left[line] - places.left[self._at]))]))

    def point(self, token: int | None) -> None:
        if token != self._at:
            self._at = token
            self._tell()
            self.update()

    def _tell(self) -> None:
        if self._at is None:
            self._card.hide()
            self.setAccessibleDescription("")
            return
        view, box = self._view, self.places().box(self._at)
        view.area.ensureVisible(round(box.center().x()), round(box.center().y()), 20, LINE * 2)
        title, lines = view.token_title(self._at), view.describe(self._at)
        self.setAccessibleDescription(f"{title}: " + ", ".join(f"{name} {value}" for name, value in lines))
        _, line = view.background(self._at)
        colour = (line or QColor(view.theme.muted)).name()
        rows = [hover_row(colour, html.escape(name), html.escape(value)) for name, value in lines]
        self._card.show_at(
            QPointF(box.center().x(), box.bottom()), hover_card(html.escape(title), rows, view.theme.muted)
        )
