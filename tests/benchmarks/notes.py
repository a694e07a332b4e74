"""Opening a note: from the call that shows it to its pixels, for every note in both languages.

Cached: its HTML is on disk from an earlier start. First: nothing is, and it is rendered from Markdown.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gui.app import make_application
from gui.language import language_switch
from gui.library.notes import find_notes
from gui.library.outline_files import load_outline
from gui.reading.note_view import NotePage, NoteView
from gui.theme import LIGHT, theme_switch
from tests.benchmarks.event_loop import PaintClock, spin
from tests.benchmarks.figures import Figure, p95, short
from tests.benchmarks.machine import ROOT
from tests.benchmarks.real_window import real_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.language import Language
    from gui.window import MainWindow

CACHED_MS = 30.0
FIRST_MS = 150.0
ROUNDS = 4
PANE = (900, 740)
LANGUAGES: tuple[Language, ...] = ("zh", "en")


def run() -> Iterator[Figure]:
    make_application(["inferlab"])
    theme_switch.apply(LIGHT)
    pages = list(_pages())
    first: list[float] = []
    cached: list[float] = []
    cpu_first: list[float] = []
    cpu_cached: list[float] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            for times, spent in ((first, cpu_first), (cached, cpu_cached)):
                clock, found = _open_all(pages, Path(cache))
                times += found
                spent += clock.cpu_ms
    # What the very first one imports is a figure of its own.
    very_first, *first = first
    yield p95("notes.cached.p95", "opening a note, cached, 95th pct.", cached, CACHED_MS, cpu_cached)
    yield p95("notes.first.p95", "opening a note, first time, 95th pct.", first, FIRST_MS, cpu_first[1:])
    remark = f"imports the renderer: {short(very_first - first[0])} ms more than the next note"
    what = "opening the very first note of a process, nothing cached"
    yield Figure("notes.very_first", what, very_first, "ms", None, remark)
    with real_window(with_labs=False) as window:
        times, spent = _visit(window)
        yield p95("notes.window.p95", "going to a note in the window, 95th pct.", times, CACHED_MS, spent)


def _pages() -> Iterator[NotePage]:
    outline, notes = load_outline(ROOT / "content"), find_notes(ROOT / "content" / "notes")
    titles = {node.id: (node.title_zh, node.title_en) for node in outline.questions}
    for note_id, note in notes.items():
        yield NotePage(note_id, *titles[note_id], note=note, titles=titles)


def _open_all(pages: list[NotePage], cache: Path) -> tuple[PaintClock, list[float]]:
    """Milliseconds for each page in each language, in a view of its own: nothing is remembered in memory."""
    view = NoteView(ROOT / "content", ROOT / "resources" / "figures", cache)
    view.resize(*PANE)
    view.show()
    spin(100)
    times, clock = [], PaintClock(view)
    for language in LANGUAGES:
        language_switch.current = language  # without telling the view, which would show its page again
        for page in pages:
            times.append(clock.ms(lambda page=page: view.show_page(page)))  # type: ignore[misc]
            spin(20)
    view.close()
    view.deleteLater()
    return clock, times


def _visit(window: MainWindow) -> tuple[list[float], list[float]]:
    """Notes in turn, as Next does: tree, place and commands included."""
    times, clock = [], PaintClock(window)
    for number in range(ROUNDS + 1):
        for note_id in window.library.notes:
            took = clock.ms(lambda note_id=note_id: window.open_node(note_id))  # type: ignore[misc]
            if number:  # the first round fills the cache
                times.append(took)
            spin(20)
    return times, clock.cpu_ms[-len(times) :]
