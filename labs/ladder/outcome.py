"""All that one run of the ladder has found so far; the views make results of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs.inspection.compiled import Target
    from labs.inspection.process import Mode
    from labs.ladder.exercise import Exercise
    from labs.ladder.here import Specified
    from labs.ladder.sandbox import Built, Checked, Played, Timed
    from labs.roofline.machine import Machine

# That a child may take. What ships takes seconds; a loop without an end, or a tile of which a thread would
# need thousands of registers (the assembler takes minutes and gigabytes), takes longer.
MOST_S = 60.0


@dataclass
class Outcome:
    """``settings`` as ``launch`` gets them. What has not come yet is empty or None. ``timed`` is the kernel,
    only where there is a GPU; ``specified`` its specification in torch, only where there is none.
    ``machine``: this machine's roofs as measured."""

    exercise: Exercise
    source: str
    settings: dict[str, int]
    target: Target
    checked: list[Checked] = field(default_factory=list)
    played: Played | None = None
    built: Built | None = None
    timed: Timed | None = None
    specified: Specified | None = None
    machine: Machine | None = None
    endless: Mode | None = None  # the child that was given up

    @property
    def passed(self) -> bool:
        return bool(self.checked) and all(one.passed for one in self.checked)

    @property
    def seconds(self) -> float | None:
        """Of a launch at the size that is served, on the GPU here; None: not timed, or it was not right."""
        timing = self.timed.timing if self.timed else None
        return timing.median_s if timing and self.passed else None
