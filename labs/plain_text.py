"""A result as text for a terminal: aligned, with units and provenance; curves and maps are summarised."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal

import numpy as np

from labs.change_text import change_text
from labs.replay_text import replay_rows
from labs.results import (
    Bars,
    Bits,
    BlockMap,
    Code,
    Graph,
    Heatmap,
    Histogram,
    Lines,
    Markdown,
    Metric,
    Result,
    Scatter,
    Series,
    Table,
    Tiles,
    Timeline,
    Tokens,
    Trace,
)
from labs.structure_text import code_lines, graph_lines, tile_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.results import Array
    from labs.text import Text

Language = Literal["zh", "en"]


def render(result: Result, language: Language = "en") -> str:
    """The result's title line and body, without a trailing line break."""
    return _Page(language).render(result)


class _Page:
    def __init__(self, language: Language) -> None:
        self._language = language

    def render(self, result: Result) -> str:
        match result:
            case Metric():
                return self._metric(result)
            case Markdown():
                return f"{self._say(result.title)}\n{_indented(self._say(result.body).splitlines())}"
            case Table():
                lines = self._table(result)
            case Lines() | Scatter():
                lines = [self._series(series, result) for series in result.series]
            case Bars():
                lines = self._bars(result)
            case Histogram():
                lines = self._histogram(result)
            case Heatmap():
                lines = [f"{_shape(result.values)}, {_range(result.values)}"]
            case Bits():
                lines = self._bits(result)
            case Trace() | BlockMap() | Timeline() | Tokens():
                rows = replay_rows(result, self._say)
                lines = _aligned(rows, [False, *(True for _ in rows[0][1:])]) if rows else []
            case Code():
                lines = code_lines(result, self._say)
            case Tiles():
                rows = tile_rows(result, self._say)
                lines = _aligned(rows, [False, *(True for _ in rows[0][1:])])
            case Graph():
                lines = graph_lines(result, self._say)
            case _:
                raise TypeError(f"no text form for {type(result).__name__}")
        unit = f" [{result.unit}]" if result.unit else ""
        return f"{self._say(result.title)}{unit} ({result.provenance.value})\n{_indented(lines)}"

    def _say(self, text: Text) -> str:
        return text.zh if self._language == "zh" else text.en

    def _metric(self, metric: Metric) -> str:
        unit = f" {metric.unit}" if metric.unit else ""
        line = f"{self._say(metric.title)}: {_number(metric.value)}{unit}"
        if metric.low is not None and metric.high is not None:
            line += f" [{_number(metric.low)} – {_number(metric.high)}]"
        line += f" ({metric.provenance.value})"
        if metric.predicted is not None:
            error = self._error(metric.value, metric.predicted, metric.unit)
            line += f"\n  {self._label('predicted')}: {_number(metric.predicted)}{unit}{error}"
        trace = metric.formula or metric.source
        return f"{line}\n  {self._say(trace)}" if trace else line

    def _label(self, key: str) -> str:
        zh = {"predicted": "理论预测", "error": "误差", "points": "个点", "levels": "个可表示值"}
        return zh[key] if self._language == "zh" else key

    def _error(self, value: float | None, predicted: float, unit: str) -> str:
        """The measurement's distance from the prediction."""
        error = None if value is None else change_text(value, predicted, unit)
        return f" ({self._label('error')} {self._say(error)})" if error else ""

    def _table(self, table: Table) -> list[str]:
        heads = [self._say(c.title) + (f" [{c.unit}]" if c.unit else "") for c in table.columns]
        rows = [[_cell(cell, self._language) for cell in row] for row in table.rows]
        numeric = [all(not hasattr(row[i], "zh") for row in table.rows) for i in range(len(heads))]
        marks = ["*" if i == table.highlight else "" for i in range(len(rows))]
        if any(marks):
            heads, numeric = ["", *heads], [False, *numeric]
            rows = [[mark, *row] for mark, row in zip(marks, rows, strict=True)]
        return _aligned([heads, *rows], numeric)

    def _series(self, series: Series, plot: Lines | Scatter) -> str:
        provenance = f" ({series.provenance.value})" if series.provenance else ""
        x, y = self._say(plot.x.title), self._say(plot.y.title)
        points = f"{len(series.x)} {self._label('points')}"
        spans = f"{x} {_range(series.x)}; {y} {_range(series.y)}"
        return f"{self._say(series.name)}{provenance}: {points}, {spans}"

    def _bars(self, bars: Bars) -> list[str]:
        heads = ["", *(self._say(series.name) for series in bars.series), ""]
        rows = [
            [
                self._say(category),
                *(_number(float(series.values[i])) for series in bars.series),
                self._say(bars.missing[i]) if i in bars.missing else "",
            ]
            for i, category in enumerate(bars.categories)
        ]
        return _aligned([heads, *rows], [False, *(True for _ in bars.series), False])

    def _histogram(self, histogram: Histogram) -> list[str]:
        lines = [
            f"{self._say(series.name)}: n = {int(np.sum(series.counts)):,}, "
            f"{_number(float(series.edges[0]))} – {_number(float(series.edges[-1]))}"
            for series in histogram.series
        ]
        if histogram.levels is not None:
            lines.append(f"{len(histogram.levels)} {self._label('levels')}, {_range(histogram.levels)}")
        return lines

    def _bits(self, bits: Bits) -> list[str]:
        rows = [
            [
                "*" if i == bits.highlight else "",
                self._say(row.name),
                " ".join(field.bits for field in row.fields),
                repr(row.value),
                _number(row.error),
                self._say(row.note) if row.note else "",
            ]
            for i, row in enumerate(bits.rows)
        ]
        return _aligned(rows, [False, False, False, True, True, False])


def _cell(cell: Text | float | int | None, language: Language) -> str:
    if cell is None or isinstance(cell, int | float):
        return _number(cell)
    return cell.zh if language == "zh" else cell.en


def _number(value: float | int | None) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _range(values: Array) -> str:
    finite = values[np.isfinite(values)] if values.size else values
    return f"{finite.min():.4g} – {finite.max():.4g}" if finite.size else "–"


def _shape(values: Array) -> str:
    return " x ".join(str(size) for size in values.shape)


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _aligned(rows: list[list[str]], right: list[bool]) -> list[str]:
    widths = [max(_width(row[i]) for row in rows) for i in range(len(right))]
    return ["  ".join(_padded(*cell) for cell in zip(row, widths, right, strict=True)) for row in rows]


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Columns that a terminal gives the text: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
