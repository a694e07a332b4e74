"""Run and Stop, how far the run is, and the ways out of it: reset, link, source, history, export."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.icons import icon
from gui.lab.layouts.elided import Elided
from gui.theme import Theme, theme_switch

if TYPE_CHECKING:
    from collections.abc import Callable

EXPORTS = ("html", "json", "csv", "png", "svg")
TICK_MS = 100
# Below this width the buttons on the right show icons without words.
ROOMY = 700


class RunBar(QWidget):
    run_asked = Signal()
    stop_asked = Signal()
    reset_asked = Signal()
    link_asked = Signal()
    source_asked = Signal(bool)
    runs_asked = Signal(bool)
    export_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.run_button = QPushButton()
        self.run_button.setProperty("role", "primary")
        self.run_button.clicked.connect(self.run_asked)
        self.stop_button = QPushButton()
        self.stop_button.setEnabled(False)
        self.stop_button.clicked.connect(self.stop_asked)
        self._status = Elided()
        self._status.setProperty("role", "muted")
        self.reset_button = self._tool("reset", self.reset_asked.emit)
        self.link_button = self._tool("link", self.link_asked.emit)
        self.source_button = self._tool("code", None)
        self.source_button.setCheckable(True)
        self.source_button.clicked.connect(self.source_asked)
        self.runs_button = self._tool("history", None)
        self.runs_button.setCheckable(True)
        self.runs_button.clicked.connect(self.runs_asked)
        self.export_button = self._tool("export", None)
        self.export_button.setMenu(QMenu(self))
        self.export_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._line = ProgressLine()
        row = QHBoxLayout()
        row.setContentsMargins(16, 6, 12, 6)
        row.setSpacing(6)
        row.addWidget(self.run_button)
        row.addWidget(self.stop_button)
        row.addWidget(self._status, 1)
        self._tool_row = QHBoxLayout()
        for button in self._tools():
            self._tool_row.addWidget(button)
        row.addLayout(self._tool_row)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(0)
        body.addLayout(row)
        body.addWidget(self._line)
        self._began = 0.0
        self._text = ""
        self._ended: tuple[str, float] | None = None  # what the status says, if that is how a run ended
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self._show_elapsed)
        self.retranslate()
        self.restyle(theme_switch.current)

    def _tool(self, name: str, slot: Callable[[], None] | None) -> QToolButton:
        button = QToolButton()
        button.setProperty("icon_name", name)
        button.setIconSize(QSize(16, 16))
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        if slot is not None:
            button.clicked.connect(slot)
        return button

    def _tools(self) -> list[QToolButton]:
        return [self.reset_button, self.link_button, self.source_button, self.runs_button, self.export_button]

    def show_running(self, text: str = "") -> None:
        """A run has been asked for."""
        self._began, self._text = time.monotonic(), text
        self.stop_button.setEnabled(True)
        self._line.show_fraction(None)
        self._tick.start()
        self._show_elapsed()

    def show_progress(self, fraction: float | None, text: str) -> None:
        self._text = text
        self._line.show_fraction(fraction)
        self._show_elapsed()

    def show_ended(self, status: str, seconds: float = 0.0) -> None:
        """``done``, ``stopped``, ``killed`` or ``failed``, said again when the language changes; else nothing
        is said."""
        self._tick.stop()
        self.stop_button.setEnabled(False)
        self._line.finish()
        self._say_ended(status, seconds)

    def _say_ended(self, status: str, seconds: float) -> None:
        words = {
            "done": self.tr("Done in {seconds} s").format(seconds=f"{seconds:.2f}"),
            "stopped": self.tr("Stopped. What is shown stays."),
            "killed": self.tr("Stopped: the run did not answer, so its process was replaced."),
            "failed": self.tr("Failed"),
        }
        self.show_status(words.get(status, ""))
        self._ended = (status, seconds)

    def show_stopping(self) -> None:
        """Where nothing runs, nothing is said: no end would come to take it back."""
        if not self._tick.isActive():
            return
        self._text = self.tr("Stopping…")
        self.stop_button.setEnabled(False)
        self._show_elapsed()

    def show_status(self, text: str) -> None:
        self._ended = None
        self._status.show_text(text)

    @property
    def status(self) -> str:
        return self._status.full_text

    def _show_elapsed(self) -> None:
        elapsed = time.monotonic() - self._began
        parts = [self._text or self.tr("Running…"), f"{elapsed:.1f}\u00a0s"]
        self.show_status(" · ".join(parts))
        self._line.tick()

    def set_can_run(self, can: bool) -> None:
        self.run_button.setEnabled(can)

    def restyle(self, theme: Theme) -> None:
        self.run_button.setIcon(icon("play", theme.accent_ink))
        self.stop_button.setIcon(icon("stop"))
        for button in self._tools():
            button.setIcon(icon(str(button.property("icon_name"))))
        self._line.update()

    def retranslate(self) -> None:
        self.run_button.setText(self.tr("Run"))
        self.run_button.setToolTip(self.tr("Run exactly with these values (Ctrl+Return)"))
        self.run_button.setShortcut("Ctrl+Return")
        self.stop_button.setText(self.tr("Stop"))
        self.stop_button.setToolTip(self.tr("Stop the run; what is shown stays"))
        words = {
            self.reset_button: (self.tr("Reset"), self.tr("All values back to their defaults")),
            self.link_button: (self.tr("Link"), self.tr("Copy a link to this lab with these values")),
            self.source_button: (self.tr("Code"), self.tr("Show the code of this lab")),
            self.runs_button: (self.tr("Runs"), self.tr("Stored runs of this lab: reopen, compare")),
            self.export_button: (self.tr("Export"), self.tr("Save this run: HTML, JSON, CSV, picture")),
        }
        for button, (word, tip) in words.items():
            button.setText(f"\u2009{word}")  # Qt leaves too little room after the icon
            button.setToolTip(tip)
            button.setAccessibleName(word)
            button.setAccessibleDescription(tip)
        self._fill_export()
        if self._ended is not None:
            self._say_ended(*self._ended)

    def _fill_export(self) -> None:
        menu = self.export_button.menu()
        menu.clear()
        names = {
            "html": self.tr("Web page, one file (HTML)…"),
            "json": self.tr("All data (JSON)…"),
            "csv": self.tr("Tables (CSV in a ZIP)…"),
            "png": self.tr("Picture (PNG)…"),
            "svg": self.tr("Vector picture (SVG)…"),
        }
        for kind in EXPORTS:
            menu.addAction(names[kind], partial(self.export_asked.emit, kind))

    def resizeEvent(self, event: object) -> None:
        roomy = self.width() >= ROOMY
        style = (
            Qt.ToolButtonStyle.ToolButtonTextBesideIcon if roomy else Qt.ToolButtonStyle.ToolButtonIconOnly
        )
        for button in self._tools():
            button.setToolButtonStyle(style)
        self._tool_row.setSpacing(6 if roomy else 0)  # in the narrowest panel Run and Stop need that room

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)


class ProgressLine(QWidget):
    """Three pixels of progress along the bar's lower edge; a moving piece where the end is not known."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(3)
        self._active = False
        self._fraction: float | None = None
        self._phase = 0.0

    def show_fraction(self, fraction: float | None) -> None:
        self._active, self._fraction = True, fraction
        self.update()

    def tick(self) -> None:
        if self._active and self._fraction is None:
            self._phase = (self._phase + 0.07) % 1.0
            self.update()

    def finish(self) -> None:
        self._active = False
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_switch.current
        painter = QPainter(self)
        painter.fillRect(0, self.height() - 1, self.width(), 1, QColor(theme.rule))
        if self._active:
            colour = QColor(theme.accent)
            if self._fraction is None:
                left = round((self._phase * 1.3 - 0.3) * self.width())
                painter.fillRect(left, 0, round(self.width() * 0.3), 3, colour)
            else:
                painter.fillRect(0, 0, round(self.width() * min(1.0, max(0.0, self._fraction))), 3, colour)
        painter.end()
