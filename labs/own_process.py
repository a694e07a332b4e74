"""A command in a process of its own, so that one that crashes is a failed run with a reason.

A fork before anything heavy is imported costs milliseconds, and the child keeps terminal, streams and process
group. Where the system cannot tell who sent a signal (all but Linux) the command runs in this process.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from labs.lifetime import die_with_parent
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

_REASONS = {
    "SIGSEGV": Text(zh="原生代码访问了不属于它的内存", en="native code touched memory that is not its own"),
    "SIGABRT": Text(zh="某个原生库主动中止", en="a native library gave up"),
    "SIGKILL": Text(zh="多半是内存耗尽", en="probably memory ran out"),
}
_UNKNOWN = Text(zh="原生代码出错", en="native code failed")


def in_own_process(command: Callable[[], int], crashed: Callable[[Text], int]) -> int:
    """The command's exit status, or that of ``crashed`` where a signal ended it that nobody passed on."""
    if sys.platform != "linux":
        return command()
    asked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*asked, signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        die_with_parent()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return command()
    code = _wait(child, {*asked, signal.SIGCHLD})
    if code >= 0:
        return code
    return 128 - code if -code in asked else crashed(_crash(signal.Signals(-code).name))


def _wait(child: int, signals: set[signal.Signals]) -> int:
    """Until the child ends, whose exit status or negated signal it is. What a terminal sends reaches both;
    what is sent to this process alone is passed on."""
    while True:
        info = signal.sigwaitinfo(signals)
        if info.si_signo != signal.SIGCHLD:
            if info.si_code <= 0:  # from a process, not from the kernel
                os.kill(child, info.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)


def _crash(name: str) -> Text:
    reason = _REASONS.get(name, _UNKNOWN)
    return Text(
        zh=f"实验进程崩溃（{name}）：{reason.zh}", en=f"the lab's process crashed ({name}): {reason.en}"
    )
