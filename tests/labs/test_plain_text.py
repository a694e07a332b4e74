"""Results in a terminal: every kind has a form, columns line up in both scripts, provenance is told."""

from __future__ import annotations

import unicodedata
from typing import Any, get_args

import numpy as np
import pytest

from labs.plain_text import render
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    BitField,
    BitRow,
    Bits,
    BlockChanges,
    BlockMap,
    Code,
    CodeMark,
    CodePane,
    Column,
    EventKind,
    Graph,
    GraphEdge,
    GraphNode,
    Heatmap,
    Histogram,
    HistogramSeries,
    Lines,
    Markdown,
    Metric,
    Owner,
    Provenance,
    Result,
    ResultKind,
    Scatter,
    Series,
    Table,
    TileRuns,
    Tiles,
    TileTensor,
    Timeline,
    TokenRow,
    Tokens,
    Trace,
    array,
)
from labs.text import Text, same


def common(**changes: Any) -> dict[str, Any]:
    fields = {"id": "x", "title": Text(zh="标题", en="Title"), "provenance": Provenance.MEASURED, "unit": "B"}
    return {**fields, **changes}


X, Y = Axis(title=same("x")), Axis(title=same("y"))
SERIES = [Series(name=same("s"), x=array([1, 2]), y=array([3, np.nan]), provenance=Provenance.REPORTED)]
BITS = [BitField(role="sign", bits="0"), BitField(role="exponent", bits="0111")]

EXAMPLES: list[tuple[Result, str]] = [
    (Metric(**common(), value=1.5), "Title: 1.5 B (measured)"),
    (Metric(**common(), value=None), "Title: – B (measured)"),
    (Metric(**common(unit=""), value=2.0, low=1.0, high=3.0), "Title: 2 [1 – 3] (measured)"),
    (
        Metric(**common(), value=1.5, predicted=1.0, formula=same("bits / 8")),
        "Title: 1.5 B (measured)\n  predicted: 1 B (error +50.0%)\n  bits / 8",
    ),
    (
        Metric(**common(unit="dB"), value=37.5, predicted=38.0),
        "Title: 37.5 dB (measured)\n  predicted: 38 dB (error -0.5 dB)",
    ),
    (Metric(**common(), value=1.5, predicted=0.0), "Title: 1.5 B (measured)\n  predicted: 0 B"),
    (Metric(**common(source=same("a paper")), value=1.5), "Title: 1.5 B (measured)\n  a paper"),
    (
        Table(
            **common(),
            columns=[Column(title=same("name")), Column(title=same("n"), unit="B")],
            rows=[[same("中文"), 1.5], [same("abcdef"), None]],
            highlight=1,
        ),
        "Title [B] (measured)\n     name    n [B]\n     中文      1.5\n  *  abcdef      –",
    ),
    (
        Lines(**common(), x=X, y=Y, series=SERIES),
        "Title [B] (measured)\n  s (reported): 2 points, x 1 – 2; y 3 – 3",
    ),
    (
        Scatter(**common(), x=X, y=Y, series=SERIES),
        "Title [B] (measured)\n  s (reported): 2 points, x 1 – 2; y 3 – 3",
    ),
    (
        Bars(
            **common(),
            categories=[same("a"), same("b")],
            series=[BarSeries(name=same("s"), values=array([1, np.nan]))],
            y=Y,
            missing={1: same("needs a GPU")},
        ),
        "Title [B] (measured)\n     s\n  a  1\n  b  –  needs a GPU",
    ),
    (
        Histogram(
            **common(),
            x=X,
            series=[HistogramSeries(name=same("h"), edges=array([0, 1, 2]), counts=array([1000, 2000]))],
            levels=array([-1, 0, 1]),
        ),
        "Title [B] (measured)\n  h: n = 3,000, 0 – 2\n  3 levels, -1 – 1",
    ),
    (
        Heatmap(**common(), values=array([[1, 2, 3], [4, 5, np.inf]]), rows=Y, columns=X),
        "Title [B] (measured)\n  2 x 3, 1 – 5",
    ),
    (
        Bits(
            **common(unit=""),
            rows=[BitRow(name=same("FP8"), fields=BITS, value=0.1, error=1e-3)],
            highlight=0,
        ),
        "Title (measured)\n  *  FP8  0 0111  0.1  0.001",
    ),
    (
        Trace(
            **common(unit=""),
            times=array([0, 0.25, 1.5]),
            kinds=[EventKind(name=same(name), template=same(name)) for name in ("arrive", "free")],
            kind_index=array([0, 0, 1], np.int64),
        ),
        "Title (measured)\n  all events  3  0 – 1.5 s\n  arrive      2\n  free        1",
    ),
    (
        Trace(
            **common(unit=""),
            times=array([0, 1]),
            kinds=[EventKind(name=same("load"), template=same("load"))],
            kind_index=array([0, 0], np.int64),
            steps=True,
        ),
        "Title (measured)\n  all events  2  0 – 1\n  load        2",
    ),
    (
        BlockMap(
            **common(unit=""),
            count=8,
            block_size=16,
            owners=[Owner(name=same("#0"))],
            changes=BlockChanges(
                event=array([0, 1, 2, 3], np.int64),
                block=array([5, 6, 5, 7], np.int64),
                owner=array([0, 0, -1, -2], np.int64),
            ),
        ),
        "Title (measured)\n  cached  1  12.5%\n  free    6  75.0%\n  #0      1  12.5%",
    ),
    (
        Timeline(
            **common(unit=""),
            x=Axis(title=same("t"), unit="s"),
            lanes=[same("#0")],
            lane=array([0, 0], np.int64),
            start=array([0, 1]),
            end=array([1, 1.5]),
            category=array([1, 1], np.int64),
            categories=[same("prefill"), same("decode")],
        ),
        "Title (measured)\n  prefill  0    0 s\n  decode   2  1.5 s",
    ),
    (
        Tokens(**common(unit=""), rows=[TokenRow(name=same("#0"), tokens=["a", " b\n"])]),
        "Title (measured)\n  #0  2  'a b\\n'",
    ),
    (
        Code(
            **common(unit=""),
            panes=[
                CodePane(
                    name=same("kernel"),
                    language="python",
                    text="a = 1\nb = a\n",
                    marks=[CodeMark(line=2, text=same("no such name"), role="error")],
                ),
                CodePane(name=same("PTX"), language="ptx", text="\n" * 99 + "ret;"),
            ],
        ),
        "Title (measured)\n  kernel (python, 2 lines)\n  1 | a = 1\n  2 | b = a\n      error: no such name\n"
        + "  PTX (ptx, 100 lines)\n"
        + "".join(f"  {n:>3} |\n" for n in range(1, 21))
        + "  … 80 more lines",
    ),
    (
        Tiles(
            **common(unit=""),
            tensors=[
                TileTensor(name=same("x"), rows=4, columns=8),
                TileTensor(name=same("y"), rows=1, columns=1000),
            ],
            runs=TileRuns(
                event=array([0, 0, 1], np.int64),
                tensor=array([0, 0, 1], np.int64),
                row=array([0, 1, 0], np.int64),
                start=array([0, 2, 0], np.int64),
                stop=array([8, 8, 1000], np.int64),
                category=array([0, 0, 1], np.int64),
            ),
            categories=[same("read"), same("written")],
        ),
        "Title (measured)\n               read  written\n  x     4 x 8    14        0\n"
        "  y  1 x 1000     0    1,000",
    ),
    (
        Graph(
            **common(unit=""),
            nodes=[
                GraphNode(name=same("mm"), category=0),
                GraphNode(name=same("add"), category=1, group=0),
                GraphNode(name=same("gelu"), category=1, group=0),
            ],
            edges=[GraphEdge(source=0, target=1), GraphEdge(source=1, target=2)],
            categories=[same("matrix product"), same("pointwise"), same("unused")],
            groups=[same("fused 0")],
        ),
        "Title (measured)\n  3 nodes, 2 edges\n  matrix product: 1\n  pointwise: 2\n  [fused 0] add, gelu",
    ),
    (Markdown(**common(), body=Text(zh="正文", en="One.\n\nTwo.")), "Title\n  One.\n\n  Two."),
]


@pytest.mark.parametrize(("result", "expected"), EXAMPLES)
def test_each_kind(result: Result, expected: str) -> None:
    assert render(result) == expected
    assert render(result, "zh").startswith("标题")


def test_every_kind_has_an_example() -> None:
    assert {type(result) for result, _ in EXAMPLES} == set(get_args(ResultKind))


def test_columns_line_up_where_a_character_takes_two() -> None:
    rows = [[same("量化"), 1.0], [same("int8"), 22.0], [same("中文名字"), 333.0]]
    table = Table(**common(), columns=[Column(title=same("名")), Column(title=same("值"))], rows=rows)
    widths = {
        sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)
        for line in render(table).splitlines()[1:]
    }
    assert len(widths) == 1
