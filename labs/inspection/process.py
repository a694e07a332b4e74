"""A child process for kernels, asked from here: Triton's interpreter, or its compiler.

The interpreter is chosen before Triton is imported, and code that a user edits may crash or never end: so
neither happens in the process that serves the window. Starting takes 2-3 s, a request some milliseconds.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import selectors
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
import numpy as np

import labs
from labs import wire
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.context import Context

# Elsewhere there are ports of it, but no fork.
HAS_TRITON = sys.platform == "linux" and importlib.util.find_spec("triton") is not None
NO_TRITON = Text(
    zh="此处没有 Triton：它只有 Linux 版。不需要它的部分照常可用。",
    en="There is no Triton here: it is for Linux only. What does not need it works as ever.",
)
Mode = Literal["interpret", "compile"]

_ROOT = Path(labs.__file__).parents[1]
_POLL_S = 0.05
T = TypeVar("T")


class KernelError(LabError):
    """The function that was asked for raised, or its process died. ``traceback`` as Python prints it."""

    def __init__(self, text: Text, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback


class KernelProcess:
    """Answers one question at a time, each in a fork of its own. LabError where Triton is missing."""

    def __init__(self, mode: Mode) -> None:
        if not HAS_TRITON:
            raise LabError(NO_TRITON)
        self._mode = mode
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.printed = ""  # by the last question's kernels

    def ask(
        self, function: Callable[..., T], check: Callable[[], None] = lambda: None, **arguments: Any
    ) -> T:
        """``function(**arguments)`` there: a function of a module of ``labs``, whose return annotation is
        ``T``. Arguments and value are what MessagePack carries: plain values, arrays, structs.

        ``check`` is called again and again while waiting, and may raise: then the child is ended.
        """
        name = f"{function.__module__}:{function.__qualname__}"
        with self._lock:
            answer = wire.decode(
                self._exchange(wire.frame({"function": name, "arguments": arguments}), check)
            )
        self.printed = answer.get("printed", "")
        if "value" not in answer:
            raise _failure(answer)
        returned = importlib.import_module(function.__module__)
        hint = _return_type(function, vars(returned))
        return msgspec.convert(answer["value"], type=hint, dec_hook=_as_it_came)  # type: ignore[no-any-return]

    def start(self) -> None:
        """Have the child start, without waiting for it: it will be ready sooner."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the child and what it has forked. Happens by itself when nobody holds this object any more."""
        if self._process is not None:
            self._end()
            self._process = None

    def _exchange(self, request: bytes, check: Callable[[], None]) -> bytes:
        try:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(request)
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                while not selector.select(_POLL_S):
                    check()
            answer = wire.read_body(process.stdout)  # type: ignore[arg-type]
        except BaseException:  # stopped, or a broken pipe: half a conversation is no use to the next
            self.close()
            raise
        if answer is None:
            self.close()
            raise _failure({"died": "EOF"})
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            environment |= {"TRITON_INTERPRET": "1" if self._mode == "interpret" else "0"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "labs.inspection.child"],
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._end = weakref.finalize(self, _end, self._process)
        return self._process


def kernel_process(ctx: Context, mode: Mode) -> KernelProcess:
    """The session's own: it starts once, and ends with the worker."""
    return ctx.session.memo(("kernel process", mode), lambda: KernelProcess(mode))


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _failure(answer: dict[str, Any]) -> KernelError:
    if died := answer.get("died"):
        zh, en = f"运行内核的进程意外结束：{died}", f"the process that runs kernels ended: {died}"
        return KernelError(Text(zh=zh, en=en))
    error = answer["error"]
    return KernelError(Text(zh=f"内核出错：{error}", en=f"the kernel failed: {error}"), answer["traceback"])


def _return_type(function: Callable[..., Any], scope: dict[str, Any]) -> Any:
    hint = function.__annotations__["return"]
    return eval(hint, scope) if isinstance(hint, str) else hint  # an annotation of our own module


def _as_it_came(kind: Any, value: Any) -> Any:
    return value if isinstance(value, np.ndarray) else kind(value)
