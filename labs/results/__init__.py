"""What a lab yields: result kinds, each with a unit and the provenance of its figures.

Arrays are numpy arrays; on the wire they travel as raw bytes (see ``labs.wire``), in JSON as lists.
A result yielded again under the same ``id`` replaces the earlier one in place.
"""

from __future__ import annotations

from labs.languages import LANGUAGES
from labs.results.array import Array, array, ints
from labs.results.bits import BitField, BitRow, Bits
from labs.results.blocks import CACHED, FREE, BlockChanges, BlockMap, Owner, TableChanges
from labs.results.code import Code, CodeMark, CodePane, line_count
from labs.results.figures import Column, Metric, Table
from labs.results.graph import Graph, GraphEdge, GraphNode
from labs.results.plots import (
    Axis,
    Bars,
    BarSeries,
    Heatmap,
    Histogram,
    HistogramSeries,
    Lines,
    Mark,
    Scatter,
    Series,
    Tick,
)
from labs.results.result import Provenance, Result
from labs.results.text import Markdown, TokenRow, Tokens
from labs.results.tiles import TileRuns, Tiles, TileTensor, grid_runs, runs
from labs.results.timeline import Timeline
from labs.results.trace import PLACEHOLDER, EventKind, Trace

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
    | Code
    | Tiles
    | Graph
    | Markdown
)

__all__ = [
    "CACHED",
    "FREE",
    "LANGUAGES",
    "PLACEHOLDER",
    "Array",
    "Axis",
    "BarSeries",
    "Bars",
    "BitField",
    "BitRow",
    "Bits",
    "BlockChanges",
    "BlockMap",
    "Code",
    "CodeMark",
    "CodePane",
    "Column",
    "EventKind",
    "Graph",
    "GraphEdge",
    "GraphNode",
    "Heatmap",
    "Histogram",
    "HistogramSeries",
    "Lines",
    "Mark",
    "Markdown",
    "Metric",
    "Owner",
    "Provenance",
    "Result",
    "ResultKind",
    "Scatter",
    "Series",
    "Table",
    "TableChanges",
    "Tick",
    "TileRuns",
    "TileTensor",
    "Tiles",
    "Timeline",
    "TokenRow",
    "Tokens",
    "Trace",
    "array",
    "grid_runs",
    "ints",
    "line_count",
    "runs",
]
