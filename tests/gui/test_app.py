"""The application as it is made, each time in a process of its own: there is one a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Prints how many threads Qt started while it filled a tall rectangle with a pattern.
HATCH = """
import os
from PySide6.QtCore import Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter
from gui.app import make_application

app = make_application(["inferlab"])
image = QImage(400, 400, QImage.Format.Format_RGB32)
painter = QPainter(image)
painter.setPen(Qt.PenStyle.NoPen)
painter.setBrush(QBrush(QColor("red"), Qt.BrushStyle.BDiagPattern))
before = len(os.listdir("/proc/self/task"))
painter.drawRect(0, 0, 400, 400)
print(len(os.listdir("/proc/self/task")) - before)
painter.end()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_painting_does_not_wait_for_other_threads() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "QT_NO_GUI_THREADPOOL"}
    done = subprocess.run(
        [sys.executable, "-c", HATCH],
        cwd=ROOT,
        env=environment | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == ["0"]
