"""The process that runs kernels: it has Triton imported and forks for every request.

``python -m labs.inspection.child``, with ``TRITON_INTERPRET=1`` or without. A request names a function of
``labs`` and its arguments; the answer is its value, or the error it ended with. A kernel that crashes, or
exhausts memory, takes only its fork with it. Frames as in ``labs.wire``, on stdin and stdout.

A module's ``BEFORE_FORKING`` names what its functions import and takes seconds: that is imported here, once,
and not where the functions are only named.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

from labs import wire
from labs.lifetime import die_first_without_memory, die_with_parent

if TYPE_CHECKING:
    from types import ModuleType

_PRINTED_BYTES = 20_000
# Of a request, and of each program that it starts: an assembler whose asker was killed would go on for
# as long as it likes.
_MOST_CPU_S = 600


def main() -> None:
    """Serve until stdin ends."""
    die_with_parent()
    import numpy  # noqa: F401
    import torch
    import triton.language  # noqa: F401

    torch.set_num_threads(1)  # a pool of threads would not survive a fork
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (body := wire.read_body(sys.stdin.buffer)) is not None:
        _module(body)  # here, so that every fork has it
        answers.write(_forked(body))
        answers.flush()


def _forked(body: bytes) -> bytes:
    """The answer's frame, from a fork; what became of the fork, where it gave none."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _answer(body, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return wire.frame({"died": signal.Signals(os.WTERMSIG(status)).name})
    return answer if answer else wire.frame({"died": f"exit {os.WEXITSTATUS(status)}"})


def _answer(body: bytes, writing: int) -> None:
    die_with_parent()
    die_first_without_memory()
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))
    printed = os.memfd_create("printed")
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    request = wire.decode(body)
    try:
        function = getattr(_module(body), request["function"].partition(":")[2])
        answer: dict[str, Any] = {"value": function(**request["arguments"])}
    except BaseException as error:  # the reply says so, whatever it was
        answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    sys.stdout.flush()
    text = os.pread(printed, _PRINTED_BYTES, 0).decode(errors="replace")
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(wire.frame(answer | {"printed": text}))
    os._exit(0)


def _module(body: bytes) -> ModuleType:
    module = str(wire.decode(body)["function"]).partition(":")[0]
    assert module.startswith("labs."), module
    found = importlib.import_module(module)
    for name in getattr(found, "BEFORE_FORKING", ()):
        importlib.import_module(name)
    return found


if __name__ == "__main__":
    main()
