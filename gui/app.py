"""Starts the window: opens the library, makes the worker client, applies the user's theme and language."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gui.lean_imports  # noqa: F401  (first: it makes the imports below cheaper)

# isort: split
from PySide6.QtCore import QStandardPaths
from PySide6.QtGui import QFont, QIcon
from PySide6.QtWidgets import QApplication

from gui.garbage import GuiCollector
from gui.language import language_switch
from gui.library.database import Database, LibraryError
from gui.library.library import Library
from gui.library.notes import find_notes
from gui.library.outline import OutlineError
from gui.library.outline_cache import load_cached_outline
from gui.library.runs import Runs
from gui.library.study import Study
from gui.line_art import ICONS
from gui.theme import DARK, LIGHT, theme_switch
from gui.window import MainWindow

if TYPE_CHECKING:
    from gui.lab.worker.client import WorkerClient

ROOT = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"
# Latin first, then Chinese fonts of Linux, macOS and Windows: the first that has a character draws it.
FONTS = [
    "Noto Sans",
    "Segoe UI",
    "SF Pro Text",
    "Noto Sans CJK SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "DejaVu Sans",
]
FONT_PX = 13
# Python lets a thread that imports or indexes keep the interpreter for 5 ms at a time, as long as the window
# may take for a whole answer.
SWITCH_S = 0.001


@dataclass(frozen=True)
class Options:
    """What the command line may override; None leaves the user's setting."""

    data: Path | None = None
    theme: str | None = None
    language: str | None = None
    model: Path | None = None
    link: str | None = None


def make_application(argv: list[str]) -> QApplication:
    """The one QApplication, with InferLab's name (its data folders follow from it), icon and font."""
    # Qt hands each patterned rectangle to a pool of threads and waits: 250 switches in a frame of bars, 3 ms
    # of 10, and all of a busy core's time slice when a lab computes. Read once, before the first paint.
    os.environ.setdefault("QT_NO_GUI_THREADPOOL", "1")
    # Fusion by argument: setStyle returns a style, whose Python classes would cost 15 ms of every start.
    app = QApplication.instance() or QApplication([*argv, "-style", "Fusion"])
    assert isinstance(app, QApplication)
    sys.setswitchinterval(SWITCH_S)
    app.setApplicationName("InferLab")
    app.setApplicationVersion(VERSION)
    app.setDesktopFileName("inferlab")
    app.setWindowIcon(QIcon(str(ICONS / "inferlab.svg")))
    font = QFont()
    font.setFamilies(FONTS)
    font.setPixelSize(FONT_PX)
    app.setFont(font)
    # Not findChild, for it makes the Python classes of everything that a child might be: 20 ms.
    if not app.property("collects"):
        app.setProperty("collects", True)
        GuiCollector(app)
    return app


def make_window(options: Options) -> tuple[MainWindow, Database]:
    """The window, not yet shown. Raises LibraryError or OutlineError with a text that can be shown."""
    data = options.data or Path(_folder(QStandardPaths.StandardLocation.AppDataLocation))
    cache = (
        options.data / "cache"
        if options.data
        else Path(_folder(QStandardPaths.StandardLocation.CacheLocation))
    )
    database = Database.open(data / "inferlab.sqlite")
    study = Study(database)
    theme = options.theme or study.get("theme", "light")
    theme_switch.begin(DARK if theme == "dark" else LIGHT)
    language = options.language or study.get("language", language_switch.current)
    language_switch.apply("zh" if language == "zh" else "en")
    stored_model = study.get("model")
    model = options.model or (Path(stored_model) if stored_model else None)
    content = ROOT / "content"
    library = Library(
        content=content,
        figures=ROOT / "resources" / "figures",
        cache=cache,
        outline=load_cached_outline(content, cache),
        notes=find_notes(content / "notes"),
        study=study,
        runs=Runs(database),
        notice=database.notice,
    )

    def make_client() -> WorkerClient:
        from gui.lab.worker.client import WorkerClient

        return WorkerClient(model_path=model)

    window = MainWindow(library, make_client)
    theme_switch.finish()
    if options.link:
        window.open_link(options.link)
    return window, database


def run(options: Options, argv: list[str]) -> int:
    """Show the window until it is closed. Returns the exit status."""
    app = make_application(argv)
    try:
        window, database = make_window(options)
    except (LibraryError, OutlineError) as error:
        from PySide6.QtWidgets import QMessageBox

        print(error, file=sys.stderr)
        QMessageBox.critical(None, "InferLab", str(error))
        return 1
    window.show()
    gc.freeze()  # what the window is made of stays to the end: collections need not look at it
    status = app.exec()
    database.close()
    return status


def _folder(where: QStandardPaths.StandardLocation) -> str:
    return QStandardPaths.writableLocation(where)
