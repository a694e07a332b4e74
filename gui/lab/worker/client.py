"""One worker process that runs labs: requests out, results in, and a fresh process whenever one has died."""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QProcess, QProcessEnvironment, QTimer, Signal

from gui.lab.worker.wire import FrameError, FrameReader, frame
from gui.lab.worker.worker_exit import StderrTail, explain_exit

ROOT = Path(__file__).resolve().parents[3]
STOP_PATIENCE_S = 2.0
# What is handed on in one turn of the event loop, and then how long painting and input go first.
TURN_S, REST_MS = 0.004, 1
# A superseded run may be inside one long kernel, and killing it costs the loaded model: wait longer.
SUPERSEDE_PATIENCE_S = 15.0
# What is killed ends when it next gets a processor, and the worker leaves them to others: late on a busy
# machine. A QProcess that is destroyed before that may take the window's process with it.
KILLED_MS = 30_000


class WorkerClient(QObject):
    """Starts the worker when first needed and keeps it: torch stays imported and the model loaded.

    Runs are numbered from 1 over the client's life. Only the newest run's results are passed on, and those
    of a run that the worker had ended when the newest was asked for; every run ends in exactly one of
    ``finished`` (done, stopped, superseded, or killed: it ignored a stop), ``failed`` or ``crashed``."""

    ready = Signal(object)  # environment
    labs = Signal(object, object)  # descriptions, broken
    started = Signal(int, object)  # run, the whole message: lab, params, environment
    upcoming = Signal(int, object)  # run, the result that comes next: time to make room for it
    result = Signal(int, object)  # run, result
    progress = Signal(int, object, object)  # run, fraction or None, text
    computed = Signal(int)  # run: the worker is free, while the last results may yet wait to be drawn
    finished = Signal(int, str, float)  # run, status, seconds
    failed = Signal(int, object)  # run, the whole message: user_error, text, traceback
    crashed = Signal(str, str)  # what happened, the end of stderr

    def __init__(
        self,
        model_path: Path | None = None,
        command: list[str] | None = None,
        stop_patience_s: float = STOP_PATIENCE_S,
        supersede_patience_s: float = SUPERSEDE_PATIENCE_S,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._command = command or [sys.executable, "-m", "labs.worker"]
        self._model_path = model_path
        self._process: QProcess | None = None
        self._reader = FrameReader()
        self._inbox: deque[dict[str, Any]] = deque()
        self._announced: dict[str, Any] | None = None  # the message whose result has been called upcoming
        self._delivery = self._timer(REST_MS / 1000, self._deliver)
        self._stderr = StderrTail()
        self._newest = 0
        self._complete = 0  # the latest run of which all messages are here
        self._active: dict[int, dict[str, Any]] = {}  # run -> its request, until it ends
        self._stop_timer = self._timer(stop_patience_s, self._kill_after_stop)
        self._supersede_timer = self._timer(supersede_patience_s, self._kill_after_supersede)
        self.environment: dict[str, Any] = {}
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.shutdown)

    def _timer(self, seconds: float, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(int(seconds * 1000))
        timer.timeout.connect(slot)
        return timer

    @property
    def busy(self) -> bool:
        return bool(self._active)

    @property
    def process_id(self) -> int:
        """The worker's process id, 0 when there is none."""
        return int(self._process.processId()) if self._process else 0

    def describe(self) -> None:
        """Ask for all labs; ``labs`` answers."""
        self._send({"type": "describe"})

    def run(self, lab: str, params: dict[str, Any], preview: bool = False, seed: int = 0) -> int:
        """Start a run, superseding whatever runs. Returns its number."""
        self._newest += 1
        request = {
            "type": "run",
            "run": self._newest,
            "lab": lab,
            "params": params,
            "seed": seed,
            "preview": preview,
        }
        if self._active:
            self._supersede_timer.start()
        self._stop_timer.stop()
        self._active[self._newest] = request
        self._send(request)
        return self._newest

    def stop(self) -> None:
        """Stop the newest run: asked first, killed when it has not ended after ``stop_patience_s``."""
        if self._newest in self._active:
            self._send({"type": "stop", "run": self._newest})
            self._stop_timer.start()

    def shutdown(self) -> None:
        """End the worker now; it has ended when this returns. No worker outlives its window."""
        process, self._process = self._process, None
        self._inbox.clear()
        self._delivery.stop()
        self._active.clear()
        self._stop_timer.stop()
        self._supersede_timer.stop()
        if process is not None:
            process.blockSignals(True)  # its end is our doing: no news
            process.closeWriteChannel()
            process.kill()
            process.waitForFinished(KILLED_MS)
            process.deleteLater()

    def use_model(self, path: Path | None) -> None:
        """Measure another model from now on, in a fresh worker; None is the default model."""
        self._model_path = path
        self.restart()

    def restart(self) -> None:
        """A fresh worker, ready before it is needed."""
        self.shutdown()
        self._start()

    def _start(self) -> QProcess:
        self._reader, self._stderr = FrameReader(), StderrTail()
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        # With a core busy elsewhere, spinning OpenMP threads halve decode speed; passive waiting restores it.
        environment.insert("OMP_WAIT_POLICY", "passive")
        process.setProcessEnvironment(environment)
        process.setWorkingDirectory(str(ROOT))
        process.readyReadStandardOutput.connect(self._read_output)
        process.readyReadStandardError.connect(self._read_error)
        process.finished.connect(self._on_exit)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        model = ["--model", str(self._model_path)] if self._model_path else []
        process.start(self._command[0], [*self._command[1:], *model])
        return process

    def _send(self, message: dict[str, Any]) -> None:
        process = self._process or self._start()
        process.write(frame(message))

    def _read_output(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            for message in self._reader.feed(bytes(process.readAllStandardOutput().data())):
                self._enqueue(message)
        except FrameError as error:
            self._deliver_all()
            text = self.tr("The lab process sent something that is not a result ({error}); it was restarted.")
            self._die(text.format(error=error))
        if self._inbox and not self._delivery.isActive():
            self._delivery.start()

    def _enqueue(self, message: dict[str, Any]) -> None:
        """A result takes the place of one of the same id that is not drawn yet."""
        if message["type"] == "result":
            key = (message["run"], message["result"]["id"])
            for place, waiting in enumerate(self._inbox):
                if waiting["type"] == "result" and (waiting["run"], waiting["result"]["id"]) == key:
                    self._inbox[place] = message
                    self._grant(message["run"])
                    return
        self._inbox.append(message)
        if message["type"] == "finished" and message["run"] == self._newest:
            self._complete = message["run"]
            self.computed.emit(message["run"])

    def _passes(self, run: int) -> bool:
        return run in (self._newest, self._complete)

    def _deliver(self) -> None:
        """A few messages a turn of the event loop: drawing many results at once would stall it. A result is
        announced first, so that what makes its view and what draws it may have a turn each."""
        until = time.monotonic() + TURN_S
        while self._inbox and time.monotonic() < until:
            message = self._inbox[0]
            if message["type"] == "result" and message is not self._announced:
                self._announced = message
                if self._passes(message["run"]):
                    self.upcoming.emit(message["run"], message["result"])
            else:
                self._receive(self._inbox.popleft())
        if self._inbox:
            self._delivery.start()

    def _deliver_all(self) -> None:
        while self._inbox:
            self._receive(self._inbox.popleft())

    def _read_error(self) -> None:
        if self._process is not None:
            self._stderr.add(bytes(self._process.readAllStandardError().data()))

    def _receive(self, message: dict[str, Any]) -> None:
        kind, run = message["type"], message.get("run", 0)
        newest = run == self._newest
        if kind == "result":
            if self._passes(run):
                self.result.emit(run, message["result"])
            self._grant(run)
        elif kind == "progress" and newest:
            self.progress.emit(run, message.get("fraction"), message["text"])
        elif kind == "started":
            if newest:
                self._supersede_timer.stop()
            self.environment = message.get("environment", {})
            self.started.emit(run, message)
        elif kind == "finished":
            self._end(run)
            self.finished.emit(run, str(message["status"]), float(message.get("seconds") or 0.0))
        elif kind == "failed":
            self._end(run)
            self.failed.emit(run, message)
        elif kind == "labs":
            self.labs.emit(message["labs"], message["broken"])
        elif kind == "ready":
            self.environment = message.get("environment", {})
            self.ready.emit(self.environment)
        elif kind == "log":
            self._stderr.add((str(message.get("text", "")) + "\n").encode())

    def _grant(self, run: int) -> None:
        """Credit for another result: one has been drawn, or will never be."""
        if run in self._active and self._process is not None:
            self._send({"type": "credit", "run": run, "frames": 1})

    def _end(self, run: int) -> None:
        self._active.pop(run, None)
        if run == self._newest:
            self._stop_timer.stop()
        if not self._active or list(self._active) == [self._newest]:
            self._supersede_timer.stop()

    def _kill_after_stop(self) -> None:
        ended = list(self._active)
        self.restart()
        for run in ended:
            self.finished.emit(run, "killed" if run == self._newest else "superseded", 0.0)

    def _kill_after_supersede(self) -> None:
        request = self._active.get(self._newest)
        old = [run for run in self._active if run != self._newest]
        self.restart()
        if request is not None:
            self._active[self._newest] = request
            self._send(request)
        for run in old:
            self.finished.emit(run, "superseded", 0.0)

    def _on_exit(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read_error()
        self._read_output()
        self._deliver_all()
        if self._process is not None:
            self._die(explain_exit(code, status))

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            text = self.tr("The lab process could not be started: {reason}")
            self._die(text.format(reason=self._process.errorString()))

    def _die(self, text: str) -> None:
        """The worker is gone or useless: say so. The next request starts a fresh one."""
        self._read_error()
        tail = self._stderr.text()
        self.shutdown()
        self.crashed.emit(text, tail)
