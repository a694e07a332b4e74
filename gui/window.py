"""The main window: outline, note and lab side by side, and the places one has been.

Long because every command ends here, in a short method of its own; what can stand alone has its own file.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QCoreApplication, QEvent, Qt, QTimer, Slot
from PySide6.QtWidgets import QMainWindow, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from gui.commands import COMMANDS, CommandSet
from gui.lab.warm_up import WarmUp
from gui.language import language_switch
from gui.library.database import LibraryError
from gui.library.lab_index import LabIndex
from gui.library.study import Place
from gui.pane_widths import PaneWidths
from gui.reading.note_view import NotePage, NoteView
from gui.reading.outline_model import Marks
from gui.reading.outline_tree import OutlineTree
from gui.theme import DARK, LIGHT, theme_switch
from gui.top_bar import TopBar
from gui.unsaved import stored, tell_unsaved

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QCloseEvent, QPaintEvent

    from gui.finder import Finder
    from gui.lab.panel import LabPanel
    from gui.lab.worker.client import WorkerClient
    from gui.library.library import Library
    from gui.library.outline import Node
    from gui.library.search import SearchIndex
    from gui.reading.overview import OverviewPage


# What the first lab and the first search need is loaded when the window has been there for a moment.
AFTER_PAINT_MS = 100


class MainWindow(QMainWindow):
    """Places are outline nodes; a lab stands beside the place from which it was opened.

    What is connected while the window is on show is a ``Slot``: a method that is none becomes one when it is
    connected, which makes Qt take the window for one of a new class, style it and paint it once more.
    """

    def __init__(self, library: Library, make_client: Callable[[], WorkerClient]) -> None:
        """``make_client`` is called once, when the worker is first needed: after the first paint."""
        super().__init__()
        self.library = library
        self._make_client = make_client
        self.labs = LabIndex(library.outline, [], [])
        self.marks = Marks(notes=set(library.notes), read=set(library.study.read_marks()))
        self.commands = CommandSet(self, self._callbacks())
        self.commands.fill_menu_bar(self.menuBar())
        self.tree = OutlineTree(library.outline, self.marks)
        self.note = NoteView(library.content, library.figures, library.cache)
        self.lab: LabPanel | None = None
        self._once_described: Callable[[], object] | None = None
        self._visited: list[str] = []
        self._at = -1
        self._unsaved: dict[str, Place] = {}  # the latest of each node, in the order of the visits
        self._told: set[str] = set()
        self._painted = False
        self._indexing: Thread | None = None
        self._index: SearchIndex | None = None
        self._lay_out()
        self._connect()
        self._restore()

    # --- layout

    def _lay_out(self) -> None:
        self.reader = QStackedWidget()
        self.reader.setProperty("role", "pane")
        self.reader.addWidget(self.note)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setHandleWidth(1)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.tree)
        self.splitter.addWidget(self.reader)
        self.tree.setMinimumWidth(210)
        self.reader.setMinimumWidth(320)
        self.splitter.setStretchFactor(1, 1)
        self.widths = PaneWidths(self.splitter, self.library.study)
        self.top_bar = TopBar(self.commands)
        body = QWidget()
        box = QVBoxLayout(body)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.top_bar)
        box.addWidget(self.splitter, 1)
        self.setCentralWidget(body)
        self.setWindowTitle("InferLab")
        self.resize(1280, 800)

    def _connect(self) -> None:
        self.tree.activated.connect(self.open_node)
        self.note.note_requested.connect(self._open_note_link)
        self.note.lab_requested.connect(self.open_lab)

    @cached_property
    def client(self) -> WorkerClient:
        """Speaks to the worker that runs the labs."""
        client = self._make_client()
        client.labs.connect(self._labs_described)
        client.crashed.connect(self._no_labs)
        client.ready.connect(self.top_bar.set_environment)
        return client

    @cached_property
    def overview(self) -> OverviewPage:
        """The page of what is no question; made when one first goes to such a place."""
        from gui.reading.overview import OverviewPage

        page = OverviewPage()
        page.node_requested.connect(self.open_node)
        page.lab_requested.connect(self.open_lab)
        self.reader.addWidget(page)
        return page

    def _callbacks(self) -> dict[str, Callable[[], object]]:
        return {
            "file.model": self.choose_model,
            "file.default_model": lambda: self.use_model(None),
            "file.print": lambda: self.note.print_to_pdf(),
            "file.quit": self.close,
            "go.search": lambda: self.finder.search(),
            "go.filter": self._focus_filter,
            "go.labs": self.pick_lab,
            "go.back": lambda: self._travel(-1),
            "go.forward": lambda: self._travel(1),
            "go.previous": lambda: self._neighbour(-1),
            "go.next": lambda: self._neighbour(1),
            "note.find": lambda: self.note.find(),
            "note.read": self._toggle_read,
            "note.zoom_in": lambda: self.note.zoom_in(),
            "note.zoom_out": lambda: self.note.zoom_out(),
            "note.zoom_reset": lambda: self.note.zoom_reset(),
            "lab.run": lambda: self._with_lab(lambda lab: lab.run_exact()),
            "lab.stop": lambda: self._with_lab(lambda lab: lab.stop()),
            "lab.reset": lambda: self._with_lab(lambda lab: lab.form.reset()),
            "lab.link": lambda: self._with_lab(lambda lab: lab.copy_link()),
            "lab.source": lambda: self._with_lab(lambda lab: lab.show_source(True)),
            "lab.close": lambda: self._show_lab(False),
            "view.outline": lambda: self._show_pane(self.tree, "view.outline"),
            "view.note": lambda: self._show_pane(self.reader, "view.note"),
            "view.lab": lambda: self._show_lab(self.commands["view.lab"].isChecked()),
            "view.dark": lambda: self.set_dark(self.commands["view.dark"].isChecked()),
            "view.language": lambda: self.set_language("en" if language_switch.current == "zh" else "zh"),
            "help.commands": lambda: self.finder.pick_command(),
            "help.keys": self._show_keys,
            "help.about": self._about,
        }

    # --- places

    @Slot(str)
    def open_node(self, node_id: str) -> None:
        """Show an outline node; an unknown id is ignored (an old link or bookmark)."""
        if node_id not in self.library.outline.nodes:
            return
        self._remember_scroll()
        if self._at < 0 or self._visited[self._at] != node_id:
            self._visited[self._at + 1 :] = [node_id]
            self._at = len(self._visited) - 1
        self._arrive()

    def _arrive(self) -> None:
        """Show the place that one has just gone to; where the last one was left has been remembered."""
        node_id = self._visited[self._at]
        self._show(self.library.outline.nodes[node_id])
        self.tree.select(node_id)
        self._name_window()
        self._leave(Place(node_id, self._scroll_of(node_id)))
        self._update_commands()
        # Behind the paint: a commit waits for the disk, 2 ms and more.
        QTimer.singleShot(0, self._save_places)

    def _name_window(self) -> None:
        """Among other windows, by what is read in it."""
        if node := self.current_node():
            self.setWindowTitle(f"{node.id} {node.title(language_switch.current)} – InferLab")

    def _show(self, node: Node) -> None:
        if node.kind == "question":
            self.note.show_page(self._page(node), self._scroll_of(node.id))
            self.reader.setCurrentWidget(self.note)
        else:
            self.overview.show_node(node, self.marks, self.labs.under(node))
            self.reader.setCurrentWidget(self.overview)
        if self.reader.isHidden():
            self.commands["view.note"].setChecked(True)
            self._show_pane(self.reader, "view.note")

    def _page(self, node: Node) -> NotePage:
        outline = self.library.outline
        section = outline.section_of(node.id)
        assert section is not None, "a question is always in a section"
        siblings = self.tree.model.questions_below(section)
        written = [other for other in siblings if other in self.library.notes and other != node.id]
        crumbs: list[Node] = []
        above = node.parent
        while above is not None:
            crumbs.insert(0, above)
            above = above.parent
        note = self.library.notes.get(node.id)
        return NotePage(
            id=node.id,
            title_zh=node.title_zh,
            title_en=node.title_en,
            breadcrumb=[(crumb.id, crumb.title_zh, crumb.title_en) for crumb in crumbs],
            note=note,
            section_notes=[(other, *self._titles[other]) for other in written],
            labs=[(lab["id"], lab["title"]["zh"], lab["title"]["en"]) for lab in self.labs.of_question(node)],
            titles=self._titles,
            lab_titles=self.labs.titles,
        )

    @cached_property
    def _titles(self) -> dict[str, tuple[str, str]]:
        """Of all questions, in the order of the outline."""
        return {node.id: (node.title_zh, node.title_en) for node in self.library.outline.questions}

    def current_node(self) -> Node | None:
        return self.library.outline.nodes[self._visited[self._at]] if self._at >= 0 else None

    def _remember_scroll(self) -> None:
        node = self.current_node()
        if node and node.kind == "question" and self.reader.currentWidget() is self.note:
            self._leave(Place(node.id, self.note.scroll()))

    def _leave(self, place: Place) -> None:
        self._unsaved.pop(place.node_id, None)
        self._unsaved[place.node_id] = place

    def _scroll_of(self, node_id: str) -> float:
        unsaved = self._unsaved.get(node_id)
        return unsaved.scroll if unsaved else self.library.study.scroll_of(node_id)

    @Slot()
    def _save_places(self) -> None:
        self._store_unasked(self._store_places)

    def _store_places(self) -> None:
        """Those that cannot be stored are kept, to be stored with the next."""
        if self._unsaved:
            self.library.study.remember_place(*self._unsaved.values())
            self._unsaved.clear()

    def _store_unasked(self, store: Callable[[], object], wait: bool = False) -> None:
        """Of what nobody asked to have stored, each reason is told once: a full disk stays full, and places
        are stored at every step."""
        try:
            store()
        except LibraryError as error:
            if str(error) not in self._told:
                self._told.add(str(error))
                tell_unsaved(self, str(error), wait)

    def _travel(self, step: int) -> None:
        if 0 <= self._at + step < len(self._visited):
            self._remember_scroll()
            self._at += step
            self._arrive()

    def _neighbour(self, step: int) -> None:
        questions = self.library.outline.questions
        node = self.current_node()
        if node is None or node.kind != "question":
            self.open_node(questions[0].id)
            return
        at = questions.index(node) + step
        if 0 <= at < len(questions):
            self.open_node(questions[at].id)

    def _open_note_link(self, link: str) -> None:
        self.open_node(link.removeprefix("note:"))

    def _toggle_read(self) -> None:
        node = self.current_node()
        if node is None or node.kind != "question":
            return
        read = node.id not in self.marks.read
        if stored(self, lambda: self.library.study.mark_read(node.id, read)):
            (self.marks.read.add if read else self.marks.read.discard)(node.id)
            self.tree.refresh_marks()
        self._update_commands()

    def _update_commands(self) -> None:
        node = self.current_node()
        question = node is not None and node.kind == "question"
        self.commands["go.back"].setEnabled(self._at > 0)
        self.commands["go.forward"].setEnabled(self._at < len(self._visited) - 1)
        self.commands["note.read"].setEnabled(question)
        self.commands["note.read"].setChecked(question and node is not None and node.id in self.marks.read)
        lab_open = self.lab is not None and self.lab.isVisibleTo(self)
        for command in COMMANDS:
            if command.menu == "Lab":
                self.commands[command.id].setEnabled(lab_open)
        self.commands["view.lab"].setChecked(lab_open)
        self.commands["view.outline"].setChecked(self.tree.isVisibleTo(self))
        self.commands["view.note"].setChecked(self.reader.isVisibleTo(self))

    # --- labs

    @Slot(object, object)
    def _labs_described(self, labs: list[dict[str, Any]], broken: list[dict[str, str]]) -> None:
        self.labs = LabIndex(self.library.outline, labs, broken)
        self.marks.labs = self.labs.questions()
        self.tree.refresh_marks()
        node = self.current_node()
        if node is not None:
            if node.kind == "question":
                page = self._page(node)
                self.note.set_labs(page.labs, page.lab_titles)
            else:
                self._show(node)
        waiting, self._once_described = self._once_described, None
        if waiting is not None:
            waiting()

    @Slot(str, str)
    def _no_labs(self, text: str, stderr: str) -> None:
        """The lab process has died: said here where a lab was to be opened. Of a run its panel says it."""
        if self._once_described is None:
            return
        self._once_described = None
        from PySide6.QtWidgets import QMessageBox

        box = QMessageBox(QMessageBox.Icon.Warning, self.tr("Labs cannot be opened"), text, parent=self)
        box.setDetailedText(stderr)
        box.open()

    def _wait_for_labs(self, action: Callable[[], object]) -> bool:
        """Whether the worker has yet to name its labs; the latest ``action`` is called once it has."""
        if self.labs.labs or self.labs.broken:
            return False
        self._once_described = action
        self.client.describe()
        return True

    @Slot(str)
    def open_lab(self, link: str, run: bool = True) -> None:
        """Open ``lab:ID?param=value`` beside the note, and run it."""
        if self._wait_for_labs(lambda: self.open_lab(link, run)):
            return
        from gui.lab.link import parse_link

        lab_id, values = parse_link(link)
        panel = self._lab_panel()
        self._show_lab(True)
        description = self.labs.labs.get(lab_id)
        if description is not None:
            panel.open(dict(description), values, run)
        else:
            panel.open_broken(self.labs.broken_entry(lab_id))
        self._update_commands()

    def _lab_panel(self) -> LabPanel:
        if self.lab is None:
            # The first lab pays for numpy and pyqtgraph; the window's start does not.
            from gui.lab.panel import LabPanel

            self.lab = LabPanel(self.client, self.library.runs)
            self.lab.link_activated.connect(self.open_link)
            self.splitter.addWidget(self.lab)
            self.widths.make_room_for_lab(self.splitter.sizes()[0])
        return self.lab

    def _lab_left_open(self) -> str | None:
        """The link of the lab on show, with its values."""
        shown = self.lab is not None and self.lab.isVisibleTo(self) and self.lab.lab in self.labs.labs
        return self.lab.deep_link() if shown and self.lab else None

    def _reopen_lab(self, link: str) -> None:
        """Show a lab as it was left, not run yet; one that is gone since is forgotten."""
        from gui.lab.link import parse_link

        if parse_link(link)[0] in self.labs.labs:
            self.open_lab(link, run=False)

    @Slot(str)
    def open_link(self, link: str) -> None:
        """A ``lab:`` or ``note:`` link from anywhere, or an outline id."""
        if link.startswith("lab:"):
            self.open_lab(link)
        else:
            self._open_note_link(link)

    def _with_lab(self, act: Callable[[LabPanel], object]) -> None:
        if self.lab is not None:
            act(self.lab)

    def _show_lab(self, shown: bool) -> None:
        if shown and self.lab is None:
            self.commands["view.lab"].setChecked(False)
            self.pick_lab()
            return
        if self.lab is not None:
            self.lab.setVisible(shown)
        if not shown and self.reader.isHidden():
            self.reader.show()
        self._update_commands()

    def _show_pane(self, pane: QWidget, command: str) -> None:
        self._store_unasked(self.widths.keep)  # of all panes, as they are before one comes or goes
        pane.setVisible(self.commands[command].isChecked())
        lab_open = self.lab is not None and self.lab.isVisibleTo(self)
        if pane is self.reader and not pane.isVisibleTo(self) and not lab_open:
            pane.show()  # something must stay
        if lab_open:
            self.widths.make_room_for_lab()
        self._update_commands()

    # --- model

    def choose_model(self) -> None:
        from PySide6.QtWidgets import QFileDialog

        folder = QFileDialog.getExistingDirectory(
            self, self.tr("A folder with a Llama- or Qwen-family model")
        )
        if folder:
            self.use_model(Path(folder))

    def use_model(self, path: Path | None) -> None:
        """Measure another model from now on; None is the one that InferLab ships with."""
        stored(self, lambda: self.library.study.set("model", str(path) if path else None))
        self.client.use_model(path)
        self.labs = LabIndex(self.library.outline, [], [])  # their bounds are the model's
        if self.lab is not None and self.lab.isVisibleTo(self) and self.lab.lab:
            self.open_lab(self.lab.deep_link())
        else:
            self.client.describe()

    # --- finding

    @cached_property
    def finder(self) -> Finder:
        """Made when something is first searched for."""
        from gui.finder import Finder

        finder = Finder(self, self.library, self.commands, self._opened_index)
        finder.picker.picked.connect(self._picked)
        return finder

    def pick_lab(self) -> None:
        """Offer every lab."""
        if self._wait_for_labs(self.pick_lab):
            return
        self.finder.pick_lab(self.labs)

    @Slot(object)
    def _picked(self, key: tuple[str, ...]) -> None:
        if key[0] == "note":
            self.open_node(key[1])
            self.note.highlight(key[2])
        elif key[0] == "lab":
            self.open_lab(f"lab:{key[1]}")
        else:
            self.commands[key[1]].trigger()

    def _focus_filter(self) -> None:
        self.commands["view.outline"].setChecked(True)
        self._show_pane(self.tree, "view.outline")
        self.tree.filter.setFocus()
        self.tree.filter.selectAll()

    # --- settings

    def set_dark(self, dark: bool) -> None:
        theme_switch.apply(DARK if dark else LIGHT)
        self.commands["view.dark"].setChecked(dark)
        stored(self, lambda: self.library.study.set("theme", theme_switch.current.name))

    def set_language(self, language: str) -> None:
        language_switch.apply("zh" if language == "zh" else "en")
        stored(self, lambda: self.library.study.set("language", language_switch.current))

    def _restore(self) -> None:
        study = self.library.study
        self.commands["view.dark"].setChecked(theme_switch.current.dark)
        geometry = study.get("geometry")
        if geometry:
            self.restoreGeometry(QByteArray.fromBase64(geometry.encode()))
        self.widths.set_without_lab(self.width())
        self.note.set_zoom(float(study.get("zoom", 1.0)))
        place = study.last_place()
        node_id = place.node_id if place else None
        if node_id not in self.library.outline.nodes:
            first = next(iter(self.library.notes), self.library.outline.questions[0].id)
            node_id = first
        self.open_node(node_id)
        # Beside the note being read, the outline shows what else there is.
        self._update_commands()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(AFTER_PAINT_MS, self._after_first_paint)

    @Slot()
    def _after_first_paint(self) -> None:
        # What speaks to the worker imports MessagePack: 20 ms for which the window would not answer.
        messages = Thread(target=import_module, args=("msgspec",), daemon=True)
        messages.start()
        self._ask_for_labs(messages)
        if self.library.notice:
            from PySide6.QtWidgets import QMessageBox

            QMessageBox.warning(self, "InferLab", self.library.notice)
            self.library.notice = None

    def _ask_for_labs(self, messages: Thread) -> None:
        if messages.is_alive():
            QTimer.singleShot(10, lambda: self._ask_for_labs(messages))
        elif self.isVisible():
            left_open = self.library.study.get("lab")
            if left_open and self._once_described is None and self.lab is None:
                self._once_described = lambda: self._reopen_lab(left_open)
            self.client.describe()
            self.note.warm_up()
            WarmUp(self)
            self._indexing = Thread(target=self._index_ahead, name="index")
            self._indexing.start()

    def _index_ahead(self) -> None:
        """So that the first search finds the index written, open and checked. Runs on a thread of its own."""
        from gui.library.note_index import open_index

        library = self.library
        index = open_index(library.content, library.cache, library.outline, library.notes)
        index.search("a", "en", limit=1)  # what is compiled and read at first use
        self._index = index

    def _opened_index(self) -> SearchIndex:
        """Waits while it is being opened; a search before that thread has begun opens it itself."""
        if self._indexing is not None:
            self._indexing.join()
        if self._index is None:
            self._index_ahead()
        assert self._index is not None
        return self._index

    def _show_keys(self) -> None:
        from gui.key_help import show_keys

        show_keys(self, self.commands)

    def _about(self) -> None:
        from PySide6.QtWidgets import QMessageBox

        text = self.tr(
            "InferLab {version}\nLLM inference optimisation: a study and lab desk.\n"
            "Every number shown can be run, traced, or cited."
        )
        QMessageBox.about(self, "InferLab", text.format(version=QCoreApplication.applicationVersion()))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.commands.retranslate()
            self._name_window()
        super().changeEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        try:
            self._save_all()
        finally:
            self._end()
            super().closeEvent(event)

    def _save_all(self) -> None:
        """What can be: one thing that cannot be stored does not take the next with it."""
        self._remember_scroll()
        study = self.library.study
        geometry = bytes(self.saveGeometry().toBase64().data()).decode()
        for store in (
            self._store_places,
            lambda: study.set("geometry", geometry),
            lambda: study.set("zoom", self.note.zoom()),
            lambda: study.set("lab", self._lab_left_open()),
            self.widths.keep,
        ):
            self._store_unasked(store, wait=True)

    def _end(self) -> None:
        """No process and no thread outlives the window."""
        if "client" in self.__dict__:
            self.client.shutdown()
        if self._indexing is not None:
            self._indexing.join()
        if self._index is not None:
            self._index.close()
            self._index = self._indexing = None
