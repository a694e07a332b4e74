"""One panel's conversation with the worker: the latest value wins, at most one preview in flight and one
waiting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

if TYPE_CHECKING:
    from gui.lab.worker.client import WorkerClient


class RunSession(QObject):
    """Signals are of this panel's newest run only; ``preview`` tells which kind it is."""

    began = Signal(bool)  # preview
    upcoming = Signal(object)
    result = Signal(object)
    progress = Signal(object, object)  # fraction or None, text
    ended = Signal(str, float)  # status, seconds
    failed = Signal(object)  # message
    crashed = Signal(str, str)  # what happened, stderr

    def __init__(self, client: WorkerClient, parent: QObject) -> None:
        super().__init__(parent)
        self._client = client
        self._run: int | None = None
        self._waiting: tuple[str, dict[str, Any]] | None = None
        self._computed: int | None = None  # the run that the worker ended last
        self._tail: int | None = None  # the preview that is still being drawn while the next one is computed
        self.preview = False
        self.params: dict[str, Any] = {}
        self.environment: dict[str, Any] = {}
        self.started = datetime.now(UTC)
        client.started.connect(self._on_started)
        client.computed.connect(self._on_computed)
        client.upcoming.connect(self._on_upcoming)
        client.result.connect(self._on_result)
        client.progress.connect(self._on_progress)
        client.finished.connect(self._on_finished)
        client.failed.connect(self._on_failed)
        client.crashed.connect(self._on_crashed)

    @property
    def running(self) -> bool:
        return self._run is not None

    def run_exact(self, lab: str, params: dict[str, Any]) -> None:
        """Start at once; whatever runs or waits is superseded."""
        self._waiting = None
        self._begin(lab, params, preview=False)

    def run_preview(self, lab: str, params: dict[str, Any]) -> None:
        """Start now, or, while a preview is in flight, when the worker is free: then with the newest values
        only."""
        if self._run is not None and self.preview:
            self._waiting = (lab, params)
            self._overtake()
        else:
            self._begin(lab, params, preview=True)

    def stop(self) -> None:
        self._waiting = None
        if self._run is not None:
            self._client.stop()

    def leave(self) -> None:
        """The panel turns to something else: stop, and take no more news of this run."""
        self.stop()
        self._run = self._tail = None

    def _begin(self, lab: str, params: dict[str, Any], preview: bool) -> None:
        self.preview, self.params, self.started = preview, params, datetime.now(UTC)
        self._run = self._tail = None  # news of the superseded run that arrive meanwhile are not ours
        self._run = self._client.run(lab, params, preview)
        self.began.emit(preview)

    def _on_started(self, run: int, message: dict[str, Any]) -> None:
        if run == self._run:
            self.params = message.get("params") or self.params
            self.environment = message.get("environment") or {}

    def _on_computed(self, run: int) -> None:
        self._computed = run
        self._overtake()

    def _overtake(self) -> None:
        """Have the waiting preview computed while what the worker has said of the last one is drawn. One at a
        time: what is drawn must not fall ever further behind."""
        if self._waiting is None or self._run != self._computed or self._tail is not None:
            return
        drawn, waiting = self._run, self._waiting
        self._waiting = None
        self._begin(*waiting, preview=True)
        self._tail = drawn

    def _on_upcoming(self, run: int, result: dict[str, Any]) -> None:
        if run in (self._run, self._tail):
            self.upcoming.emit(result)

    def _on_result(self, run: int, result: dict[str, Any]) -> None:
        if run in (self._run, self._tail):
            self.result.emit(result)

    def _on_progress(self, run: int, fraction: float | None, text: dict[str, str]) -> None:
        if run == self._run:
            self.progress.emit(fraction, text)

    def _on_finished(self, run: int, status: str, seconds: float) -> None:
        if run == self._tail:
            self._tail = None
            self._overtake()
        elif run == self._run:
            self._run = None
            self.ended.emit(status, seconds)
            self._run_waiting()

    def _on_failed(self, run: int, message: dict[str, Any]) -> None:
        if run == self._run:
            self._run = None
            self.failed.emit(message)
            self._run_waiting()

    def _on_crashed(self, text: str, stderr: str) -> None:
        if self._run is not None:
            self._run = self._tail = self._waiting = None
            self.crashed.emit(text, stderr)

    def _run_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and self._run is None:
            self._begin(*waiting, preview=True)
