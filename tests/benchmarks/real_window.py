"""The real window on the real content with the real worker, its user data in a folder that is thrown away."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QApplication

from gui.app import Options, make_application, make_window
from tests.benchmarks.event_loop import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.window import MainWindow

WORKER_START_S = 60.0
SIZE = (1280, 800)


@contextlib.contextmanager
def real_window(language: str = "en", *, with_labs: bool = True) -> Iterator[MainWindow]:
    """Shown and settled; with ``with_labs`` also told of all labs by its worker."""
    make_application(["inferlab"])
    with tempfile.TemporaryDirectory() as folder:
        window, database = make_window(Options(data=Path(folder), language=language, theme="light"))
        window.resize(*SIZE)
        window.show()
        try:
            if with_labs:
                wait_until(lambda: bool(window.labs.labs), WORKER_START_S, "the worker names its labs")
            yield window
        finally:
            window.close()
            database.close()
            QApplication.processEvents()
