"""A worker that speaks the protocol without torch. What a run does is told by its parameter ``act``."""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
import time
from typing import Any

import msgspec

from gui.lab.worker.wire import frame
from tests.gui.lab import samples

ENVIRONMENT = samples.ENVIRONMENT


class Fake:
    def __init__(self) -> None:
        self._in, self._out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._writing, self._changed = threading.Lock(), threading.Condition()
        self._wanted: dict[str, Any] | None = None
        self._running: dict[str, Any] | None = None
        self._cancel = ""
        self._credit = 0

    def send(self, message: dict[str, Any]) -> None:
        self.send_raw(frame(message))

    def send_raw(self, data: bytes) -> None:
        with self._writing:
            self._out.write(data)
            self._out.flush()

    def read(self) -> None:
        while len(header := self._in.read(4)) == 4:
            (length,) = struct.unpack(">I", header)
            self._take(msgspec.msgpack.decode(self._in.read(length)))
        os._exit(0)

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "describe":
            broken = {
                "id": "model/broken",
                "file": "labs/catalog/model/broken.py",
                "traceback": "SyntaxError: no",
            }
            self.send({"type": "labs", "labs": [samples.description()], "broken": [broken]})
        with self._changed:
            if kind == "run":
                if self._wanted is not None:
                    self.send(finished(self._wanted["run"], "superseded"))
                self._wanted = message
                self._cancel = self._cancel or "superseded"
            elif kind == "stop":
                self._cancel = "stopped"
            elif kind == "credit":
                self._credit += message["frames"]
            self._changed.notify_all()

    def serve(self) -> None:
        self.send({"type": "ready", "environment": ENVIRONMENT})
        threading.Thread(target=self.read, daemon=True).start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None)
                request, self._wanted = self._wanted, None
                self._cancel, self._credit = "", 4
            assert request is not None
            self.run(request)

    def run(self, request: dict[str, Any]) -> None:
        run, params = request["run"], request["params"]
        started = {"type": "started", "run": run, "lab": request["lab"], "params": params}
        self.send(started | {"environment": ENVIRONMENT})
        act = ACTS.get(str(params.get("note", "")), draw)
        status = act(self, request) or "done"
        if status != "failed":
            self.send(finished(run, status))

    def result(self, run: int, result: dict[str, Any]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._credit > 0 or bool(self._cancel))
            self._credit -= 1
        self.send({"type": "result", "run": run, "result": result})

    def wait_for_cancel(self) -> str:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._cancel))
            return self._cancel


def finished(run: int, status: str) -> dict[str, Any]:
    return {"type": "finished", "run": run, "status": status, "seconds": 0.25}


def draw(fake: Fake, request: dict[str, Any]) -> str:
    """Echo the bits as a metric; an exact run yields a histogram too."""
    value = float(request["params"].get("bits", 0))
    fake.result(request["run"], samples.metric(value=value))
    if not request["preview"]:
        fake.result(request["run"], samples.histogram())
    return "done"


def wait(fake: Fake, request: dict[str, Any]) -> str:
    """A long run that stops when asked."""
    progress = {"type": "progress", "run": request["run"], "fraction": 0.5}
    fake.send(progress | {"text": {"zh": "一半", "en": "half"}})
    fake.result(request["run"], samples.metric(value=float(request["params"].get("bits", 0))))
    return fake.wait_for_cancel()


def deaf(fake: Fake, request: dict[str, Any]) -> str:
    """A run that ignores being stopped."""
    fake.result(request["run"], samples.metric())
    while True:
        time.sleep(60)


def many(fake: Fake, request: dict[str, Any]) -> str:
    """More results than the first credit allows."""
    for index in range(40):
        fake.result(request["run"], samples.metric(f"m{index}", value=float(index)))
    return "done"


def big(fake: Fake, request: dict[str, Any]) -> str:
    fake.result(request["run"], samples.heatmap(rows=1000, columns=1000))
    return "done"


def fail(fake: Fake, request: dict[str, Any]) -> str:
    text = {"zh": "除以零", "en": "ZeroDivisionError: division by zero"}
    message = {"type": "failed", "run": request["run"], "user_error": False, "text": text}
    fake.send(message | {"traceback": "Traceback (most recent call last):\n  ZeroDivisionError"})
    return "failed"


def refuse(fake: Fake, request: dict[str, Any]) -> str:
    text = {"zh": "位宽（bits）= 4 超出范围", "en": "bits = 4 is out of range"}
    fake.send({"type": "failed", "run": request["run"], "user_error": True, "text": text, "traceback": ""})
    return "failed"


def abort(fake: Fake, request: dict[str, Any]) -> str:
    fake.result(request["run"], samples.metric())
    print("terminate called after throwing an instance", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGABRT)
    return "done"


def out_of_memory(fake: Fake, request: dict[str, Any]) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def leave(fake: Fake, request: dict[str, Any]) -> str:
    os._exit(7)


def garbage(fake: Fake, request: dict[str, Any]) -> str:
    fake.send_raw(b"\x00\x00\x00\x05hello")
    return fake.wait_for_cancel()


def huge_frame(fake: Fake, request: dict[str, Any]) -> str:
    fake.send_raw(b"\xff\xff\xff\xff")
    return fake.wait_for_cancel()


def stale(fake: Fake, request: dict[str, Any]) -> str:
    fake.result(request["run"] - 1, samples.metric("of_an_older_run"))
    return "done"


ACTS = {
    act.__name__: act
    for act in (wait, deaf, many, big, fail, refuse, abort, out_of_memory, leave, garbage, huge_frame, stale)
}

if __name__ == "__main__":
    Fake().serve()
