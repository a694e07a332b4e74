"""Single figures, and tables of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from labs.results.checks import same_length
from labs.results.result import Provenance, Result
from labs.text import Text


class Metric(Result, frozen=True, kw_only=True, tag="metric"):
    """One figure. ``low`` and ``high`` are its spread: 20th and 80th percentile unless ``source`` says else.

    ``predicted`` is what theory says of the same quantity, in the same unit, and ``formula`` how: the view
    shows both and the error. ``better`` says which direction is good, if one is. ``value`` None: not measured
    yet.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    predicted: float | None = None
    formula: Text | None = None
    better: Literal["lower", "higher", ""] = ""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    title: Text
    unit: str = ""
    provenance: Provenance | None = None  # where it differs from the table's
    help: Text | None = None


class Table(Result, frozen=True, kw_only=True, tag="table"):
    """Rows of cells: text, number, or None for "no such figure". ``highlight`` is the row to mark, if any."""

    columns: list[Column]
    rows: list[list[Text | float | int | None]]
    highlight: int | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            same_length(f"a row of table {self.id!r}", row, self.columns)
