"""The note view: a question's page, its table of contents, find in page, and what its links lead to."""

from __future__ import annotations

from functools import cached_property
from html import escape
from itertools import takewhile
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from gui.icons import icon
from gui.language import language_switch
from gui.library.notes import NoteError
from gui.reading.code_block import COPY_LABEL
from gui.reading.contents import WIDTH, Contents
from gui.reading.figure import FigureStore
from gui.reading.formula import FormulaStore
from gui.reading.inline_objects import Drawing, InlineObjects
from gui.reading.note_browser import MARGIN_PX, NoteBrowser
from gui.reading.page import NotePage, banner_html, error_html, foot_html, head_html, missing_html
from gui.reading.page_style import MEASURE_PX
from gui.reading.rendering import Renderer, Rendering, warm_up
from gui.theme import Theme, theme_switch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PySide6.QtCore import QUrl
    from PySide6.QtGui import QResizeEvent

    from gui.library.notes import FrontMatter
    from gui.reading.find_bar import FindBar
    from gui.reading.page import Titled

__all__ = ["ZOOMS", "NotePage", "NoteView"]
ZOOMS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
_EMPTY = Rendering("", (), ())


class NoteView(QWidget):
    """Shows one question. What a link asks for is signalled: this view opens no lab and no other question."""

    note_requested = Signal(str)  # "note:1.2.1-08"
    lab_requested = Signal(str)  # "lab:model/quantization_granularity?bits=4"
    zoom_changed = Signal(float)

    def __init__(
        self,
        content_dir: Path,
        figures_dir: Path,
        cache_dir: Path,
        parent: QWidget | None = None,
        open_url: Callable[[str], object] | None = None,
    ) -> None:
        """``open_url`` opens a web address once the reader has agreed; the desktop's browser by default."""
        super().__init__(parent)
        self._open_url = open_url or _open_in_browser
        self._formulas = FormulaStore(cache_dir / "formulas")
        self._figures = FigureStore()
        self._renderer = Renderer(cache_dir, self._formulas)
        self._drawing = Drawing(
            theme_switch.current, language_switch.current, MEASURE_PX, content_dir, figures_dir
        )
        self._page: NotePage | None = None
        self._rendering = _EMPTY
        self._html = ""
        self._zoom = 1.0
        self._narrow = False
        self._terms: list[str] = []
        self.browser = NoteBrowser(InlineObjects(self._drawing, self._formulas, self._figures), self)
        self.contents = Contents(self)
        self.contents_button = QToolButton(self.browser)
        self._contents_menu = QMenu(self)
        self._lay_out()
        self._connect()
        self._restyle()
        self._retranslate()

    # --- pages

    def show_page(self, page: NotePage, position: float | None = None) -> None:
        """Show a question from ``position``: by default its top, or where one is if it is already shown."""
        same = self._page is not None and self._page.id == page.id
        if position is None:
            position = self.scroll() if same else 0.0
        self._page = page
        self._terms = self._terms if same else []
        self._render(position)

    def set_labs(self, labs: Sequence[Titled], titles: Mapping[str, tuple[str, str]]) -> None:
        """The labs of the page shown and the titles of all, once known; the reading position stays."""
        page, front = self._page, self._rendering.front
        if page is None:
            return
        self._page, named = page._replace(labs=labs, lab_titles=titles), front.labs if front else ()
        if self._page.labs_with(named) != page.labs_with(named):
            self.show_page(self._page)

    def highlight(self, text: str) -> None:
        """Mark the words of a search that led here, and go to the first."""
        self._terms = text.split()
        if self.browser.find_all(self._terms):
            self.browser.go_to_hit(0)

    # QWidget.scroll moves pixels and QWidget.find looks windows up: neither is of use on a page.
    def scroll(self) -> float:  # type: ignore[override]
        """Where one is, as heading number + share of the way to the next heading."""
        return self.browser.scroll_position()

    def set_scroll(self, position: float) -> None:
        self.browser.set_scroll_position(position)

    def warm_up(self) -> None:
        """Load in the background what the first note that is not in the cache needs."""
        Thread(target=warm_up, args=(self._formulas,), daemon=True).start()

    # --- zoom

    def zoom(self) -> float:
        return self._zoom

    def set_zoom(self, zoom: float) -> None:
        """1.0 is actual size; kept between the smallest and the largest of ``ZOOMS``."""
        zoom = min(max(zoom, ZOOMS[0]), ZOOMS[-1])
        if zoom != self._zoom:
            self._zoom = zoom
            self._render(self.scroll())
            self._arrange()
            self.zoom_changed.emit(zoom)

    def zoom_in(self) -> None:
        self.set_zoom(next((zoom for zoom in ZOOMS if zoom > self._zoom + 1e-6), ZOOMS[-1]))

    def zoom_out(self) -> None:
        self.set_zoom(next((zoom for zoom in reversed(ZOOMS) if zoom < self._zoom - 1e-6), ZOOMS[0]))

    def zoom_reset(self) -> None:
        self.set_zoom(1.0)

    # --- finding and printing

    def find(self, text: str = "") -> None:  # type: ignore[override]
        """Open the find bar; a selection on the page is what it looks for."""
        selected = self.browser.textCursor().selectedText()
        self.find_bar.open(text or (selected if "\u2029" not in selected else ""))

    @cached_property
    def find_bar(self) -> FindBar:
        """Above the page; made when something is first looked for."""
        from gui.reading.find_bar import FindBar

        bar = FindBar(self.browser, self)
        self._column.insertWidget(0, bar)
        return bar

    def _finding(self) -> bool:
        return "find_bar" in self.__dict__ and not self.find_bar.isHidden()

    def print_to_pdf(self, path: Path | None = None) -> None:
        """Write the page as PDF to ``path``, or to where the reader says."""
        from PySide6.QtWidgets import QFileDialog, QMessageBox

        from gui.reading.printing import print_pdf

        if self._page is None:
            return
        if path is None:
            name, _filter = QFileDialog.getSaveFileName(
                self, self.tr("Print note to PDF"), f"{self._page.id}.pdf", "PDF (*.pdf)"
            )
            if not name:
                return
            path = Path(name)
        title = f"{self._page.id} {self._page.title(language_switch.current)}"
        try:
            html = self._html.replace(COPY_LABEL, "")
            print_pdf(path, html, title, self._drawing, self._formulas, self._figures)
        except OSError as error:
            QMessageBox.warning(self, self.tr("Print note to PDF"), str(error))

    # --- rendering

    def _render(self, position: float) -> None:
        page = self._page
        if page is None:
            return
        language = language_switch.current
        self._drawing.theme = theme_switch.current
        self._drawing.language = language
        front, body = self._body(page)
        head = head_html(page, language, front)
        self._html = f"{head}{body}{foot_html(page, front.related if front else (), language)}"
        html = self._html.replace(COPY_LABEL, escape(self.tr("Copy")))
        whole = position > 0 or bool(self._terms) or self._finding()
        self.browser.show_html(html, self._zoom, whole=whole)
        self._narrow = self.browser.narrow
        self.contents.fill([entry for entry in self._rendering.contents if 2 <= entry[0] <= 3])
        self._arrange()
        self.browser.set_scroll_position(position)
        self._follow()
        if self._finding():
            self.find_bar.search()
        elif self._terms:
            self.browser.find_all(self._terms)

    def _body(self, page: NotePage) -> tuple[FrontMatter | None, str]:
        """The front matter and the body; a note that is missing or broken says so in its place."""
        self._rendering = _EMPTY
        if page.note is None:
            return None, missing_html(page, language_switch.current)
        try:
            text = page.note.read(language_switch.current)
            self._rendering = self._renderer.render(text)
        except NoteError as error:
            return None, error_html(str(error))
        # Figures follow the language of the note, which is not the window's where a twin is missing.
        self._drawing.language = text.language
        return self._rendering.front, banner_html(text) + self._rendering.html

    # --- links

    def _follow_link(self, url: QUrl) -> None:
        address = bytes(url.toEncoded().data()).decode()
        scheme = url.scheme()
        if scheme == "lab":
            self.lab_requested.emit(address)
        elif scheme == "note":
            self.note_requested.emit(address)
        elif scheme == "copy":
            self._copy_code(int(url.path()))
        elif scheme == "figure":
            self._enlarge(unquote(address.removeprefix("figure:")))
        elif scheme in ("http", "https"):
            self._ask_to_open(url.toString())
        elif not scheme and url.hasFragment():
            self.go_to_anchor(unquote(url.fragment()))

    def go_to_anchor(self, anchor: str) -> None:
        """Scroll to a heading or a footnote of the page."""
        self.browser.finish_layout()
        self.browser.scrollToAnchor(anchor)

    def _copy_code(self, index: int) -> None:
        from PySide6.QtGui import QCursor
        from PySide6.QtWidgets import QToolTip

        QGuiApplication.clipboard().setText(self._rendering.code[index])
        QToolTip.showText(QCursor.pos(), self.tr("Copied"), self)

    def _enlarge(self, name: str) -> None:
        from gui.reading.figure_window import FigureWindow

        path = self.browser.objects.figure_path(name)
        if path is not None:
            FigureWindow(path, self._figures, self).show()

    def _ask_to_open(self, address: str) -> None:
        """A web address opens only after the reader has seen it and agreed."""
        from PySide6.QtWidgets import QMessageBox

        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Open in the browser?"))
        box.setText(self.tr("Open this address in the browser?"))
        box.setInformativeText(address)
        box.setStandardButtons(QMessageBox.StandardButton.Open | QMessageBox.StandardButton.Cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.accepted.connect(lambda: self._open_url(address))
        box.open()

    def _show_target(self, url: QUrl) -> None:
        """Where a link leads, before it is clicked."""
        shown = url.toString() if url.scheme() in ("http", "https", "lab", "note") else ""
        self.browser.viewport().setToolTip(escape(shown))

    # --- contents

    def _follow(self) -> None:
        """Mark the heading under which the top of the view lies; a hidden page has no top yet."""
        if not self.browser.isVisible():
            return
        bar, last = self.browser.verticalScrollBar(), len(self.contents.entries) - 1
        if bar.value() >= bar.maximum() > 0:
            self.contents.follow(last)
            return
        line = bar.value() + 40
        reached = sum(1 for _top in takewhile(lambda top: top <= line, self.browser.heading_tops()))
        self.contents.follow(min(reached - 1, last))

    def _arrange(self) -> None:
        """The contents stand beside the page where there is room, else behind a button."""
        wide = self.width() >= MEASURE_PX * self._zoom + WIDTH + 2 * MARGIN_PX
        some = len(self.contents.entries) > 1
        self.contents.setVisible(wide and some)
        self.contents_button.setVisible(some and not wide)
        size = self.contents_button.sizeHint()
        bar = self.browser.verticalScrollBar().sizeHint().width()
        # With the button the page has the whole width, which it may not have been given yet.
        left = self.width() - size.width() - bar - 4
        self.contents_button.setGeometry(left, 6, size.width(), size.height())

    # --- chrome

    def _lay_out(self) -> None:
        self._column = column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.browser, 1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addLayout(column, 1)
        row.addWidget(self.contents)
        self.setProperty("role", "pane")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.contents_button.setMenu(self._contents_menu)
        self.contents_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.contents_button.setIconSize(QSize(18, 18))
        self.contents_button.hide()
        self.contents.hide()
        self.setFocusProxy(self.browser)

    def _connect(self) -> None:
        self.browser.anchorClicked.connect(self._follow_link)
        self.browser.highlighted.connect(self._show_target)
        self.browser.scrolled.connect(self._follow)
        self.browser.zoom_wheeled.connect(lambda step: self.zoom_in() if step > 0 else self.zoom_out())
        self.contents.chosen.connect(self.go_to_anchor)
        self._contents_menu.aboutToShow.connect(lambda: self.contents.fill_menu(self._contents_menu))
        theme_switch.changed.connect(self._theme_changed)
        language_switch.changed.connect(self._language_changed)

    def _theme_changed(self, _theme: Theme) -> None:
        self._restyle()
        self._render(self.scroll())

    def _language_changed(self, _language: str) -> None:
        self._render(self.scroll())

    def _restyle(self) -> None:
        theme = theme_switch.current
        self.contents.restyle()
        if "find_bar" in self.__dict__:
            self.find_bar.restyle()
        self.contents_button.setIcon(icon("toc", theme.muted))
        self.contents_button.setStyleSheet(
            f"QToolButton {{ background: {theme.paper}; border: 1px solid {theme.rule}; border-radius: 6px;"
            " padding: 4px; } QToolButton::menu-indicator { image: none; }"
        )

    def _retranslate(self) -> None:
        self.contents_button.setToolTip(self.tr("Contents"))
        self.contents_button.setAccessibleName(self.tr("Contents"))
        self.browser.setAccessibleName(self.tr("Note"))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()
        # The layout moves the browser only after this event.
        if (layout := self.layout()) is not None:
            layout.activate()
        if self.browser.narrow != self._narrow:
            self._render(self.scroll())


def _open_in_browser(address: str) -> None:
    from PySide6.QtCore import QUrl
    from PySide6.QtGui import QDesktopServices

    QDesktopServices.openUrl(QUrl(address))
