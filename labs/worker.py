"""Serving labs to a window over stdin and stdout: one run at a time, the newest request wins.

A thread reads requests, a thread writes answers (``labs.outbox``), and labs run on the main thread, where
libraries expect to be. A lab's exception is an answer; a crash ends the process, which the window replaces.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from labs import registry, wire
from labs.allocator import keep_freed_memory, return_freed_memory
from labs.context import Cancelled, Context, Session
from labs.environment import environment
from labs.failure import explanation, sendable
from labs.lifetime import die_first_without_memory, die_with_parent, give_way
from labs.memory_budget import give_back
from labs.model_bounds import model_bounds
from labs.outbox import Outbox
from labs.requests import Credit, Describe, Run, Stop, parse_request
from labs.runner import execute
from labs.schema import describe, values
from labs.spec import LabError, parse_params
from labs.streams import claim_stdin, claim_stdout
from labs.text import Text, same

if TYPE_CHECKING:
    from typing import NoReturn


class _Job:
    """A requested run. ``status`` is why it was cancelled, if it was."""

    def __init__(self, request: Run) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.status = "stopped"

    def cancel(self, status: str) -> None:
        if not self.cancelled.is_set():
            self.status = status
            self.cancelled.set()


class Worker:
    """``read`` is for the reader thread, ``serve`` for the main one; ``_changed`` guards what they share."""

    def __init__(self, catalog: registry.Catalog, session: Session, outbox: Outbox) -> None:
        self._catalog = catalog
        self._session = session
        self._outbox = outbox
        self._changed = threading.Condition()
        self._current: _Job | None = None
        self._waiting: _Job | None = None

    def read(self, stream: BinaryIO) -> NoReturn:
        """Handle requests until the window closes the stream; then end the process, whatever it is doing."""
        try:
            while (body := wire.read_body(stream)) is not None:
                try:
                    self._handle(body)
                except Exception:  # a worker that no longer listens could not even be stopped
                    self._outbox.send({"type": "log", "text": traceback.format_exc()})
        except (OSError, ValueError) as error:
            print(f"the window's messages cannot be read: {error}", file=sys.stderr)
        finally:
            os._exit(0)

    def serve(self) -> NoReturn:
        """Run what is requested, forever."""
        while True:
            with self._changed:
                self._current = None
                self._changed.wait_for(lambda: self._waiting is not None)
                job, self._waiting = self._waiting, None
                assert job
                self._current = job
            self._run(job)

    def _handle(self, body: bytes) -> None:
        try:
            request = parse_request(body)
        except msgspec.DecodeError as error:
            self._outbox.send({"type": "log", "text": f"a request that cannot be read: {error}"})
            return
        match request:
            case Describe():
                self._outbox.send(self._labs())
            case Run():
                self._take(request)
            case Stop():
                self._stop(request.run)
            case Credit():
                self._outbox.grant(request.run, request.frames)

    def _labs(self) -> dict[str, Any]:
        bounds = model_bounds(self._session.model_path)
        files = self._catalog.files
        return {
            "type": "labs",
            "labs": [describe(lab, files[lab_id], *bounds) for lab_id, lab in self._catalog.labs.items()],
            "broken": self._catalog.broken,
        }

    def _take(self, request: Run) -> None:
        with self._changed:
            if self._waiting:
                self._outbox.send(_finished(self._waiting.request.run, "superseded", 0.0))
            if self._current:
                self._cancel(self._current, "superseded")
            self._waiting = _Job(request)
            self._changed.notify()

    def _stop(self, run: int) -> None:
        with self._changed:
            if self._waiting and self._waiting.request.run == run:
                self._outbox.send(_finished(run, "stopped", 0.0))
                self._waiting = None
            elif self._current and self._current.request.run == run:
                self._cancel(self._current, "stopped")

    def _cancel(self, job: _Job, status: str) -> None:
        job.cancel(status)
        self._outbox.end_soon(job.request.run)  # its thread may be waiting to be rid of a result

    def _run(self, job: _Job) -> None:
        message = self._outcome(job)
        give_back()
        if not job.request.preview:  # the next preview is about to use it again
            return_freed_memory()
        self._outbox.finish(message, deliver=message.get("status") != "superseded")

    def _outcome(self, job: _Job) -> dict[str, Any]:
        """Run the lab, and say in the run's last message how it ended."""
        run, start = job.request.run, time.perf_counter()
        try:
            self._execute(job)
        except Cancelled:
            return _finished(run, job.status, time.perf_counter() - start)
        except LabError as error:
            return _failed(run, True, error.text, "")
        except registry.BrokenLabError as error:
            return _failed(run, False, same(str(error)), error.entry.traceback)
        except BaseException as error:  # whatever a lab or a library raises, the loaded model is kept
            trace = traceback.format_exc()
            if type(error).__name__ == "AcceleratorError":  # what CUDA refuses once it refuses ever after
                print(trace, file=sys.stderr, flush=True)
                os._exit(1)  # the window starts a fresh process
            traceback.clear_frames(error.__traceback__)  # they hold the lab's tensors
            gc.collect()
            return _failed(run, False, explanation(error), trace)
        return _finished(run, "done", time.perf_counter() - start)

    def _execute(self, job: _Job) -> None:
        request, outbox = job.request, self._outbox
        lab = self._catalog.find(request.lab)
        params = parse_params(lab.params, request.params)
        started = {"type": "started", "run": request.run, "lab": lab.id, "params": values(params)}
        outbox.begin(request.run, started | {"environment": environment(with_device=True)})

        def show(fraction: float | None, text: Text) -> None:
            outbox.progress({"type": "progress", "run": request.run, "fraction": fraction, "text": text})

        ctx = Context(
            self._session,
            preview=request.preview,
            seed=request.seed,
            on_progress=show,
            cancelled=job.cancelled,
        )
        for result in execute(lab, params, ctx):
            outbox.result(result.id, {"type": "result", "run": request.run, "result": result})


def _finished(run: int, status: str, seconds: float) -> dict[str, Any]:
    return {"type": "finished", "run": run, "status": status, "seconds": seconds}


def _failed(run: int, user_error: bool, text: Text, trace: str) -> dict[str, Any]:
    said = Text(zh=sendable(text.zh), en=sendable(text.en))
    return {
        "type": "failed",
        "run": run,
        "user_error": user_error,
        "text": said,
        "traceback": sendable(trace),
    }


def main() -> NoReturn:
    """Serve until stdin ends."""
    stdout, stdin = claim_stdout(), claim_stdin()
    faulthandler.enable()
    die_with_parent()
    if sys.platform == "linux":  # what a lab forks is not left behind either
        os.register_at_fork(after_in_child=die_with_parent)
    die_first_without_memory()
    give_way()
    keep_freed_memory()
    # Ctrl-C in the shell that started the window is the window's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Threads that wait must not spin: the window needs the core. Read once, when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    parser = argparse.ArgumentParser(
        prog="python -m labs.worker", description="Serve labs over stdin and stdout."
    )
    parser.add_argument("--model", type=Path)
    parser.add_argument("--catalog", type=Path, default=registry.CATALOG)
    options = parser.parse_args()
    outbox = Outbox(stdout)
    outbox.send({"type": "ready", "environment": environment()})
    worker = Worker(registry.load_catalog(options.catalog), Session(options.model), outbox)
    threading.Thread(target=worker.read, args=(stdin,), name="reader", daemon=True).start()
    worker.serve()


if __name__ == "__main__":
    sys.exit(main())
