"""One run: the accesses, the verdict, what the compiler makes of the text, its place under the roofs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from labs.device import no_kernels
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.ladder import code_views, figures, sandbox, tile_views
from labs.ladder.explanation import explanation
from labs.ladder.here import measure_here
from labs.ladder.outcome import MOST_S, Outcome
from labs.ladder.roof import roof
from labs.ladder.tried import tried
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.context import Context
    from labs.inspection.compiled import Target
    from labs.inspection.process import Mode
    from labs.ladder.exercise import Exercise
    from labs.results import Result

MOST_ACCESSES = 4000  # recorded one by one; the counts are of all
T = TypeVar("T")


def run_ladder(
    ctx: Context,
    exercise: Exercise,
    source: str,
    settings: dict[str, int],
    target: Target,
    hints: int,
    *,
    unsolved: bool,
    attempted: bool,
) -> Iterator[Result]:
    """LabError where Triton is missing; whatever is wrong with ``source`` is a result, not an error. The task
    comes first where it is ``unsolved`` (``attempted``: ``source`` is the reader's own); else what plays
    stands beside the text that it plays."""
    outcome = Outcome(exercise, source, settings, target)
    task = code_views.task(exercise, hints, attempted=attempted)  # an iterator: each of it is shown once
    if unsolved:
        yield next(task)
    yield code_views.code(outcome)
    if not HAS_TRITON:
        yield from task
        measure_here(ctx, outcome)
        yield roof(outcome)
        raise LabError(NO_TRITON)
    yield from _played(ctx, outcome)
    yield from _checked(ctx, outcome)
    yield from task
    if not ctx.preview:
        yield from _compiled(ctx, outcome)
        if outcome.passed and no_kernels() is None:
            yield from _timed(ctx, outcome)
        yield roof(outcome)
        measure_here(ctx, outcome)
        yield roof(outcome)
        yield explanation(outcome)


def _played(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    ctx.progress(0.1, Text(zh="在解释器里记录每一次访问", en="recording every access in the interpreter"))
    outcome.played = _ask(ctx, outcome, "interpret", sandbox.play, most=MOST_ACCESSES)
    recording = outcome.played.recording if outcome.played else None
    if outcome.played is not None and recording is not None and len(recording.line):
        yield tile_views.trace(recording)
        yield tile_views.tiles(outcome.played)
        yield from figures.counts(recording)
        yield tile_views.accesses(recording)
    yield code_views.code(outcome)


def _checked(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    if outcome.endless == "interpret":
        return
    ctx.progress(0.4, Text(zh="与规格比较", en="comparing with the specification"))
    outcome.checked = _ask(ctx, outcome, "interpret", sandbox.check) or []
    if outcome.checked:
        yield figures.verdict(outcome)
    yield code_views.code(outcome)


def _timed(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    """In the child: the reader's text is not run in the process that serves the window."""
    ctx.progress(0.8, Text(zh="在本机 GPU 上计时", en="timing it on the GPU here"))
    outcome.timed = _ask(ctx, outcome, "compile", sandbox.time)
    if outcome.timed is None:
        return
    outcome.checked += outcome.timed.checked
    yield figures.verdict(outcome)
    yield code_views.code(outcome)
    if outcome.seconds is not None:
        yield figures.speed(outcome)


def _compiled(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    ctx.progress(0.7, Text(zh=f"编译给 {outcome.target}", en=f"compiling for {outcome.target}"))
    outcome.built = _ask(ctx, outcome, "compile", sandbox.build, target=outcome.target)
    yield code_views.code(outcome)
    if outcome.built is not None and outcome.built.kernels:
        yield from figures.resources(outcome.built.kernels[0])
        yield from tried(ctx, outcome)


class _TooLong(Exception):
    """The child has not answered in time."""


def _ask(ctx: Context, outcome: Outcome, mode: Mode, function: Callable[..., T], **more: Any) -> T | None:
    """The child's answer; None after MOST_S, with which the child ends and ``outcome.endless`` says so."""
    end = time.monotonic() + MOST_S

    def check() -> None:
        ctx.check()
        if time.monotonic() > end:
            raise _TooLong

    asked = {"name": outcome.exercise.name, "source": outcome.source, "settings": outcome.settings}
    try:
        return kernel_process(ctx, mode).ask(function, check, **asked, **more)
    except _TooLong:
        outcome.endless = mode
        return None
