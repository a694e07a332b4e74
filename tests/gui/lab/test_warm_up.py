"""The imports of the first lab, in a process that has none of them yet."""

from __future__ import annotations

import subprocess
import sys

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
