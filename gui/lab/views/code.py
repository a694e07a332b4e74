"""Code in panes whose lines belong together: side by side where there is room, else behind tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from gui.lab.code.document import LineMark, in_lines
from gui.lab.code.pane import CodePane
from gui.lab.playback.clock import Follower
from gui.lab.views.line_links import LineLinks
from gui.lab.views.pane_tabs import PaneTabs
from gui.lab.views.view import View, csv_text, pick

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent, QResizeEvent

    from gui.theme import Theme

LEAST_PANE = 330  # px: some fifty characters
# Language, whether it can be edited, and which of several such panes: who it is from result to result.
PaneKey = tuple[str, bool, int]
LEAST, MOST_LINES = 90, 30  # height in px, lines in sight


class PaneRow(QSplitter):
    """As tall as the longest of the panes in sight."""

    def __init__(self, view: CodeView) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._view = view
        self.setChildrenCollapsible(False)
        self.setHandleWidth(8)
        self.setStyleSheet("QSplitter::handle { background: transparent }")

    def sizeHint(self) -> QSize:
        shown = [pane for _, pane in self._view.made() if not pane.isHidden()]
        return QSize(380, max(LEAST, *(pane.fitting_height(MOST_LINES) for pane in shown), 0))


class CodeView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self._keys: list[PaneKey] = []
        self.panes: list[CodePane | None] = []  # None: was not in sight yet
        self.links = LineLinks([])
        self._pointed: tuple[int, int] | None = None  # pane and line
        self._shown_line = 0
        self.tabs = PaneTabs()
        self.tabs.chosen.connect(self._show_chosen)
        self.splitter = PaneRow(self)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 6, 0)
        body.setSpacing(4)
        body.addWidget(self.tabs)
        body.addWidget(self.splitter, 1)

    def controls(self) -> list[QWidget]:
        return [self.tabs, *(button for _, pane in self.made() for button in pane.buttons())]

    def made(self) -> list[tuple[int, CodePane]]:
        """The panes that have been in sight, with their places: to make one takes a while."""
        return [(place, pane) for place, pane in enumerate(self.panes) if pane is not None]

    def show_result(self, result: dict[str, Any]) -> None:
        panes = result["panes"]
        keys = _keys(panes)
        if keys != self._keys:
            self._arrange(keys)
        self.follower.follow(str(result.get("clock") or ""))
        self.links = LineLinks(panes)
        self._pointed = None
        super().show_result(result)
        self._fit_columns()
        self.clock_moved()

    def _arrange(self, keys: list[PaneKey]) -> None:
        """Panes that there were stay, with what is typed in them and the keyboard's focus: a kernel that does
        not compile has fewer panes, and its source is the same."""
        left = dict(zip(self._keys, self.panes, strict=True))
        self._keys, self.panes = keys, [left.pop(key, None) for key in keys]
        for gone in left.values():
            if gone is not None:
                gone.hide()
                gone.setParent(None)
                gone.deleteLater()
        for index, (_, pane) in enumerate(self.made()):
            self.splitter.insertWidget(index, pane)
        self.tabs.set_panes(keys)

    def _make(self, place: int) -> None:
        """A pane comes into sight for the first time."""
        language, editable, _ = self._keys[place]
        pane = CodePane(language, editable=editable)
        pane.editor.pointed.connect(lambda line: self._pointed_in(pane, line))
        pane.run_asked.connect(lambda text: self._run(pane, text))
        pane.editor.line_chosen.connect(lambda line, way: self._go_on_line(pane, line, way))
        pane.restyle(self.theme)
        self.panes[place] = pane
        self._fill(place, pane)
        self.splitter.insertWidget([made for made, _ in self.made()].index(place), pane)

    def _fill(self, place: int, pane: CodePane) -> None:
        shown = self.result["panes"][place]
        pane.editor.plays = self.follower.clock is not None
        pane.show_name(pick(shown["name"]))
        marks = shown.get("marks") or []
        pane.show_text(shown["text"], [_line_mark(mark) for mark in marks])

    def _run(self, pane: CodePane, text: str) -> None:
        self.param_edited.emit(self.result["panes"][self.panes.index(pane)]["edits"], text)

    def _pointed_in(self, pane: CodePane, line: int) -> None:
        if pane in self.panes:  # one that goes away is left by the pointer
            self.point(self.panes.index(pane), line)

    def redraw(self) -> None:
        self.tabs.show_names([pick(pane["name"]) for pane in self.result["panes"]])
        for place, pane in self.made():
            self._fill(place, pane)
        self._show_lines()
        self.updateGeometry()

    def restyle(self, theme: Theme) -> None:
        for _, pane in self.made():
            pane.restyle(theme)
        super().restyle(theme)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """What a pane leaves: the keys that play."""
        clock = self.follower.clock
        if clock is None or not clock.player.take_key(event):
            super().keyPressEvent(event)

    # Columns

    def _fit_columns(self) -> None:
        fit = max(1, self.width() // LEAST_PANE)
        self.tabs.set_columns(min(fit, max(1, len(self.panes))))
        self._show_chosen()
        self.updateGeometry()

    def _show_chosen(self) -> None:
        shown = self.tabs.shown()
        for place in shown:
            if self.panes[place] is None:
                self._make(place)
        for place, pane in self.made():
            pane.setVisible(place in shown)
        self._show_lines()
        self.splitter.updateGeometry()
        self.splitter.setSizes([1000 if place in shown else 0 for place, _ in self.made()])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit_columns()

    def minimumSizeHint(self) -> QSize:
        return QSize(200, LEAST)

    # Linked lines

    def clock_moved(self) -> None:
        """The line at which the trace stands, and what belongs to it."""
        line = self.follower.figure("line")
        self._shown_line = int(line) if line is not None else 0
        self._show_lines()
        if self._shown_line:
            self._follow(0, self._shown_line, scroll_itself=True)

    def _go_on_line(self, pane: CodePane, line: int, way: int) -> None:
        """The trace to the next event (or the one before) at a line, round the end."""
        clock, place = self.follower.clock, self.panes.index(pane)
        source = self.links.source(place, self._base_line(place, line))
        if clock is None or not source or "line" not in clock.trace.get("columns", {}):
            return
        events = np.flatnonzero(np.asarray(clock.trace["columns"]["line"]) == source)
        beyond = events[events > clock.cursor] if way > 0 else events[events < clock.cursor][::-1]
        if len(events):
            clock.player.pause()
            clock.seek(int(beyond[0] if len(beyond) else events[0 if way > 0 else -1]))

    def point(self, place: int, line: int) -> None:
        """The reader looks at a line of a pane; 0: at none any more."""
        self._pointed = (place, line) if line else None
        self._show_lines()
        if line:
            self._follow(place, self._base_line(place, line), scroll_itself=False)
        for other, pane in self.made():
            pane.tell(line if other == place else 0)

    def _base_line(self, place: int, line: int) -> int:
        pane = self.panes[place]
        return pane.document.base_line(line) if pane is not None else 0

    def _show_lines(self) -> None:
        for place, pane in self.made():
            linked: frozenset[int] = frozenset()
            if self._pointed is not None:
                source, line = self._pointed
                linked = _now(pane, self.links.linked(source, self._base_line(source, line), place))
                if place == source:
                    linked |= {line}
            strong = _now(pane, self.links.linked(0, self._shown_line, place))
            pane.editor.show_lines(linked, strong)

    def _follow(self, place: int, line: int, *, scroll_itself: bool) -> None:
        for other, pane in self.made():
            typing = pane.document.modified and pane.editor.hasFocus()
            if (other != place or scroll_itself) and not typing:
                pane.editor.bring_into_sight(sorted(_now(pane, self.links.linked(place, line, other))))

    def to_csv(self) -> str:
        header = [
            self.tr("pane"),
            self.tr("line"),
            self.tr("text"),
            self.tr("comes from line"),
            self.tr("marks"),
        ]
        return csv_text(header, (row for pane in self.result["panes"] for row in _rows(pane)))


def _keys(panes: list[dict[str, Any]]) -> list[PaneKey]:
    kinds = [(pane["language"], bool(pane.get("edits"))) for pane in panes]
    return [(*kind, kinds[:place].count(kind)) for place, kind in enumerate(kinds)]


def _line_mark(mark: dict[str, Any]) -> LineMark:
    return LineMark(mark["line"], pick(mark["text"]), mark["role"])


def _now(pane: CodePane, lines: Any) -> frozenset[int]:
    """Lines of the result as those of the text, which the reader may have edited."""
    found = np.asarray(lines).tolist()
    if pane.document.modified:
        found = [pane.document.line_of_base(line) for line in found]
    return frozenset(line for line in found if line)


def _rows(pane: dict[str, Any]) -> list[list[Any]]:
    links, marks = pane.get("links"), pane.get("marks") or []
    rows = []
    lines = in_lines(pane["text"]).split("\n") if pane["text"] else []
    for number, text in enumerate(lines, start=1):
        told = "; ".join(f"{one['role']}: {pick(one['text'])}" for one in marks if one["line"] == number)
        link = int(links[number - 1]) if links is not None else 0
        rows.append([pick(pane["name"]), number, text, link or "", told])
    return rows
