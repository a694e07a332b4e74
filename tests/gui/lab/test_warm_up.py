"""The imports of the first lab, in a process that has none of them yet."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from PySide6.QtCore import QCoreApplication, QTimer
from gui.lab.warm_up import WarmUp

assert not {"numpy", "pyqtgraph"} & set(sys.modules)
app = QCoreApplication([])
warm_up = WarmUp(app)
QTimer.singleShot(20_000, app.quit)
poll = QTimer()
poll.timeout.connect(lambda: warm_up.imports.ident and not warm_up.imports.is_alive() and app.quit())
poll.start(20)
app.exec()
print(" ".join(sorted({"numpy.ma", "pyqtgraph", "gui.lab.panel", "gui.lab.views.lines"} & set(sys.modules))))
"""


def test_all_that_a_lab_needs_is_imported_and_nothing_before() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout.split() == ["gui.lab.panel", "gui.lab.views.lines", "numpy.ma", "pyqtgraph"], (
        done.stderr
    )


TYPES = """
import threading
from PySide6 import QtWidgets
from PySide6.QtCore import QCoreApplication, QTimer

app = QCoreApplication([])
lazy = "QWizard" not in vars(QtWidgets)
made = []


class Watched(threading.Thread):
    def start(self):
        made.append("QWizard" in vars(QtWidgets))
        super().start()


threading.Thread = Watched
{start}
print(lazy, made)
"""
AHEAD = "from gui.lab.views import import_ahead; import_ahead().join()"
WARM_UP = """
from gui.lab import warm_up
warm_up.AFTER_MS = 0
watched = warm_up.WarmUp(app)
poll = QTimer()
poll.timeout.connect(lambda: made and app.quit())
poll.start(5)
QTimer.singleShot(20_000, app.quit)
app.exec()
"""


@pytest.mark.parametrize("start", [AHEAD, WARM_UP], ids=["a lab opened early", "the warm-up"])
def test_the_types_of_qt_are_made_before_a_thread_asks_for_them(start: str) -> None:
    script = TYPES.format(start=start)
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout.split("\n")[0] == "True [True]", done.stderr
