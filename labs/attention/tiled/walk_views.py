"""The walk as one watches it: what each step touches, one query's maximum and sum, what is never written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.attention.tiled import walk as walking
from labs.attention.tiled.walk_study import METHOD, ORDERS
from labs.results import (
    Axis,
    Column,
    EventKind,
    Lines,
    Provenance,
    Series,
    Table,
    TileRuns,
    Tiles,
    TileTensor,
    Trace,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.attention.tiled.walk_study import Study

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
CLOCK = "walk_steps"
_RUN = ("event", "tensor", "row", "start", "stop", "category")
_KINDS = [
    EventKind(
        name=Text(zh="读 Q", en="load Q"),
        template=Text(zh="从 {row} 行起读一块 Q", en="load a block of Q from row {row}"),
    ),
    EventKind(
        name=Text(zh="读 K、V", en="load K, V"),
        template=Text(zh="从键 {key} 起读一块 K 和 V", en="load a tile of K and V from key {key}"),
    ),
    EventKind(
        name=Text(zh="算分数", en="scores"),
        template=Text(
            zh="S 块 [{row}…, {key}…] = Q·Kᵀ/√d，只在片上", en="S[{row}.., {key}..] = Q·Kᵀ/√d, on the chip"
        ),
    ),
    EventKind(
        name=Text(zh="在线 softmax", en="online softmax"),
        template=Text(
            zh="更新 {row} 行起的 m、ℓ，旧的 O 乘 e^(m旧−m新)",
            en="update m and ℓ from row {row} on; the old O times e^(m old − m new)",
        ),
    ),
    EventKind(
        name=Text(zh="加权", en="mix"),
        template=Text(zh="O 加上 P·V，随后 S 块丢弃", en="O gets P·V added; the piece of S is dropped"),
    ),
    EventKind(
        name=Text(zh="写", en="store"),
        template=Text(
            zh="写回 {row} 行起的 O（v1 连同 m、ℓ）", en="store O from row {row} on (v1: with m and ℓ)"
        ),
    ),
]


def trace(study: Study) -> Trace:
    """One event a step."""
    steps = study.found.steps
    return Trace(
        id=CLOCK,
        title=Text(
            zh=f"{ORDERS[study.found.order].zh}：逐步回放", en=f"{ORDERS[study.found.order].en}, step by step"
        ),
        provenance=_MEASURED,
        times=array(range(len(steps))),
        steps=True,
        kinds=_KINDS,
        kind_index=array([step.what for step in steps], np.int64),
        columns={
            "row": array([step.block for step in steps], np.int64),
            "key": array([step.tile for step in steps], np.int64),
            "moved": array([step.moved for step in steps], np.int64),
        },
        at=_rescaling(steps),
        source=METHOD,
        wide=True,
    )


def _rescaling(steps: list[walking.Step]) -> int:
    """An online softmax in the middle of the walk: what it is about."""
    places = [place for place, step in enumerate(steps) if step.what == walking.RESCALE]
    return places[len(places) // 2]


def tiles(study: Study) -> Tiles:
    """Q, K, V, O, and the scores: drawn, though no memory ever holds them."""
    found, tensors = study.found, (walking.Q, walking.K, walking.V, walking.SCORES, walking.O)
    places = {tensor: place for place, tensor in enumerate(tensors)}
    shown = [access for access in found.accesses if access.tensor in places]
    runs = np.array(
        [(a.step, places[a.tensor], a.row, a.start, a.stop, a.kind) for a in shown], dtype=np.int64
    ).T
    seen = np.where(np.isfinite(study.scores), study.scores, np.nan)
    values = (("Q", study.q), ("K", study.k), ("V", study.v), ("S = Q·Kᵀ/√d", seen), ("O", found.out))
    return Tiles(
        id="walk_tiles",
        title=Text(zh="这一步碰到哪里", en="What this step touches"),
        provenance=_MEASURED,
        tensors=[
            TileTensor(name=same(name), rows=one.shape[0], columns=one.shape[1], values=one)
            for name, one in values
        ],
        runs=TileRuns(**{name: array(column, np.int64) for name, column in zip(_RUN, runs, strict=True)}),
        categories=[
            Text(zh="从内存读", en="loaded from memory"),
            Text(zh="写回内存", en="stored to memory"),
            Text(zh="只在片上", en="on the chip only"),
        ],
        clock=CLOCK,
        help=Text(
            zh="S 画在这里只为看清走到了哪一块：它从头到尾没有“从内存读”或“写回内存”。",
            en="S is drawn to show which piece is at hand: never is it loaded or stored.",
        ),
        source=METHOD,
        wide=True,
    )


def state_curve(study: Study) -> Lines:
    """The followed query's maximum and sum, on the clock."""
    x = array([state.step for state in study.states])
    return Lines(
        id="running_state",
        title=Text(
            zh=f"第 {study.followed + 1} 个查询的 m 与 ℓ", en=f"m and ℓ of query {study.followed + 1}"
        ),
        help=Text(
            zh="m：至今最大的分数。ℓ：至今的权重和，以 m 为基准。m 变大时，旧的 ℓ 先缩小。",
            en="m: largest score so far. ℓ: sum of the weights so far, relative to m; it shrinks as m rises.",
        ),
        provenance=_MEASURED,
        x=Axis(title=Text(zh="步", en="step")),
        y=Axis(title=Text(zh="值", en="value")),
        series=[
            Series(name=same("m"), x=x, y=array([state.now for state in study.states])),
            Series(name=same("ℓ"), x=x, y=array([state.total for state in study.states])),
        ],
        clock=CLOCK,
        source=METHOD,
    )


def traffic_curve(study: Study) -> Lines:
    """Numbers moved so far, under what three kernels would move."""
    steps = study.found.steps
    x = array(range(len(steps)))
    return Lines(
        id="moved_so_far",
        title=Text(zh="至今进出内存的数", en="Numbers that crossed the bus so far"),
        provenance=_MEASURED,
        x=Axis(title=Text(zh="步", en="step")),
        y=Axis(title=Text(zh="个数", en="numbers")),
        series=[
            Series(name=Text(zh="分块", en="tiled"), x=x, y=array([step.moved for step in steps])),
            Series(
                name=Text(zh="朴素，三个内核", en="naive, three kernels"),
                x=array([0, len(steps) - 1]),
                y=array([study.naive_moved] * 2),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        markers=False,
        clock=CLOCK,
        source=METHOD,
    )


def row_table(study: Study) -> Table:
    """The followed query, a row a tile; the last row is naive's."""
    normalised = study.found.order == "keys_outer"
    rows: list[list[Text | float | int | None]] = []
    for state in study.states:
        last = min(state.tile + study.found.columns, len(study.k))
        before = None if state.before == -np.inf else state.before
        rows.append(
            [
                same(f"{state.tile + 1}–{last}"),
                None if state.here == -np.inf else state.here,
                before,
                state.now,
                state.factor,
                state.total,
                state.out,
                state.out if normalised else state.out / state.total,
            ]
        )
    scores = study.scores[study.followed].astype(np.float64)
    most, out = float(scores.max()), float(study.expected[study.followed, 0])
    name = Text(zh="朴素", en="naive")
    rows.append([name, most, None, most, None, float(np.exp(scores - most).sum()), None, out])
    return Table(
        id="row_states",
        title=Text(
            zh=f"第 {study.followed + 1} 个查询，一块一行", en=f"Query {study.followed + 1}, a row a tile"
        ),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="键", en="keys")),
            Column(title=Text(zh="本块最大", en="largest here")),
            Column(title=Text(zh="m 旧", en="m before")),
            Column(title=Text(zh="m 新", en="m now")),
            Column(
                title=Text(zh="旧的乘以", en="old times"),
                help=Text(
                    zh="e^(m旧 − m新)：旧的 ℓ 和 O 换到新的基准。1 表示最大值没变。",
                    en="e^(m before − m now): the old ℓ and O on the new base. 1: the maximum stayed.",
                ),
            ),
            Column(title=same("ℓ")),
            Column(title=Text(zh="存着的 O[0]", en="O[0] held")),
            Column(
                title=Text(zh="÷ ℓ", en="÷ ℓ"),
                help=Text(
                    zh="到这一块为止的注意力结果。v1 每块都除，v2 最后才除一次。",
                    en="Attention over the keys so far. v1 divides at every tile, v2 once at the end.",
                ),
            ),
        ],
        rows=rows,
        highlight=len(rows) - 1,
        source=METHOD,
        wide=True,
    )
