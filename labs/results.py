"""What a lab yields: result kinds, each with a unit and the provenance of its figures.

Arrays are numpy arrays; on the wire they travel as raw bytes (see ``labs.wire``), in JSON as lists.
A result yielded again under the same ``id`` replaces the earlier one in place.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sized

Array = NDArray[Any]

# A column in a template: its name in braces, perhaps with a format.
PLACEHOLDER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")


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


class EventKind(msgspec.Struct, frozen=True, kw_only=True):
    """One sort of event. ``template`` is its text, with columns of the trace in braces:
    ``#{sequence} allocates block {block}``, ``waits {delay:.2f} s``."""

    name: Text
    template: Text


class Trace(Result, frozen=True, kw_only=True, tag="trace"):
    """Recorded events, ``times`` in seconds and ascending: what the other replayed kinds follow.

    ``kind_index`` indexes ``kinds``, an entry an event; ``columns`` hold what the templates tell of an event.
    Where a column's integers stand for names, ``names`` has these. ``at`` is the event where the cursor first
    stands (None: the last): one at which the run shows what it is about. The trace's ``id`` is the ``clock``
    of the results that move with it: their ``event`` is an index into this trace's events.
    """

    times: Array
    kinds: list[EventKind]
    kind_index: Array
    columns: dict[str, Array] = {}
    names: dict[str, list[Text]] = {}
    at: int | None = None

    def __post_init__(self) -> None:
        what = f"trace {self.id!r}"
        for name, column in {"kind": self.kind_index, **self.columns}.items():
            _same_length(f"{what}, {name}", self.times, column)
        _ascending(f"{what}, times", self.times)
        _within(f"{what}, kind", self.kind_index, 0, len(self.kinds))
        for name, names in self.names.items():
            _within(f"{what}, {name}", self.columns[name], 0, len(names))
        for text in (side for kind in self.kinds for side in (kind.template.zh, kind.template.en)):
            if unknown := set(PLACEHOLDER.findall(text)) - set(self.columns):
                raise ValueError(f"{what}: {text!r} names no column {min(unknown)!r}")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds blocks: a sequence, a request, a tensor."""

    name: Text


# An owner in ``BlockChanges`` that is none.
FREE, CACHED = -1, -2


class BlockChanges(msgspec.Struct, frozen=True, kw_only=True):
    """A row says what a block is from its event on, whole, until the next row of the same block.

    ``event`` ascends (-1: before the first event). ``owner`` indexes the map's owners; FREE, or CACHED: its
    content is kept for reuse, nobody holds it. ``shared`` counts references (absent: one where there is an
    owner), ``filled`` the tokens in it (absent: full where it is not free).
    """

    event: Array
    block: Array
    owner: Array
    shared: Array | None = None
    filled: Array | None = None

    def __post_init__(self) -> None:
        for other in (self.block, self.owner, self.shared, self.filled):
            _same_length("block changes", self.event, other)
        _ascending("block changes, event", self.event)


class TableChanges(msgspec.Struct, frozen=True, kw_only=True):
    """A row says that from its event on ``owner``'s block number ``logical`` lies in ``block`` (-1: is gone).

    Several owners may point at one block: that is how sharing is drawn, and whom a block is shared by.
    """

    event: Array
    owner: Array
    logical: Array
    block: Array

    def __post_init__(self) -> None:
        for other in (self.owner, self.logical, self.block):
            _same_length("table changes", self.event, other)
        _ascending("table changes, event", self.event)


class BlockMap(Result, frozen=True, kw_only=True, tag="block_map"):
    """``count`` blocks of ``block_size`` tokens (or whatever ``unit`` says), and who holds each, over time.

    With a ``clock`` (a trace's id) it follows that trace; without, it shows the state after all changes.
    """

    count: int
    block_size: int
    owners: list[Owner]
    changes: BlockChanges
    tables: TableChanges | None = None
    clock: str = ""

    def __post_init__(self) -> None:
        what = f"block map {self.id!r}"
        _within(f"{what}, block", self.changes.block, 0, self.count)
        _within(f"{what}, owner", self.changes.owner, CACHED, len(self.owners))
        if self.tables is not None:
            _within(f"{what}, table block", self.tables.block, -1, self.count)
            _within(f"{what}, table owner", self.tables.owner, 0, len(self.owners))


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
            _same_length(what, self.lane, other)
        _within(f"{what}, lane", self.lane, 0, len(self.lanes))
        _within(f"{what}, category", self.category, 0, len(self.categories))
        if (self.end < self.start).any():
            raise ValueError(f"{what}: a bar ends before it starts")


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence's tokens as text. ``event`` says when each appears (-1 or absent: from the start)."""

    name: Text
    tokens: list[str]
    event: Array | None = None
    value: Array | None = None
    category: Array | None = None

    def __post_init__(self) -> None:
        for other in (self.event, self.value, self.category):
            _same_length(f"tokens of {self.name}", self.tokens, other)


class Tokens(Result, frozen=True, kw_only=True, tag="tokens"):
    """Text as its tokens, coloured by ``category`` (an index into ``categories``) or by ``value``, a figure
    in the result's ``unit`` that ``value_name`` names. With a ``clock`` they appear as that trace runs."""

    rows: list[TokenRow]
    categories: list[Text] = []
    value_name: Text | None = None
    clock: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.category is not None:
                _within(f"tokens {self.id!r}, category", row.category, 0, len(self.categories))


class Markdown(Result, frozen=True, kw_only=True, tag="markdown"):
    """Prose computed by the lab: what one sees and why. Inline Markdown only; no remote images, no HTML."""

    body: Text


ResultKind = (
    Metric
    | Table
    | Lines
    | Scatter
    | Bars
    | Histogram
    | Heatmap
    | Bits
    | Trace
    | BlockMap
    | Timeline
    | Tokens
    | Markdown
)


def _same_length(what: str, one: Sized, other: Sized | None) -> None:
    """A view would draw nonsense, or fail far from the lab that made the mistake."""
    if other is not None and len(one) != len(other):
        raise ValueError(f"{what}: {len(one)} and {len(other)} values, expected as many")


def _ascending(what: str, values: Array) -> None:
    if (np.diff(values) < 0).any():
        raise ValueError(f"{what}: not in ascending order")


def _within(what: str, indices: Array, low: int, end: int) -> None:
    if indices.size and not (low <= indices.min() and indices.max() < end):
        raise ValueError(f"{what}: {indices.min()} to {indices.max()}, expected {low} to {end - 1}")


def array(values: Any, dtype: Any = np.float64) -> Array:
    """A contiguous numpy array from a list, an array or a CPU tensor."""
    return np.ascontiguousarray(np.asarray(values, dtype=dtype))
