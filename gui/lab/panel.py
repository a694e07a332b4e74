"""One lab on the screen: what it is, its form, its run, its results; and its stored runs and its source.

Longer than most files: every signal of the parts meets here, and nothing else does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QLabel,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.lab.badge import device_text
from gui.lab.error_place import parameter_of
from gui.lab.export.exporter import Exporter
from gui.lab.export.formats import suggested_name
from gui.lab.form.form import LabForm
from gui.lab.form.preset_chips import PresetChips
from gui.lab.layouts.panes import SIDE_BY_SIDE, Panes
from gui.lab.link import checked_values, make_link
from gui.lab.notice import Notice
from gui.lab.results_area import ResultsArea
from gui.lab.run_bar import RunBar
from gui.lab.runs.history import History
from gui.lab.runs.stored_run import StoredRun, local_time
from gui.lab.source_view import SourceView
from gui.lab.views import import_ahead
from gui.lab.views.view import pick
from gui.lab.worker.run_session import RunSession
from gui.lab.worker.wire import FrameError
from gui.language import language_switch
from gui.library.database import LibraryError
from gui.theme import Theme, theme_switch

if TYPE_CHECKING:
    import threading

    from gui.lab.worker.client import WorkerClient
    from gui.library.runs import Runs


class LabPanel(QWidget):
    """``runs`` None means that nothing is stored."""

    link_activated = Signal(str)
    title_changed = Signal(str)
    exported = Signal(str)  # path of the file

    def __init__(self, client: WorkerClient, runs: Runs | None = None) -> None:
        super().__init__()
        self._runs = runs
        self._description: dict[str, Any] = {}
        self._stored: StoredRun | None = None  # what is shown, when it is not of this session's worker
        self._unreadable: list[Any] = []  # titles of what of it cannot be shown
        self._latest: StoredRun | None = None  # the last exact run
        self._on_notice_action: Any = None
        self._notice_outlives_run = False
        self._session = RunSession(client, self)
        self._exporter = Exporter(self)
        self._importing: threading.Thread | None = None
        self._make_header()
        self._make_body()
        self._connect()
        self.setMinimumWidth(380)

    @property
    def lab(self) -> str:
        return str(self._description.get("id", ""))

    def open(
        self, description: dict[str, Any], values: dict[str, Any] | None = None, run: bool = True
    ) -> None:
        """Show a lab with ``values`` over its defaults (texts from a link are converted; what does not fit is
        told)."""
        self._importing = self._importing or import_ahead()
        self._session.leave()
        same_lab = self.lab == description["id"]
        self._description, self._stored = description, None
        self._pages.setCurrentWidget(self._body)
        if not same_lab:
            self._results.clear()
            self._latest = None
            self.form.set_schema(description["schema"])
            self._chips.show_presets(description.get("presets", []))
        self._notice.hide()
        self._run_bar.show_ended("")
        good, refused = checked_values(description["schema"], values or {})
        self.form.set_values(good)
        self._show_texts()
        self._show_preset()
        self._fit_panes()
        missing = description.get("model_missing")
        self._run_bar.set_can_run(not missing)
        if missing:
            heading = self.tr("This lab needs the model")
            self._notice.show_message("warn", heading, language_switch.pick(missing))
        elif refused:
            self._notice.show_message(
                "warn", self.tr("Some values of the link were not used"), "\n".join(refused)
            )
        self._notice_outlives_run = bool(refused)
        if run and not missing:
            self.run_exact()

    def open_broken(self, broken: dict[str, Any]) -> None:
        """A lab whose file does not import: its traceback, in its own place."""
        self._session.leave()
        name = str(broken.get("id") or broken["file"])
        text = {"zh": broken["file"], "en": broken["file"]}
        self._description = {"id": name, "title": {"zh": name, "en": name}, "summary": text, "schema": {}}
        self._results.clear()
        self._latest = self._stored = None
        self.form.set_schema({})
        self._chips.show_presets([])
        self._run_bar.show_ended("")
        self._run_bar.set_can_run(False)
        self._pages.setCurrentWidget(self._body)
        self._show_texts()
        heading = self.tr("This lab cannot be loaded")
        self._notice.show_message("bad", heading, details=broken["traceback"], unfold=True)
        self._fit_panes()

    def deep_link(self) -> str:
        return make_link(self.lab, self.form.changed_values())

    def run_exact(self) -> None:
        if self.lab:
            self._leave_stored()
            self._session.run_exact(self.lab, self.form.values())

    def stop(self) -> None:
        self._run_bar.show_stopping()
        self._session.stop()

    def shown_run(self) -> StoredRun | None:
        """The run that an export takes: the stored one on show, else the last exact one."""
        return self._stored or self._latest

    def open_stored(self, run: StoredRun) -> None:
        """Show a stored run in the same views, without a worker."""
        self._session.leave()
        self._stored, self._unreadable = run, []
        self._pages.setCurrentWidget(self._body)
        self.form.set_values(checked_values(self._description["schema"], run.record.params)[0])
        self._show_preset()
        self._results.show_stored(run.results, run.record.environment)
        self._run_bar.show_ended("")
        self._say_stored()
        self._show_empty()

    # Parts

    def _make_header(self) -> None:
        self._title = QLabel()
        self._title.setProperty("role", "title")
        self._title.setWordWrap(True)
        self._summary = QLabel()
        self._summary.setProperty("role", "muted")
        self._summary.setWordWrap(True)
        self._header = QWidget()
        column = QVBoxLayout(self._header)
        column.setContentsMargins(16, 12, 16, 6)
        column.setSpacing(3)
        column.addWidget(self._title)
        column.addWidget(self._summary)
        self._run_bar = RunBar()

    def _make_body(self) -> None:
        self.form, self._chips, self._results, self._notice = (
            LabForm(),
            PresetChips(),
            ResultsArea(),
            Notice(),
        )
        self._empty = QLabel()
        self._empty.setProperty("role", "muted")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setMinimumHeight(120)
        self._body = Panes([self._chips, self.form], [self._notice, self._empty, self._results])
        self._source, self._history = SourceView(), History(self._runs)
        self._pages = QStackedWidget()
        for page in (self._body, self._source, self._history):
            self._pages.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._header)
        column.addWidget(self._run_bar)
        column.addWidget(self._pages, 1)

    def _connect(self) -> None:
        self.form.edited.connect(self._on_edited)
        # Once the new form knows how its rows wrap.
        self.form.filled.connect(lambda: QTimer.singleShot(0, self, self._fit_panes))
        self._chips.chosen.connect(self._on_preset)
        self._results.param_edited.connect(self._on_param_edited)
        self._results.link_activated.connect(self.link_activated)
        self._results.saved.connect(self._say_saved)
        self._results.unreadable.connect(self._on_unreadable)
        self._notice.acted.connect(lambda: self._on_notice_action and self._on_notice_action())
        bar, session = self._run_bar, self._session
        bar.run_asked.connect(self.run_exact)
        bar.stop_asked.connect(self.stop)
        bar.reset_asked.connect(self.form.reset)
        bar.link_asked.connect(self.copy_link)
        bar.source_asked.connect(self.show_source)
        bar.runs_asked.connect(self._show_history)
        bar.export_asked.connect(self._export)
        session.began.connect(self._on_began)
        session.upcoming.connect(self._results.prepare)
        session.result.connect(self._on_result)
        session.progress.connect(lambda done, text: bar.show_progress(done, language_switch.pick(text)))
        session.ended.connect(self._on_ended)
        session.failed.connect(self._on_failed)
        session.crashed.connect(self._on_crashed)
        self._history.opened.connect(self.open_stored)
        self._history.closed.connect(lambda: self._show_page(self._body))
        self._exporter.written.connect(self._say_saved)
        self._exporter.written.connect(self.exported)
        self._exporter.failed.connect(
            lambda reason: self._notice.show_message("bad", self.tr("The file was not written"), reason)
        )
        self._pages.currentChanged.connect(self._check_buttons)
        theme_switch.changed.connect(self.restyle)
        language_switch.changed.connect(self.relanguage)

    # What the reader does

    def _on_edited(self, values: dict[str, Any], dragging: bool) -> None:
        self._show_preset()
        if self._description.get("model_missing"):
            return
        self._leave_stored()
        if dragging:
            self._session.run_preview(self.lab, values)
        else:
            self._session.run_exact(self.lab, values)

    def _on_preset(self, values: dict[str, Any]) -> None:
        self.form.set_values(values)
        self._on_edited(self.form.values(), False)

    def _on_param_edited(self, name: str, value: Any) -> None:
        self.form.merge_values({name: value})
        self._on_edited(self.form.values(), False)

    def copy_link(self) -> None:
        QGuiApplication.clipboard().setText(self.deep_link())
        self._run_bar.show_status(self.tr("Link copied: {link}").format(link=self.deep_link()))

    def show_source(self, on: bool) -> None:
        if on:
            self._source.show_source(
                self._description.get("source_path", ""), self._description.get("source", "")
            )
        self._show_page(self._source if on else self._body)

    def _show_history(self, on: bool) -> None:
        if on:
            self._history.show_runs(self._description)
        self._show_page(self._history if on else self._body)

    def _show_page(self, page: QWidget) -> None:
        self._pages.setCurrentWidget(page)
        self._check_buttons()

    def _check_buttons(self) -> None:
        page = self._pages.currentWidget()
        self._run_bar.source_button.setChecked(page is self._source)
        self._run_bar.runs_button.setChecked(page is self._history)

    def _export(self, kind: str) -> None:
        run = self.shown_run()
        if run is None or not run.results:
            self._run_bar.show_status(self.tr("Nothing to export yet: run the lab first."))
            return
        suffix = "zip" if kind == "csv" else kind
        name = suggested_name(run, suffix)
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Export"), name, f"*.{suffix}")
        if path:
            self.export_to(Path(path), kind)

    def export_to(self, path: Path, kind: str) -> None:
        """Write the run on show as ``html``, ``json``, ``csv`` (a ZIP), ``png`` or ``svg``."""
        run = self.shown_run()
        if run is not None:
            self._run_bar.show_status(self.tr("Exporting…"))
            self._exporter.start(path, kind, run, self._description, self._results)

    def _say_saved(self, path: str) -> None:
        self._run_bar.show_status(self.tr("Saved: {path}").format(path=path))

    # What the worker does

    def _on_began(self, preview: bool) -> None:
        if not preview and not self._notice_outlives_run:
            self._notice.hide()
        self._notice_outlives_run = False
        self._results.begin(preview)
        self._run_bar.show_running(self.tr("Preview") if preview else "")
        self._show_empty()

    def _on_result(self, result: dict[str, Any]) -> None:
        self._results.show_result(result, self._session.environment)
        self._show_empty()

    def _on_ended(self, status: str, seconds: float) -> None:
        preview = self._session.preview
        self._results.end(status)
        self._run_bar.show_ended("" if preview else status, seconds)
        if status == "done" and not preview:
            self._keep(seconds)
        self._show_empty()

    def _keep(self, seconds: float) -> None:
        session = self._session
        run = StoredRun.new(
            self.lab, session.params, session.environment, session.started, seconds, self._results.results()
        )
        self._latest = run
        if self._runs is None:
            return
        try:
            self._runs.save(run.record)
        except LibraryError as error:
            self._run_bar.show_status(str(error).splitlines()[0])

    def _on_failed(self, message: dict[str, Any]) -> None:
        self._results.end("failed")
        self._run_bar.show_ended("failed")
        text = language_switch.pick(message["text"])
        if message.get("user_error"):
            name = parameter_of(message["text"])
            if not name or not self.form.show_error(name, text):
                self._notice.show_message("warn", self.tr("This cannot be run"), text)
        else:
            heading = self.tr("The lab failed")
            self._notice.show_message("bad", heading, text, message.get("traceback", ""))
        self._show_empty()

    def _on_crashed(self, text: str, stderr: str) -> None:
        self._results.end("failed")
        self._run_bar.show_ended("failed")
        more = self.tr("What is shown stays. The next run starts a fresh process.")
        self._on_notice_action = self.run_exact
        self._notice.show_message("bad", text, more, stderr, action=self.tr("Run again"))
        self._show_empty()

    # Stored runs

    def _say_stored(self) -> None:
        if self._stored is None:
            return
        record = self._stored.record
        heading = self.tr("Stored run of {time}").format(time=local_time(record.started))
        if record.name:
            heading = f"{record.name} · {heading}"
        app = self.tr("InferLab {version}").format(version=record.app_version)
        self._on_notice_action = self.run_exact
        text = " · ".join(part for part in (device_text(record.environment), app) if part)
        # Of a lab that has changed since: what "Run now" would not repeat.
        refused = checked_values(self._description["schema"], record.params)[1]
        text = "\n".join([text, *refused, *self._unreadable_text()])
        self._notice.show_message("accent", heading, text, action=self.tr("Run now"))

    def _on_unreadable(self, title: Any) -> None:
        self._unreadable.append(title)
        self._say_stored()

    def _unreadable_text(self) -> list[str]:
        sentence = self.tr("Stored by another version and not shown: {titles}.")
        titles = " · ".join(map(pick, self._unreadable))
        return [sentence.format(titles=titles)] if titles else []

    def _leave_stored(self) -> None:
        if self._stored is not None:
            self._stored = None
            self._notice.hide()

    def open_record(self, run_id: int) -> None:
        """Open a stored run of this lab by its id; KeyError for one that is not there."""
        if self._runs is not None:
            try:
                self.open_stored(StoredRun.of(self._runs.load(run_id)))
            except FrameError as error:
                self._notice.show_message("bad", self.tr("This stored run cannot be read"), str(error))

    # Looks

    def _show_texts(self) -> None:
        title = language_switch.pick(self._description["title"])
        if title != self._title.text():
            self._title.setText(title)
            self.title_changed.emit(title)
        self._summary.setText(language_switch.pick(self._description["summary"]))
        self._show_empty()

    def _show_preset(self) -> None:
        defaults = {name: prop["default"] for name, prop in self._schema_properties().items()}
        self._chips.show_match(self.form.changed_values(), defaults)

    def _schema_properties(self) -> dict[str, Any]:
        return dict(self._description.get("schema", {}).get("properties", {}))

    def _show_empty(self) -> None:
        empty = self._results.empty and self._notice.isHidden()
        self._empty.setVisible(empty)
        running = self._session.running
        self._empty.setText(self.tr("The first results appear here…") if running else self.tr("Not run yet"))

    def _fit_panes(self) -> None:
        self._body.fit(self.width(), has_form=bool(self._schema_properties()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        wide, was_wide = event.size().width() >= SIDE_BY_SIDE, event.oldSize().width() >= SIDE_BY_SIDE
        if wide != was_wide or event.oldSize().width() < 0:
            self._fit_panes()

    def showEvent(self, event: object) -> None:
        self._fit_panes()

    def restyle(self, theme: Theme) -> None:
        self._run_bar.restyle(theme)
        self._results.restyle(theme)
        self._history.restyle(theme)
        self._source.restyle(theme)
        self._notice.update()

    def relanguage(self) -> None:
        if not self._description:
            return
        self._show_texts()
        self.form.retranslate()
        self._chips.retranslate()
        self._show_preset()
        self._results.relanguage()
        self._history.relanguage()
        if self._stored is not None:
            self._say_stored()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange and self._description:
            self._show_empty()
            self._say_stored()
        super().changeEvent(event)
