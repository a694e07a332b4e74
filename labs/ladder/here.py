"""What stands under this machine's own roof: the roofs as measured, and without a GPU the specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.ops.operator import DTYPES, Tensors
from labs.roofline.dispatches import dispatches
from labs.roofline.machine import measure_machine
from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context
    from labs.ladder.exercise import Exercise
    from labs.ladder.outcome import Outcome
    from labs.measure import Timing

_BUDGET_S = 0.3


@dataclass(frozen=True)
class Specified:
    """The specification as torch runs it here, ``operators`` one after the other."""

    timing: Timing
    operators: int


def measure_here(ctx: Context, outcome: Outcome) -> None:
    """Once a session for the machine, once for each exercise; nothing of the reader's text runs here."""
    ctx.progress(0.85, Text(zh="测本机的屋顶", en="measuring this machine's roofs"))
    for machine in measure_machine(ctx, torch.get_num_threads(), quick=True):
        outcome.machine = machine
    exercise = outcome.exercise
    if ctx.device == "cpu" and exercise.work(exercise.here).flops:
        ctx.progress(0.9, Text(zh="给 PyTorch 规格计时", en="timing the specification in PyTorch"))
        outcome.specified = ctx.memo(
            ("specification timed", exercise.name), lambda: _time_specification(ctx, exercise)
        )


def _time_specification(ctx: Context, exercise: Exercise) -> Specified:
    """From memory, as the roof is: the caches are emptied before each call."""
    arguments = exercise.inputs(exercise.here, Tensors(DTYPES[exercise.here.dtype]))
    with torch.inference_mode():
        operators = dispatches(lambda: exercise.specification(**arguments))
        timing = ctx.measure(lambda: exercise.specification(**arguments), budget_s=_BUDGET_S, cold=True)
    return Specified(timing, operators)
