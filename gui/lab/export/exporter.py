"""Writing a run to a file while the window stays alive: one short step a turn of the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from gui.lab.export.formats import export_steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PySide6.QtWidgets import QWidget

    from gui.lab.runs.stored_run import StoredRun


class Exporter(QObject):
    written = Signal(str)  # path
    failed = Signal(str)  # reason

    def start(
        self, path: Path, kind: str, run: StoredRun, description: dict[str, Any], results: QWidget
    ) -> None:
        self._step(export_steps(path, kind, run, description, results), str(path))

    def _step(self, steps: Iterator[None], path: str) -> None:
        try:
            next(steps)
        except StopIteration:
            self.written.emit(path)
        except OSError as error:
            self.failed.emit(str(error))
        else:
            QTimer.singleShot(0, self, lambda: self._step(steps, path))
