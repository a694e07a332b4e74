"""A reader's text of a kernel, run and compiled; meant to be asked of a ``KernelProcess``.

The text is written to a file, so that tracebacks, Python's ``inspect`` and the compiler's debug data name its
lines. Whatever it does wrong comes back as a ``Fault`` with the line, never as an exception.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from labs.inspection.compiled import Compiled, Target
from labs.inspection.interpreted import Recording
from labs.inspection.text_module import text_module
from labs.ladder.exercise import EXERCISES, told
from labs.measure import Timing, time_calls
from labs.ops.operator import Case
from labs.relative_error import relative_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FILE = "kernel.py"
TOLERANCE = {"fp32": 1e-5, "fp16": 3e-3}


class Fault(msgspec.Struct, frozen=True):
    """What went wrong, and at which line of the text (0: not known)."""

    text: str
    line: int


class Checked(msgspec.Struct, frozen=True):
    """One size: ``difference`` from the specification, relative, by norms (NaN: something was not written, or
    read where nothing is); ``outside``: lanes beyond every tensor. ``device`` it ran on, empty: interpreted.
    """

    case: str
    difference: float
    tolerance: float
    outside: int
    fault: Fault | None = None
    device: str = ""

    @property
    def passed(self) -> bool:
        return self.fault is None and self.difference <= self.tolerance and not self.outside


class Played(msgspec.Struct):
    """The recorded run at the size that is shown; ``values``: the tensors' contents behind it, by index."""

    recording: Recording | None
    values: list[Any]
    fault: Fault | None = None


class Timed(msgspec.Struct):
    """The kernel on a GPU that is here: checked once more as it runs there, then timed at the size that is
    served, where all checks passed."""

    checked: list[Checked]
    timing: Timing | None = None
    fault: Fault | None = None


class Built(msgspec.Struct):
    """The kernels of one launch, compiled."""

    kernels: list[Compiled]
    fault: Fault | None = None


def check(name: str, source: str, settings: dict[str, int]) -> list[Checked]:
    """The verdict: every size of the exercise, poisoned, until one fails."""
    checked: list[Checked] = []
    for case in EXERCISES[name].checked:  # type: ignore[index]
        checked.append(_checked(name, source, settings, case))
        if not checked[-1].passed:
            break
    return checked


def play(name: str, source: str, settings: dict[str, int], most: int) -> Played:
    """The run that is shown, with ``most`` accesses recorded one by one."""
    from labs.inspection.interpreted import Recorder

    recorder, exercise = Recorder(most), EXERCISES[name]  # type: ignore[index]
    try:
        with _loaded(source) as module, recorder.entered():
            module.launch(**_arguments(name, exercise.shown), **settings)
    except Exception as error:
        return Played(recorder.recording(), recorder.values(), _fault(error, source))
    return Played(recorder.recording(), recorder.values())


def build(name: str, source: str, settings: dict[str, int], target: Target) -> Built:
    """What the launch at the size that is served compiles to, every stage of it."""
    from labs.inspection.compiled import compile_launch
    from labs.inspection.launches import launches_of

    case = EXERCISES[name].served  # type: ignore[index]
    try:
        with _loaded(source) as module:
            arguments = _arguments(name, case, blank=True)
            launches = launches_of(lambda: module.launch(**arguments, **settings))
            return Built([compile_launch(one, target, stages=True) for one in launches])
    except Exception as error:
        return Built([], _fault(error, source))


def time(
    name: str,
    source: str,
    settings: dict[str, int],
    device: str = "cuda",
    sizes: dict[str, int] | None = None,
) -> Timed:
    """Natively on ``device``, in this fork: a kernel that hangs or faults takes only it along.

    ``sizes`` instead of those that are served.
    """
    exercise, timed = EXERCISES[name], Timed([])  # type: ignore[index]
    for case in exercise.checked:
        timed.checked.append(_run_natively(name, source, settings, case, device))
        if not timed.checked[-1].passed:
            return timed
    case = Case(sizes or exercise.served.sizes, exercise.served.dtype)
    try:
        with _loaded(source) as module:
            arguments = _arguments(name, case, poisoned=False, device=device)
            timed.timing = time_calls(lambda: module.launch(**arguments, **settings), device)
    except Exception as error:
        timed.fault = _fault(error, source)
    return timed


def _checked(name: str, source: str, settings: dict[str, int], case: Case) -> Checked:
    from labs.inspection.interpreted import Recorder

    recorder = Recorder()
    with recorder.entered():
        gap, fault = _gap(name, source, settings, case)
    return Checked(told(case), gap, TOLERANCE[case.dtype], recorder.outside, fault)


def _run_natively(name: str, source: str, settings: dict[str, int], case: Case, device: str) -> Checked:
    gap, fault = _gap(name, source, settings, case, device)
    return Checked(told(case), gap, TOLERANCE[case.dtype], 0, fault, device)


def _gap(
    name: str, source: str, settings: dict[str, int], case: Case, device: str = "cpu"
) -> tuple[float, Fault | None]:
    """How far the launch is from the specification; NaN and why, where it cannot be told."""
    arguments = _arguments(name, case, device=device)
    try:
        with _loaded(source) as module:
            found = module.launch(**arguments, **settings)
        return relative_error(found, EXERCISES[name].specification(**arguments)), None  # type: ignore[index]
    except Exception as error:
        return float("nan"), _fault(error, source)


def _arguments(
    name: str, case: Case, *, poisoned: bool = True, blank: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    from labs.ops.operator import DTYPES, Tensors, poison_unwritten

    poison_unwritten(poisoned and not blank)
    make = Tensors(DTYPES[case.dtype], device, poisoned=poisoned and not blank, blank=blank)
    return EXERCISES[name].inputs(case, make)  # type: ignore[index]


@contextmanager
def _loaded(source: str) -> Iterator[ModuleType]:
    """The text as a module, while its file exists."""
    with text_module(source, FILE) as module:
        if not hasattr(module, "launch"):
            raise NameError("the text defines no function `launch`")
        yield module


def _fault(error: BaseException, source: str) -> Fault:
    """The innermost cause, and the last line of the text that it came through."""
    line, text = 0, f"{type(error).__name__}: {error}"
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    for one in chain:
        lines = [f.lineno for f in traceback.extract_tb(one.__traceback__) if Path(f.filename).name == FILE]
        if lines:
            line = lines[-1] or line
        if isinstance(one, SyntaxError) and one.lineno:
            line = one.lineno
        if located := _compiler_line(one, source):
            line = located
    if type(error).__name__ in ("InterpreterError", "CompilationError") and len(chain) > 1:
        cause = chain[-1] if type(error).__name__ == "InterpreterError" else chain[1]
        text = f"{type(cause).__name__}: {cause}"
    return Fault(text, line)


def _compiler_line(error: BaseException, source: str) -> int:
    """Triton's CompilationError counts lines from the kernel's ``def``: turn them into lines of the text."""
    node, kernel = getattr(error, "node", None), getattr(error, "src", None)
    if not isinstance(kernel, str) or node is None:
        return 0
    lines, first = source.splitlines(), kernel.lstrip().splitlines()[0]
    return lines.index(first) + int(node.lineno) if first in lines else 0
