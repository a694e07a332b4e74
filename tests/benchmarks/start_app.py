"""The app as ``python main.py`` starts it, told to report when its window is there and then to close."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import main

if TYPE_CHECKING:
    from gui.app import Options
    from gui.library.database import Database
    from gui.window import MainWindow


def start(argv: list[str]) -> int:
    """``argv`` as main.py takes it."""
    from gui import app

    make_window = app.make_window

    def watched(options: Options) -> tuple[MainWindow, Database]:
        # Not before: the app is the first to import Qt, as it is when nobody measures.
        from tests.benchmarks.start_report import report_start

        window, database = make_window(options)
        report_start(window, lambda: _check(window))
        return window, database

    app.make_window = watched
    return main.main(argv)


def _check(window: MainWindow) -> None:
    if window.note.browser.document().isEmpty() or not window.note.browser.isVisible():
        raise RuntimeError("ready, but no note is shown")
    if window.tree.current_id() is None or not window.tree.view.isVisible():
        raise RuntimeError("ready, but the outline does not show where one is")


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
