"""What a lab yields: result kinds, each with a unit and the provenance of its figures.

Arrays are numpy arrays; on the wire they travel as raw bytes (see ``labs.wire``), in JSON as lists.
A result yielded again under the same ``id`` replaces the earlier one in place.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sized

Array = NDArray[Any]


class Provenance(enum.Enum):
    """Where a figure comes from."""

    MEASURED = "measured"  # on this device, in this run
    SIMULATED = "simulated"  # by an event simulator
    ESTIMATED = "estimated"  # by a formula
    REPORTED = "reported"  # by a cited source


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Common to all kinds.

    ``unit`` is that of the figures (of the y axis where there are two); ``""`` means dimensionless.
    ``source`` traces them: an estimate's formula, a report's citation, a measurement's method.
    ``wide`` asks for the full width of the results.
    """

    id: str
    title: Text
    provenance: Provenance
    unit: str = ""
    help: Text | None = None
    source: Text | None = None
    wide: bool = False


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
            _same_length(f"a row of table {self.id!r}", row, self.columns)


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A named place on an axis."""

    at: float
    name: Text


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """``ticks`` name the places of an axis that carries rows instead of numbers; it then needs no legend."""

    title: Text
    unit: str = ""
    log: bool = False
    ticks: list[Tick] = []


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One named curve or point set; ``x`` and ``y`` are 1-D, of equal length, NaN where there is no figure.

    ``low`` and ``high`` bound ``y``. ``provenance`` is given where it differs from the plot's. ``labels``
    name single points. ``reference`` draws a thin dashed line: a baseline or a bound.
    """

    name: Text
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    provenance: Provenance | None = None
    labels: list[Text] | None = None
    reference: bool = False

    def __post_init__(self) -> None:
        for other in (self.y, self.low, self.high, self.labels):
            _same_length(f"series {self.name}", self.x, other)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled vertical line at ``x`` (the current setting, a clipping threshold)."""

    x: float
    name: Text | None = None


class Lines(Result, frozen=True, kw_only=True, tag="lines"):
    """Curves over a common x axis. ``markers`` also draws the points."""

    x: Axis
    y: Axis
    series: list[Series]
    marks: list[Mark] = []
    markers: bool = True


class Scatter(Result, frozen=True, kw_only=True, tag="scatter"):
    """Points, and reference series as lines behind them: a roofline."""

    x: Axis
    y: Axis
    series: list[Series]


class BarSeries(msgspec.Struct, frozen=True, kw_only=True):
    """One bar a category; NaN leaves a gap. ``low`` and ``high`` are drawn as whiskers."""

    name: Text
    values: Array
    low: Array | None = None
    high: Array | None = None
    provenance: Provenance | None = None


class Bars(Result, frozen=True, kw_only=True, tag="bars"):
    """Grouped bars. A ``missing`` category maps to the reason why it has no figure here."""

    categories: list[Text]
    series: list[BarSeries]
    y: Axis
    missing: dict[int, Text] = {}

    def __post_init__(self) -> None:
        for series in self.series:
            for values in (series.values, series.low, series.high):
                _same_length(f"series {series.name} of bars {self.id!r}", self.categories, values)


class HistogramSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over ``edges`` (one longer than ``counts``)."""

    name: Text
    edges: Array
    counts: Array

    def __post_init__(self) -> None:
        _same_length(f"histogram {self.name}", self.edges[1:], self.counts)


class Histogram(Result, frozen=True, kw_only=True, tag="histogram"):
    """Distributions over one axis, with ``levels`` (the values a format can represent) drawn over them."""

    x: Axis
    series: list[HistogramSeries]
    levels: Array | None = None
    levels_name: Text | None = None
    marks: list[Mark] = []
    log_counts: bool = False


class Heatmap(Result, frozen=True, kw_only=True, tag="heatmap"):
    """A 2-D array, rows downwards. ``diverging`` centres the colours on zero; ``log`` makes them logarithmic.

    Where the data was reduced for the screen, ``row_step`` and ``column_step`` say how many real rows and
    columns one cell stands for, and ``reduction`` how they were reduced (``max`` keeps outliers visible).
    """

    values: Array
    rows: Axis
    columns: Axis
    row_step: float = 1.0
    column_step: float = 1.0
    reduction: Literal["none", "max", "mean"] = "none"
    diverging: bool = False
    log: bool = False
    # Heat maps in one run that share a `scale_group` share their colour scale, so that they can be compared.
    scale_group: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise ValueError(f"heat map {self.id!r}: an array of shape {self.values.shape}, expected 2-D")


class BitField(msgspec.Struct, frozen=True, kw_only=True):
    """A run of bits, most significant first, as ``"0"``/``"1"``; ``role`` picks the colour."""

    role: Literal["sign", "exponent", "mantissa", "integer", "code", "scale"]
    bits: str


class BitRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one format stores the value. ``flips`` is what the value becomes when each bit is flipped, NaN
    where that is no number, in the order of the bits; an empty list: the bits cannot be clicked."""

    name: Text
    fields: list[BitField]
    value: float
    error: float
    note: Text | None = None
    flips: list[float] = []


class Bits(Result, frozen=True, kw_only=True, tag="bits"):
    """The bit patterns of one value in several formats. Clicking a bit sets the lab's parameter ``edits``."""

    rows: list[BitRow]
    edits: str = ""
    highlight: int | None = None


class Markdown(Result, frozen=True, kw_only=True, tag="markdown"):
    """Prose computed by the lab: what one sees and why. Inline Markdown only; no remote images, no HTML."""

    body: Text


ResultKind = Metric | Table | Lines | Scatter | Bars | Histogram | Heatmap | Bits | Markdown


def _same_length(what: str, one: Sized, other: Sized | None) -> None:
    """A view would draw nonsense, or fail far from the lab that made the mistake."""
    if other is not None and len(one) != len(other):
        raise ValueError(f"{what}: {len(one)} and {len(other)} values, expected as many")


def array(values: Any, dtype: Any = np.float64) -> Array:
    """A contiguous numpy array from a list, an array or a CPU tensor."""
    return np.ascontiguousarray(np.asarray(values, dtype=dtype))
