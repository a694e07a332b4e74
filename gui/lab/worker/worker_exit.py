"""Why a worker ended, in words: the signal's name, what it usually means, and the last it wrote to stderr."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QProcess

translate = QCoreApplication.translate

STDERR_KEPT = 64 * 1024
TAIL_LINES = 40


def explain_exit(code: int, status: QProcess.ExitStatus) -> str:
    """``code`` is the signal's number when ``status`` is CrashExit (on Unix), else the exit status."""
    if status == QProcess.ExitStatus.NormalExit:
        return translate("WorkerExit", "The lab process ended by itself with exit status {code}.").format(
            code=code
        )
    name = _signal_name(code)
    hints = {
        "SIGKILL": translate(
            "WorkerExit", "The lab process was killed (SIGKILL): most likely the system ran out of memory."
        ),
        "SIGSEGV": translate(
            "WorkerExit", "The lab process crashed (SIGSEGV): native code touched memory that is not its own."
        ),
        "SIGABRT": translate("WorkerExit", "The lab process aborted (SIGABRT): a native library gave up."),
        "SIGBUS": translate(
            "WorkerExit", "The lab process crashed (SIGBUS): a mapped file shrank or memory failed."
        ),
        "SIGILL": translate(
            "WorkerExit", "The lab process crashed (SIGILL): this CPU lacks an instruction that it used."
        ),
        "SIGFPE": translate(
            "WorkerExit", "The lab process crashed (SIGFPE): native code divided an integer by zero."
        ),
        "SIGTERM": translate("WorkerExit", "The lab process was asked to end by another program (SIGTERM)."),
    }
    return hints.get(name) or translate("WorkerExit", "The lab process crashed ({name}).").format(name=name)


def _signal_name(code: int) -> str:
    import signal

    try:
        return signal.Signals(code).name
    except ValueError:
        return translate("WorkerExit", "code {code}").format(code=code)


class StderrTail:
    """The last part of what a worker wrote to stderr."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, chunk: bytes) -> None:
        self._kept += chunk
        if (
            len(self._kept) > 2 * STDERR_KEPT
        ):  # trim rarely: trimming at every chunk would copy at every chunk
            del self._kept[:-STDERR_KEPT]

    def text(self) -> str:
        lines = bytes(self._kept).decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])
