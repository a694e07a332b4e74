"""A window's side of the protocol, blocking, for tests."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from labs import wire

ROOT = Path(__file__).parents[2]
# Far beyond what anything takes: tests do not depend on the machine's speed, and do not hang either.
PATIENCE_S = 60.0


class WorkerClient:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labs.worker", *arguments],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._errors: list[bytes] = []
        self._threads = [threading.Thread(target=target) for target in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def send(self, type: str, **message: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(wire.frame({"type": type, **message}))
        self.process.stdin.flush()

    def send_body(self, body: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(len(body).to_bytes(4, "big") + body)
        self.process.stdin.flush()

    def run(self, run: int, lab: str, **message: Any) -> None:
        self.send("run", run=run, lab=lab, **{"params": {}, "seed": 0, "preview": False, **message})

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the worker's stream has ended."""
        return self._inbox.get(timeout=PATIENCE_S)

    def until(self, *types: str, run: int | None = None) -> list[dict[str, Any]]:
        """All messages up to and with the first of one of these types (of this run)."""
        messages = []
        while True:
            message = self.receive()
            assert message is not None, f"the worker ended, waiting for {types}: {self.errors()}"
            messages.append(message)
            if message["type"] in types and run in (None, message.get("run")):
                return messages

    def result_of(self, run: int) -> dict[str, Any]:
        """The last message of a run."""
        return self.until("finished", "failed", run=run)[-1]

    def wait(self) -> int:
        """The exit status, once the process has ended."""
        return self.process.wait(PATIENCE_S)

    def errors(self) -> str:
        """What the process has written to stderr."""
        return b"".join(self._errors).decode()

    def close(self) -> None:
        assert self.process.stdin
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.wait()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()

    def _read(self) -> None:
        assert self.process.stdout
        while (body := wire.read_body(self.process.stdout)) is not None:
            self._inbox.put(wire.decode(body))
        self._inbox.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self._errors.append(line)
