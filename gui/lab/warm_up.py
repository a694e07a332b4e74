"""What the first lab needs, loaded before it is opened: numpy, pyqtgraph and the panel take a third of a
second."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from threading import Thread

from PySide6.QtCore import QObject, QTimer

from gui.lab.qt_types import make_some

# By then the window has been read in, and what the start itself loads on threads is loaded.
AFTER_MS = 500
POLL_MS = 50
SLICE_GAP_MS = 4


class WarmUp(QObject):
    """Imports on a thread, unless a lab has been opened already; the window stays free."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.imports = Thread(target=_import_all, name="warm-up", daemon=True)
        QTimer.singleShot(AFTER_MS, self, self._begin)

    def _begin(self) -> None:
        if "gui.lab.panel" in sys.modules:
            return
        if make_some():
            QTimer.singleShot(SLICE_GAP_MS, self, self._begin)
        else:
            self.imports.start()
            self._wait()

    def _wait(self) -> None:
        if self.imports.is_alive():
            QTimer.singleShot(POLL_MS, self, self._wait)
        else:
            # Modules stay to the end: a full collection that looks at those of numpy too takes 30 ms.
            gc.freeze()


def _import_all() -> None:
    # The part of numpy that its own functions import when first called.
    import_module("numpy.ma")
    import_module("gui.lab.panel")
    views = import_module("gui.lab.views")
    for kind in views.VIEWS:
        import_module(f"gui.lab.views.{kind}")
