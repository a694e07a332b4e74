"""A walk through the app, offscreen, as a person takes it: a picture per stop, run records, an index.

The README's pictures are made with it. It opens the real window on the real content and runs every lab's
smoke preset in the real worker, with the user's data in a folder of its own.
"""

from __future__ import annotations

import html
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEventLoop, QMessageLogContext, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from gui.app import VERSION, Options, make_application, make_window
from gui.lab.export.run_map import json_text
from gui.lab.link import make_link
from gui.lab.runs.stored_run import StoredRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from gui.window import MainWindow

LAB_TIMEOUT_S = 300.0
# Said by Qt's offscreen platform itself about windows that nobody moves.
HARMLESS = ("This plugin does not support propagateSizeHints()",)


@dataclass
class Stop:
    """One picture: what was done, and what went wrong on the way."""

    name: str
    caption: str
    picture: Path
    seconds: float
    failures: list[str] = field(default_factory=list)


class Tour:
    """Takes the stops one by one; a failure is noted and the walk goes on."""

    def __init__(self, window: MainWindow, out: Path) -> None:
        self.window = window
        self.out = out
        self.stops: list[Stop] = []
        self._failures: list[str] = []
        window.client.failed.connect(
            lambda _run, message: self.fail(f"{message['text']['en']}\n{message['traceback']}")
        )
        window.client.crashed.connect(lambda text, stderr: self.fail(f"{text}\n{stderr}"))
        qInstallMessageHandler(self._qt_message)
        sys.excepthook = self._exception

    def _qt_message(self, kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
        if kind != QtMsgType.QtDebugMsg and kind != QtMsgType.QtInfoMsg and text not in HARMLESS:
            self._failures.append(f"Qt: {text}")

    def _exception(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self._failures.append("".join(traceback.format_exception(kind, error, trace)))

    def stop(self, name: str, caption: str, act: Callable[[], object], settle_ms: int = 250) -> None:
        """Do something, let the window settle, take the picture."""
        start = time.perf_counter()
        try:
            act()
        except Exception:
            self._failures.append(traceback.format_exc())
        spin(settle_ms)
        picture = self.out / f"{len(self.stops) + 1:02d}-{name}.png"
        if not self.window.grab().save(str(picture)):
            self._failures.append(f"cannot write {picture}")
        seconds = time.perf_counter() - start
        failures, self._failures = self._failures, []
        self.stops.append(Stop(name, caption, picture, seconds, failures))
        print(f"{'FAILED' if failures else 'ok':7}{name:44}{seconds:6.1f} s", flush=True)
        for failure in failures:
            print(failure, file=sys.stderr)

    def fail(self, text: str) -> None:
        self._failures.append(text)

    @property
    def failed(self) -> bool:
        return any(stop.failures for stop in self.stops)


def walk(out: Path, options: Options, size: str) -> int:
    """The whole tour; returns the exit status, 1 if anything failed."""
    out.mkdir(parents=True, exist_ok=True)
    app = make_application(["inferlab"])
    with tempfile.TemporaryDirectory() as own:
        window, database = make_window(replace(options, data=options.data or Path(own)))
        width, _, height = size.partition("x")
        window.resize(int(width), int(height))
        tour = Tour(window, out)
        window.show()
        _read(tour)
        _run_labs(tour)
        _switch(tour)
        window.close()
        qInstallMessageHandler(None)
        database.close()
    app.processEvents()
    (out / "index.html").write_text(_index(tour), encoding="utf-8")
    print(f"{len(tour.stops)} stops, pictures and index.html in {out}/")
    return 1 if tour.failed else 0


def _read(tour: Tour) -> None:
    window = tour.window
    tour.stop("outline", "The window opens at the last place.", lambda: window.open_node("1.2.1"), 600)
    tour.stop("filter", "The outline filters as one types.", lambda: window.tree.filter.setText("量化 粒度"))
    window.tree.filter.clear()

    def search(text: str) -> None:
        window.finder.search()
        window.finder.picker.line.setText(text)
        if not window.finder.picker.items():
            tour.fail(f"searching {text!r} found nothing")

    tour.stop("search", "Search over titles and notes, in both languages.", lambda: search("离群"))
    window.finder.picker.hide()
    for note_id in window.library.notes:
        title = window.library.outline.nodes[note_id].title_en
        tour.stop(f"note-{note_id}", title, lambda note_id=note_id: window.open_node(note_id))  # type: ignore[misc]
    questions = [node.id for node in window.library.outline.questions]
    unwritten = next((node_id for node_id in questions if node_id not in window.library.notes), None)
    if unwritten:
        tour.stop(
            "unwritten", "A question whose note is not written yet.", lambda: window.open_node(unwritten)
        )


def _run_labs(tour: Tour) -> None:
    window = tour.window
    if not window.labs.labs:
        wait_for(window.client.labs, 30.0)
    for broken in window.labs.broken:
        tour.fail(f"{broken['file']} failed to load:\n{broken['traceback']}")
    for lab in list(window.labs.labs.values()):
        first = next(iter(lab["questions"]), lab["sections"][0])
        window.open_node(first)
        name = lab["id"].replace("/", "-")
        tour.stop(f"lab-{name}", lab["title"]["en"], lambda lab=lab: _run_lab(tour, lab), 800)  # type: ignore[misc]


def _run_lab(tour: Tour, lab: dict[str, Any]) -> None:
    window = tour.window
    window.open_lab(make_link(lab["id"], lab["smoke"]))
    if lab["model_missing"]:
        return
    deadline = time.monotonic() + LAB_TIMEOUT_S
    while window.client.busy and time.monotonic() < deadline:
        spin(50)
    if window.client.busy:
        window.client.stop()
        tour.fail(f"{lab['id']} did not finish within {LAB_TIMEOUT_S:.0f} s")
        return
    runs = window.library.runs.listed(lab["id"], limit=1)
    if not runs:
        tour.fail(f"{lab['id']} left no run record")
        return
    run = StoredRun.of(window.library.runs.load(runs[0].id))
    (tour.out / f"{lab['id'].replace('/', '-')}.json").write_text(json_text(run), encoding="utf-8")


def _switch(tour: Tour) -> None:
    window = tour.window
    tour.stop("dark", "The dark theme.", lambda: window.set_dark(True), 400)
    tour.stop("chinese-dark", "Chinese, switched at run time.", lambda: window.set_language("zh"), 400)
    tour.stop("chinese-light", "The light theme again.", lambda: window.set_dark(False), 400)
    tour.stop("english", "English again.", lambda: window.set_language("en"), 400)


def spin(milliseconds: int) -> None:
    """Let the window live for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
    QApplication.processEvents()


def wait_for(signal: Any, seconds: float) -> bool:
    """Wait for a signal; False when it did not come in time."""
    loop = QEventLoop()
    came: list[bool] = []

    def arrived(*_values: object) -> None:
        came.append(True)
        loop.quit()

    signal.connect(arrived)
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()
    return bool(came)


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>InferLab tour</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1320px; margin: 2em auto; padding: 0 1em; }}
figure {{ margin: 2em 0; }} img {{ max-width: 100%; border: 1px solid #d0d7de; border-radius: 8px; }}
pre {{ background: #fff1ef; padding: 1em; overflow-x: auto; }} .bad {{ color: #b3261e; }}
</style>
<h1>InferLab {version}: tour</h1><p>{summary}</p>{stops}</html>
"""


def _index(tour: Tour) -> str:
    parts = []
    for stop in tour.stops:
        trouble = "".join(f"<pre>{html.escape(failure)}</pre>" for failure in stop.failures)
        mark = ' class="bad"' if stop.failures else ""
        parts.append(
            f"<figure><figcaption{mark}><b>{html.escape(stop.name)}</b>: {html.escape(stop.caption)} "
            f"({stop.seconds:.1f} s)</figcaption>{trouble}<img src='{html.escape(stop.picture.name)}' "
            f"alt='{html.escape(stop.caption)}'></figure>"
        )
    records = sorted(path.name for path in tour.out.glob("*.json"))
    links = ", ".join(f"<a href='{name}'>{name}</a>" for name in records)
    failed = sum(bool(stop.failures) for stop in tour.stops)
    summary = f"{len(tour.stops)} stops, {failed} failed. Run records: {links}."
    return _PAGE.format(version=VERSION, summary=summary, stops="".join(parts))
