"""Who did what when."""

from __future__ import annotations

from labs.results.array import Array
from labs.results.checks import same_length, within
from labs.results.plots import Axis
from labs.results.result import Result
from labs.text import Text


class Timeline(Result, frozen=True, kw_only=True, tag="timeline"):
    """Bars from ``start`` to ``end`` in ``lanes``, coloured by category (a Gantt chart).

    ``lane`` and ``category`` are indices, an entry a bar. ``label`` names bars; ``value`` is a figure of
    each, in the result's ``unit``, and ``value_name`` what it is. With a ``clock`` (a trace's id) x is in
    seconds of that trace, whose cursor is drawn.
    """

    x: Axis
    lanes: list[Text]
    lane: Array
    start: Array
    end: Array
    category: Array
    categories: list[Text]
    label: list[Text] | None = None
    value: Array | None = None
    value_name: Text | None = None
    clock: str = ""

    def __post_init__(self) -> None:
        what = f"timeline {self.id!r}"
        for other in (self.start, self.end, self.category, self.label, self.value):
            same_length(what, self.lane, other)
        within(f"{what}, lane", self.lane, 0, len(self.lanes))
        within(f"{what}, category", self.category, 0, len(self.categories))
        if (self.end < self.start).any():
            raise ValueError(f"{what}: a bar ends before it starts")
