"""What a worker has to say, written by a thread of its own: a slow reader never delays a computation.

Result frames cost credit. Without credit the latest frame of each result id waits for it, and older ones of
the same id are dropped. The last state of a run is delivered with or without credit. A lab with ever new ids
waits for credit once many wait: its results could not be dropped, and would fill the memory.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from labs import wire

if TYPE_CHECKING:
    from typing import BinaryIO

INITIAL_CREDIT = 4
# Result ids that may wait for credit, more than a lab has; one more, and the lab waits too.
MOST_WAITING = 64
# More often than this nobody sees progress move.
PROGRESS_INTERVAL_S = 1 / 30


class Outbox:
    """Any thread may call any method; none waits for the reader but ``result``, beyond its bound."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        lock = threading.Lock()
        self._changed = threading.Condition(lock)  # for the writer
        self._room = threading.Condition(lock)  # for the lab
        self._queue: deque[bytes] = deque()
        self._run: int | None = None
        self._ending = False  # the run is to end: its results are kept, and its thread is not
        self._credit = 0
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._progress: bytes | None = None
        self._progress_due = 0.0
        threading.Thread(target=self._write_forever, name="outbox", daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """A message that is never dropped."""
        with self._changed:
            self._enqueue(wire.frame(message))

    def begin(self, run: int, message: dict[str, Any]) -> None:
        """From now on results are those of ``run``, with fresh credit."""
        with self._changed:
            self._run, self._ending, self._credit = run, False, INITIAL_CREDIT
            self._enqueue(wire.frame(message))

    def result(self, result_id: str, message: dict[str, Any]) -> None:
        """A result of the current run. It is encoded at once: the lab may go on to reuse its arrays.

        Returns when the result is on its way or has a place among the MOST_WAITING, or the run is to end.
        """
        frame = wire.frame(message)
        with self._changed:
            self._room.wait_for(lambda: self._has_room(result_id))
            if self._credit > 0:
                self._credit -= 1
                self._enqueue(frame)
            else:
                self._waiting[result_id] = frame

    def _has_room(self, result_id: str) -> bool:
        few = len(self._waiting) < MOST_WAITING
        return few or result_id in self._waiting or self._ending

    def end_soon(self, run: int) -> None:
        """``run`` is to end: its thread waits for no credit from now on. Ignored for any other run."""
        with self._changed:
            if run == self._run:
                self._ending = True
                self._room.notify_all()

    def progress(self, message: dict[str, Any]) -> None:
        """The latest one is shown; those that come too fast are dropped."""
        with self._changed:
            self._progress = wire.frame(message)
            self._changed.notify()

    def grant(self, run: int, frames: int) -> None:
        """More credit for ``run``; ignored for a run that is over."""
        with self._changed:
            if run != self._run:
                return
            self._credit += frames
            while self._credit > 0 and self._waiting:
                self._credit -= 1
                self._enqueue(self._waiting.popitem(last=False)[1])
            self._room.notify_all()

    def finish(self, message: dict[str, Any], *, deliver: bool) -> None:
        """The run is over: its waiting results go out first, or are dropped where nobody wants them."""
        with self._changed:
            if deliver:
                self._queue.extend(self._waiting.values())
            self._waiting.clear()
            self._progress = None
            self._run, self._credit = None, 0
            self._enqueue(wire.frame(message))

    def _enqueue(self, frame: bytes) -> None:
        self._queue.append(frame)
        self._changed.notify()

    def _write_forever(self) -> None:
        try:
            while True:
                self._stream.write(self._next())
                self._stream.flush()
        except OSError:
            os._exit(0)  # the reader has gone

    def _next(self) -> bytes:
        with self._changed:
            while True:
                if self._queue:
                    return self._queue.popleft()
                wait_s = None
                if self._progress is not None:
                    wait_s = self._progress_due - time.monotonic()
                    if wait_s <= 0:
                        self._progress_due = time.monotonic() + PROGRESS_INTERVAL_S
                        frame, self._progress = self._progress, None
                        return frame
                self._changed.wait(wait_s)
