"""Cyclic garbage is collected on the GUI thread only.

Python collects on whichever thread happens to allocate. On a thread that imports or makes a backup it would
destroy Qt objects there, and Qt then crashes, or holds a lock that the GUI thread waits for while it holds
Python's.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

PERIOD_MS = 1000


class GuiCollector(QObject):
    """Takes over from the automatic collector for as long as it lives; its parent is the application."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(collect_due)
        self._timer.start()


def collect_due() -> None:
    """Collect the oldest generation that Python's own thresholds say is due."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if counts[generation] > thresholds[generation]:
            gc.collect(generation)
            return
