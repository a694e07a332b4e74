"""All that one run of the ladder has found so far; the views make results of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs.inspection.compiled import Target
    from labs.ladder.exercise import Exercise
    from labs.ladder.sandbox import Built, Checked, Played


@dataclass
class Outcome:
    """``settings`` as ``launch`` gets them. What has not come yet is empty or None."""

    exercise: Exercise
    source: str
    settings: dict[str, int]
    target: Target
    checked: list[Checked] = field(default_factory=list)
    played: Played | None = None
    built: Built | None = None

    @property
    def passed(self) -> bool:
        return bool(self.checked) and all(one.passed for one in self.checked)
