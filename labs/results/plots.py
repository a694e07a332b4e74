"""Figures in a plane: curves, points, bars, distributions, maps."""

from __future__ import annotations

from typing import Literal

import msgspec

from labs.results.array import Array
from labs.results.checks import same_length
from labs.results.result import Provenance, Result
from labs.text import Text


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
            same_length(f"series {self.name}", self.x, other)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled vertical line at ``x`` (the current setting, a clipping threshold)."""

    x: float
    name: Text | None = None


class Lines(Result, frozen=True, kw_only=True, tag="lines"):
    """Curves over a common x axis. ``markers`` also draws the points.

    With a ``clock`` (a trace's id) x is in seconds of that trace, whose cursor is drawn.
    """

    x: Axis
    y: Axis
    series: list[Series]
    marks: list[Mark] = []
    markers: bool = True
    clock: str = ""


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
                same_length(f"series {series.name} of bars {self.id!r}", self.categories, values)


class HistogramSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over ``edges`` (one longer than ``counts``)."""

    name: Text
    edges: Array
    counts: Array

    def __post_init__(self) -> None:
        same_length(f"histogram {self.name}", self.edges[1:], self.counts)


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
