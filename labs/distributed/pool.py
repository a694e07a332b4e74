"""Ranks that stay: starting one takes seconds (torch, then finding its peers), a job milliseconds.

There is one pool at a time. Its processes are killed when a run is stopped, when one of them fails, when
another number of ranks is wanted, and, by the kernel, when this process dies.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import labs
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context

_ROOT = Path(labs.__file__).parents[1]  # where a child finds the package
_PREFIX = "inferlab-ring-"  # of a pool's folder; the process that owns it follows
_POLL_S = 0.02
_GRACE_S = 0.5
START_TIMEOUT_S = 120.0
JOB_TIMEOUT_S = 90.0


class Pool:
    """``ranks`` processes in one group. Any method may raise LabError, after which the pool is closed."""

    def __init__(self, ranks: int, backend: str) -> None:
        self.ranks, self.backend = ranks, backend
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._replies: list[queue.Queue[dict[str, Any]]] = [queue.Queue() for _ in range(ranks)]
        self.processes = [self._start(rank) for rank in range(ranks)]
        for rank, process in enumerate(self.processes):
            threading.Thread(target=_read, args=(process, self._replies[rank]), daemon=True).start()
        self._ready = False

    def _start(self, rank: int) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        if sys.platform == "linux" and self.backend == "gloo":
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")  # peers are on this machine
        arguments = (*map(str, (rank, self.ranks, os.getpid(), self.folder / "store")), self.backend)
        with (self.folder / f"rank-{rank}.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "labs.distributed.ring_worker", *arguments],
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @property
    def alive(self) -> bool:
        return all(process.poll() is None for process in self.processes)

    def wait_ready(self, ctx: Context) -> None:
        """Until all ranks have found each other; may be stopped."""
        if not self._ready:
            text = Text(zh=f"启动 {self.ranks} 个进程并互相找到", en=f"starting {self.ranks} processes")
            self._gather(ctx, START_TIMEOUT_S, text)
            self._ready = True

    def run(self, ctx: Context, job: dict[str, Any]) -> list[dict[str, Any]]:
        """Each rank's answer to ``job``, in the order of ranks."""
        for process in self.processes:
            assert process.stdin is not None
            # A rank that is gone is named by the gathering.
            with contextlib.suppress(OSError):
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
        return self._gather(ctx, JOB_TIMEOUT_S, Text(zh="块在环上传递", en="blocks travel round the ring"))

    def _gather(self, ctx: Context, timeout_s: float, text: Text) -> list[dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        deadline = time.monotonic() + timeout_s
        try:
            while len(found) < self.ranks:
                ctx.progress(None, text)
                self._take(found)
                if len(found) < self.ranks:
                    self._check(found, deadline)
                    time.sleep(_POLL_S)
        except BaseException:  # stopped, or failed: half a group is of no use
            self.close()
            raise
        return [found[rank] for rank in range(self.ranks)]

    def _take(self, found: dict[int, dict[str, Any]]) -> None:
        for rank, replies in enumerate(self._replies):
            with contextlib.suppress(queue.Empty):
                reply = replies.get_nowait()
                if "error" in reply:
                    self._name_the_dead()
                    raise _failed(rank, reply["error"][:300])
                found[rank] = reply

    def _check(self, found: dict[int, dict[str, Any]], deadline: float) -> None:
        for rank, process in enumerate(self.processes):
            if process.poll() is not None and self._replies[rank].empty() and rank not in found:
                raise _failed(rank, self._last_words(rank, process.returncode))
        if time.monotonic() > deadline:
            missing = ", ".join(str(rank) for rank in range(self.ranks) if rank not in found)
            zh, en = f"进程 {missing} 迟迟没有回答", f"rank {missing} did not answer in time"
            raise LabError(Text(zh=zh, en=en))

    def _name_the_dead(self) -> None:
        """When a rank dies, its neighbours complain first, of a connection: the cause is named, not them."""
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            for rank, process in enumerate(self.processes):
                if process.poll() is not None:
                    raise _failed(rank, self._last_words(rank, process.returncode))
            time.sleep(_POLL_S)

    def _last_words(self, rank: int, code: int) -> str:
        lines = (self.folder / f"rank-{rank}.log").read_text(errors="replace").strip().splitlines()
        return f"exit status {code}" + (f"; {lines[-1][:200]}" if lines else "")

    def close(self) -> None:
        """Kill what is left; may be called again."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what was still to be written to a dead rank
                        pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _failed(rank: int, why: str) -> LabError:
    return LabError(Text(zh=f"进程 {rank} 失败：{why}", en=f"rank {rank} failed: {why}"))


def _read(process: subprocess.Popen[str], replies: queue.Queue[dict[str, Any]]) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError, OSError):  # closed while reading, or cut off in a line
        for line in process.stdout:
            replies.put(json.loads(line))


def sweep() -> None:
    """Remove the folders of pools whose process was killed: it could not do so itself. Linux only."""
    if sys.platform != "linux":
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


_current: list[Pool] = []


def pool_of(ranks: int, backend: str) -> Pool:
    """The pool that is there, if it is of this kind and whole, else a fresh one."""
    if _current:
        pool = _current[0]
        if (pool.ranks, pool.backend) == (ranks, backend) and pool.alive:
            return pool
        close_pool()
    _current.append(Pool(ranks, backend))
    return _current[0]


def close_pool() -> None:
    while _current:
        _current.pop().close()


atexit.register(close_pool)
