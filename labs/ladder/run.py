"""One run: the verdict first, then the accesses, then what the compiler makes of the text, then its speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.device import no_kernels
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.ladder import code_views, figures, sandbox, tile_views
from labs.ladder.outcome import Outcome
from labs.ladder.roof import roof
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.inspection.compiled import Target
    from labs.ladder.exercise import Exercise
    from labs.results import Result

MOST_ACCESSES = 4000  # recorded one by one; the counts are of all


def run_ladder(
    ctx: Context, exercise: Exercise, source: str, settings: dict[str, int], target: Target, hints: int
) -> Iterator[Result]:
    """LabError where Triton is missing; whatever is wrong with ``source`` is a result, not an error."""
    outcome = Outcome(exercise, source, settings, target)
    yield code_views.code(outcome)
    yield from code_views.task(exercise, hints)
    if not HAS_TRITON:
        raise LabError(NO_TRITON)
    yield from _interpreted(ctx, outcome)
    if not ctx.preview:
        yield from _compiled(ctx, outcome)
        if outcome.passed and no_kernels() is None:
            yield from _timed(ctx, outcome)
        yield roof(outcome)
        yield figures.explanation(outcome)


def _interpreted(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    ctx.progress(0.1, Text(zh="解释器里检查", en="checking in the interpreter"))
    process, name = kernel_process(ctx, "interpret"), outcome.exercise.name
    arguments = {"name": name, "source": outcome.source, "settings": outcome.settings}
    outcome.checked = process.ask(sandbox.check, ctx.check, **arguments)
    yield figures.verdict(outcome)
    ctx.progress(0.4, Text(zh="记录每一次访问", en="recording every access"))
    outcome.played = process.ask(sandbox.play, ctx.check, **arguments, most=MOST_ACCESSES)
    recording = outcome.played.recording
    if recording is not None and len(recording.line):
        yield tile_views.trace(recording)
        yield tile_views.tiles(outcome.played)
        yield from figures.counts(recording)
        yield tile_views.accesses(recording)
    yield code_views.code(outcome)


def _timed(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    """In the child: the reader's text is not run in the process that serves the window."""
    from labs.roofline.machine import measure_machine

    ctx.progress(0.8, Text(zh="在本机 GPU 上计时", en="timing it on the GPU here"))
    process = kernel_process(ctx, "compile")
    arguments = {"name": outcome.exercise.name, "source": outcome.source, "settings": outcome.settings}
    outcome.timed = process.ask(sandbox.time, ctx.check, **arguments)
    outcome.checked += outcome.timed.checked
    yield figures.verdict(outcome)
    yield code_views.code(outcome)
    if outcome.seconds is None:
        return
    yield figures.speed(outcome)
    for machine in measure_machine(ctx, threads=1, quick=True):
        outcome.machine = machine


def _compiled(ctx: Context, outcome: Outcome) -> Iterator[Result]:
    what = Text(zh=f"编译给 {outcome.target}", en=f"compiling for {outcome.target}")
    ctx.progress(0.7, what)
    process, name = kernel_process(ctx, "compile"), outcome.exercise.name
    arguments = {"name": name, "source": outcome.source, "settings": outcome.settings}
    outcome.built = process.ask(sandbox.build, ctx.check, **arguments, target=outcome.target)
    yield code_views.code(outcome)
    if outcome.built.kernels:
        yield from figures.resources(outcome.built.kernels[0])
