"""The frame around one result: title, where its figures come from, help, and a menu to take it elsewhere."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.icons import icon
from gui.lab.badge import Badge, badge_tooltip
from gui.lab.help_button import HelpButton, wrapped
from gui.lab.layouts.elided import Elided
from gui.lab.views import make_view
from gui.lab.views.view import pick
from gui.theme import Theme, theme_switch

# Kinds that are read, not plotted: a picture of them serves nobody.
TEXTUAL = ("metric", "markdown")


class Card(QFrame):
    """Shows results of one id, in place. A result of another kind under the same id replaces the view."""

    param_edited = Signal(str, object)
    link_activated = Signal(str)
    saved = Signal(str)  # path of a file written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.view: Any = None
        self._kind = ""
        self._environment: dict[str, Any] = {}
        self._enlarged: Enlarged | None = None
        self._title = Elided()
        font = self._title.font()
        font.setBold(True)
        self._title.setFont(font)
        self._help = HelpButton()
        self._badge = Badge("measured")
        self._menu = QToolButton()
        self._menu.setAutoRaise(True)
        self._menu.setIconSize(QSize(16, 16))
        self._menu.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu.setMenu(QMenu(self._menu))
        self._menu.menu().aboutToShow.connect(self._fill_menu)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(6)
        head.addWidget(self._title)
        head.addWidget(self._help)
        head.addStretch(1)
        for widget in (self._badge, self._menu):
            head.addWidget(widget)
        self._body = QVBoxLayout(self)
        self._body.setContentsMargins(14, 8, 8, 12)
        self._body.setSpacing(4)
        self._body.addLayout(head)
        self._mark = ""
        self._veil = Veil(self)
        self.retranslate()

    @property
    def result(self) -> dict[str, Any]:
        return dict(self.view.result) if self.view is not None else {}

    def prepare(self, kind: str) -> None:
        """Make the view for results of this kind, where there is another or none."""
        if kind != self._kind:
            self._replace_view(kind)

    def show_result(self, result: dict[str, Any], environment: dict[str, Any]) -> None:
        self._environment = environment
        self.prepare(result["kind"])
        self.view.show_result(result)
        self.setProperty("shape", "wide" if result.get("wide") else self.view.shape)
        if self._enlarged is not None and self._enlarged.isVisible():
            self._enlarged.show_result(result)
        self.retranslate()
        self.updateGeometry()

    def _replace_view(self, kind: str) -> None:
        if self.view is not None:
            self._body.removeWidget(self.view)
            self.view.deleteLater()
        if self._enlarged is not None:
            self._enlarged.deleteLater()
            self._enlarged = None
        self.view, self._kind = make_view(kind), kind
        self.view.param_edited.connect(self.param_edited)
        self.view.link_activated.connect(self.link_activated)
        self._body.addWidget(self.view, 1)
        self._veil.raise_()

    def mark(self, state: str) -> None:
        """``updating``, ``preview``, ``stale`` or ``""``: what is shown is then not of the parameters in the
        form."""
        if state != self._mark:
            self._mark = state
            self._show_mark()

    def _show_mark(self) -> None:
        words = {
            "updating": self.tr("updating"),
            "preview": self.tr("preview"),
            "stale": self.tr("earlier values"),
        }
        self._veil.cover(self.rect(), words.get(self._mark, ""), self._mark in ("updating", "stale"))

    def head_room(self) -> QRect:
        """Where a word may stand in the head, over the title's end: its right and its height count."""
        right = self._menu if self._badge.isHidden() else self._badge
        return QRect(0, self._menu.y(), right.x() - 6, self._menu.height())

    def restyle(self, theme: Theme) -> None:
        self._menu.setIcon(icon("more"))
        self._badge.restyle(theme)
        if self.view is not None:
            self.view.restyle(theme)
        if self._enlarged is not None:
            self._enlarged.restyle(theme)

    def retranslate(self) -> None:
        """Titles and tooltips; the view's texts are ``view.retranslate``'s."""
        self._menu.setIcon(icon("more"))
        self._menu.setToolTip(self.tr("Copy, save, enlarge"))
        self._menu.setAccessibleName(self._menu.toolTip())
        if self.view is None:
            return
        result = self.view.result
        self._title.show_text(pick(result["title"]))
        self._help.set_help(pick(result["help"]) if result.get("help") else "")
        self._show_badge(result)

    def _show_badge(self, result: dict[str, Any]) -> None:
        """Prose has none; nor has a table that the window itself made."""
        provenance = result["provenance"]
        badge = self.view.corner or self._badge
        self._badge.setVisible(bool(provenance) and result["kind"] != "markdown" and badge is self._badge)
        if provenance:
            badge.set_provenance(provenance)
            badge.setToolTip(wrapped(badge_tooltip(provenance, result, self._environment)))

    def relanguage(self) -> None:
        """The language changed: texts of the lab inside the view too."""
        self.retranslate()
        self._show_mark()
        if self.view is not None:
            self.view.retranslate()
        if self._enlarged is not None:
            self._enlarged.relanguage()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_mark()

    def _fill_menu(self) -> None:
        menu = self._menu.menu()
        menu.clear()
        menu.addAction(self.tr("Copy data"), lambda: QGuiApplication.clipboard().setText(self.view.to_csv()))
        if self._kind not in TEXTUAL:
            menu.addAction(self.tr("Copy picture"), self._copy_picture)
        menu.addSeparator()
        if self._kind not in TEXTUAL:
            menu.addAction(self.tr("Save as PNG…"), lambda: self._save("png"))
            menu.addAction(self.tr("Save as SVG…"), lambda: self._save("svg"))
        menu.addAction(self.tr("Save as CSV…"), lambda: self._save("csv"))
        names = {"trace.json": self.tr("Save as a Chrome trace…")}
        for suffix in self.view.other_formats():
            menu.addAction(names[suffix], functools.partial(self._save, suffix))
        if self._kind not in TEXTUAL:
            menu.addSeparator()
            menu.addAction(icon("expand"), self.tr("Enlarge"), self.enlarge)

    def _copy_picture(self) -> None:
        QGuiApplication.clipboard().setImage(QImage.fromData(self.view.to_png()))

    def _save(self, suffix: str) -> None:
        name = f"{self.view.result['id']}.{suffix}"
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save"), name, f"*.{suffix}")
        if path:
            self.write(Path(path), suffix)

    def write(self, path: Path, suffix: str) -> None:
        """The result as a ``csv``, ``png`` or ``svg`` file, or in another format of its kind."""
        others = self.view.other_formats()
        if suffix in others:
            path.write_text(others[suffix](), encoding="utf-8")
        elif suffix == "csv":
            path.write_text(self.view.to_csv(), encoding="utf-8-sig")  # the mark makes Excel read Chinese
        else:
            path.write_bytes(self.view.to_svg() if suffix == "svg" else self.view.to_png())
        self.saved.emit(str(path))

    def enlarge(self) -> None:
        """The same result in its own window, kept up to date."""
        if self._enlarged is None:
            self._enlarged = Enlarged(self._kind, self)
        self._enlarged.show_result(self.view.result)
        self._enlarged.show()
        self._enlarged.raise_()


class Enlarged(QDialog):
    """One result, as large as one likes."""

    def __init__(self, kind: str, card: Card) -> None:
        super().__init__(card, Qt.WindowType.Window)
        self._view = make_view(kind)
        self._view.param_edited.connect(card.param_edited)
        self._view.link_activated.connect(card.link_activated)
        body = QVBoxLayout(self)
        body.setContentsMargins(16, 16, 16, 16)
        body.addWidget(self._view)
        self.resize(980, 680)

    def show_result(self, result: dict[str, Any]) -> None:
        self._view.show_result(result)
        self.setWindowTitle(pick(result["title"]))

    def restyle(self, theme: Theme) -> None:
        self._view.restyle(theme)

    def relanguage(self) -> None:
        self._view.retranslate()
        self.setWindowTitle(pick(self._view.result["title"]))


class Veil(QWidget):
    """Tells of a card, by a word in its head, that what it shows is not of the current parameters, and dims
    that without hiding it.

    Never hidden, but of no size: to show or hide one widget in each of a dozen cards lays all of them out a
    dozen times.
    """

    HEAD = 34

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        self._card = card
        self._word, self._dims = "", False
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setGeometry(QRect())

    def cover(self, area: QRect, word: str, dims: bool) -> None:
        """``word`` in the head of ``area``, and the rest dimmed, if ``dims``; nothing for no word."""
        if word or self._word:
            self._word, self._dims = word, dims
            self.setAccessibleName(word)
            self.setGeometry(area if word else QRect())
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        theme = theme_switch.current
        colour = QColor(theme.raised)
        room = self._card.head_room()
        word = room.adjusted(room.width() - self.fontMetrics().horizontalAdvance(self._word) - 6, 0, 0, 0)
        painter.fillRect(word, colour)
        painter.setPen(QColor(theme.muted))
        painter.drawText(word, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self._word)
        if self._dims:
            colour.setAlphaF(0.45)
            painter.fillRect(self.rect().adjusted(1, self.HEAD, -1, -1), colour)
        painter.end()
