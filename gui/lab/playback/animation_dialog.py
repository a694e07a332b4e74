"""Asks how an animation is to be saved, and saves it: a frame a turn of the event loop, until it is done or
cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from gui.lab.playback.animation import FRAME_MS, MOST_FRAMES, Kind, animation_steps
from gui.lab.views.view import pick

if TYPE_CHECKING:
    from collections.abc import Generator

    from gui.lab.playback.clock import Clock
    from gui.lab.views.view import View

USUAL_FRAMES = 120


class AnimationDialog(QDialog):
    """``views`` are those that may be in the picture, in their order on the page."""

    written = Signal(str)  # path of the file or folder

    def __init__(self, parent: QWidget, clock: Clock, views: list[View]) -> None:
        super().__init__(parent)
        self._clock, self._views = clock, views
        self._steps: Generator[int] | None = None
        self.setWindowTitle(self.tr("Save as an animation"))
        self.kind_box = QComboBox()
        self.kind_box.addItem(self.tr("GIF"), "gif")
        self.kind_box.addItem(self.tr("A folder of PNG pictures"), "png")
        self.frames_box = QSpinBox()
        self.frames_box.setRange(2, MOST_FRAMES)
        self.frames_box.setValue(min(USUAL_FRAMES, max(2, clock.last + 1)))
        self.frames_box.valueChanged.connect(lambda _: self._show_length())
        self.checks = [QCheckBox(pick(view.result["title"])) for view in views]
        for check in self.checks:
            check.setChecked(True)
            check.toggled.connect(lambda _: self._check())
        self.length = QLabel()
        self.length.setProperty("role", "muted")
        self.length.setWordWrap(True)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(self.tr("Frames written"))
        self.progress.hide()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.save_button = QPushButton(self.tr("Save…"))
        self.save_button.setProperty("role", "primary")
        self.save_button.clicked.connect(self._ask)
        self.cancel_button = QPushButton(self.tr("Cancel"))
        self.cancel_button.clicked.connect(self.reject)
        self._lay_out()
        self._show_length()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow(self.tr("Format"), self.kind_box)
        form.addRow(self.tr("Frames"), self.frames_box)
        column = QVBoxLayout()
        for check in self.checks:
            column.addWidget(check)
        form.addRow(self.tr("Show"), column)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.save_button)
        body = QVBoxLayout(self)
        body.setContentsMargins(16, 16, 16, 16)
        body.setSpacing(10)
        body.addLayout(form)
        for widget in (self.length, self.progress, self.status):
            body.addWidget(widget)
        body.addLayout(buttons)

    def _show_length(self) -> None:
        seconds = self.frames_box.value() * FRAME_MS / 1000
        text = self.tr("The whole trace in {seconds} s, {rate} frames a second; at most {most} frames.")
        self.length.setText(text.format(seconds=f"{seconds:.1f}", rate=1000 // FRAME_MS, most=MOST_FRAMES))

    def _check(self) -> None:
        self.save_button.setEnabled(any(check.isChecked() for check in self.checks))

    def _ask(self) -> None:
        kind: Kind = self.kind_box.currentData()
        name = f"{self._views[0].result['id']}.gif" if kind == "gif" else self._views[0].result["id"]
        pattern = "*.gif" if kind == "gif" else ""
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save as an animation"), name, pattern)
        if path:
            self.start(Path(path), kind)

    def start(self, path: Path, kind: Kind) -> None:
        """Begin to write; ``written`` tells when all is."""
        chosen = [view for view, check in zip(self._views, self.checks, strict=True) if check.isChecked()]
        frames = self.frames_box.value()
        self.progress.setRange(0, frames)
        self.progress.setValue(0)
        self.progress.show()
        self.status.clear()
        self._set_busy(True)
        self._steps = animation_steps(path, kind, self._clock, chosen, frames)
        self._step(str(path))

    def _set_busy(self, busy: bool) -> None:
        for widget in (self.save_button, self.kind_box, self.frames_box, *self.checks):
            widget.setEnabled(not busy)

    def _step(self, path: str) -> None:
        if self._steps is None:
            return  # cancelled
        try:
            self.progress.setValue(next(self._steps))
        except StopIteration:
            self._steps = None
            self.written.emit(path)
            self.accept()
        except OSError as error:
            self._steps = None
            self._set_busy(False)
            self.status.setText(self.tr("Not written: {reason}").format(reason=error))
        else:
            QTimer.singleShot(0, self, lambda: self._step(path))

    def reject(self) -> None:
        """Cancel: what was written so far is removed."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()
        super().reject()
