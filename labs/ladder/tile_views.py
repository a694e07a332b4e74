"""The run in the interpreter, played: which program touches which elements, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.inspection.interpreted import ATOMIC, LOAD, OUTSIDE, STORE, RecordedTensor, Recording
from labs.ladder import access
from labs.ladder.code_views import CLOCK
from labs.results import (
    Column,
    EventKind,
    Provenance,
    Table,
    TileRuns,
    Tiles,
    TileTensor,
    Trace,
    array,
    grid_runs,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.ladder.sandbox import Played
    from labs.results import Array

# A vector is drawn as rows of this many elements.
_ROW = 64
_SOURCE = Text(zh="Triton 解释器逐地址记录", en="recorded address by address in Triton's interpreter")
_KINDS = {
    LOAD: (Text(zh="读", en="load"), "读", "loads"),
    STORE: (Text(zh="写", en="store"), "写", "stores"),
    ATOMIC: (Text(zh="原子", en="atomic"), "原子更新", "updates"),
}
_OUTSIDE_CATEGORY = len(_KINDS)


def trace(recording: Recording) -> Trace:
    """An event an access. Time is the order of accesses: the interpreter's own seconds mean nothing."""
    names = [same(one.name) for one in recording.tensors] + [Text(zh="张量之外", en="no tensor")]
    x, y, z = recording.program.reshape(-1, 3).T
    return Trace(
        id=CLOCK,
        title=Text(zh="逐次访问", en="Access by access"),
        provenance=Provenance.MEASURED,
        times=array(np.arange(len(recording.line))),
        steps=True,
        kinds=[_event_kind(kind) for kind in _KINDS],
        kind_index=recording.kind.astype(np.int64),
        columns={
            "x": x.astype(np.int64),
            "y": y.astype(np.int64),
            "z": z.astype(np.int64),
            "line": recording.line.astype(np.int64),
            "count": recording.count.astype(np.int64),
            "sectors": recording.sectors.astype(np.int64),
            "tensor": np.where(recording.tensor == OUTSIDE, len(names) - 1, recording.tensor).astype(
                np.int64
            ),
        },
        names={"tensor": names},
        at=_first_interesting(recording),
        source=_SOURCE,
        wide=True,
    )


def _first_interesting(recording: Recording) -> int:
    """An access out of bounds where there is one, else the middle of the second program's work."""
    outside = np.flatnonzero(recording.tensor == OUTSIDE)
    return int(outside[0]) if len(outside) else min(len(recording.line) - 1, len(recording.line) // 3)


def _event_kind(kind: int) -> EventKind:
    name, zh, en = _KINDS[kind]
    return EventKind(
        name=name,
        template=Text(
            zh=f"程序 ({{x}}, {{y}}, {{z}}) 第 {{line}} 行{zh} {{tensor}} 的 {{count}} 个元素，"
            "触及 {sectors} 个 32 B 扇区",
            en=f"program ({{x}}, {{y}}, {{z}}), line {{line}}: {en} {{count}} elements of {{tensor}}, "
            "{sectors} sectors of 32 B",
        ),
    )


def tiles(played: Played) -> Tiles:
    """Every tensor as a grid; what the current access touches is bright."""
    recording = played.recording
    assert recording is not None
    shapes = [_grid(tensor) for tensor in recording.tensors]
    tensors = [
        _tensor(one, shape, value)
        for one, shape, value in zip(recording.tensors, shapes, played.values, strict=True)
    ]
    rows = np.array(list(_runs(recording, shapes)), dtype=np.int64).reshape(-1, 6).T
    event, tensor, row, start, stop, category = rows
    return Tiles(
        id="tiles",
        title=Text(zh="哪个程序碰哪些元素", en="Which program touches which elements"),
        help=Text(
            zh="一格一个元素。亮的是此刻的访问，淡的是之前的；解释器一个程序一个程序地跑，GPU 上它们同时跑。",
            en="A cell is an element. Bright: touched now; faint: before. The interpreter runs one program "
            "after the other; on a GPU they run together.",
        ),
        provenance=Provenance.MEASURED,
        tensors=tensors,
        runs=TileRuns(event=event, tensor=tensor, row=row, start=start, stop=stop, category=category),
        categories=[*(name for name, _, _ in _KINDS.values()), Text(zh="越界", en="out of bounds")],
        faults=[_OUTSIDE_CATEGORY],
        clock=CLOCK,
        source=_SOURCE,
        wide=True,
    )


def _grid(tensor: RecordedTensor) -> tuple[int, int]:
    """Rows and columns: the last dimension across, the others folded down; a long vector in rows of _ROW."""
    size = max(1, int(np.prod(tensor.shape)))
    columns = tensor.shape[-1] if tensor.shape else 1
    if columns == size and size > _ROW:
        columns = _ROW
    return -(-size // columns), columns


def _tensor(tensor: RecordedTensor, shape: tuple[int, int], value: Array) -> TileTensor:
    cells = np.full(shape[0] * shape[1], np.nan)
    cells[: value.size] = value.astype(np.float64).reshape(-1)
    name = f"{tensor.name} [{', '.join(map(str, tensor.shape))}]"
    return TileTensor(name=same(name), rows=shape[0], columns=shape[1], values=cells.reshape(shape))


def _runs(
    recording: Recording, shapes: list[tuple[int, int]]
) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(event, tensor, row, start, stop, category); contiguous elements of a row are one run."""
    for event in range(len(recording.line)):
        tensor, elements = int(recording.tensor[event]), np.unique(access.elements_of(recording, event))
        category = int(recording.kind[event]) if tensor != OUTSIDE else _OUTSIDE_CATEGORY
        place = max(tensor, 0)  # what lies in no tensor is drawn in the margin of the first
        for row, start, stop in grid_runs(elements, shapes[place][1]):
            yield event, place, row, start, stop, category


def accesses(recording: Recording) -> Table:
    """A row a line and tensor: how often, how much, and how much of what moves is wanted."""
    rows: list[list[Text | float | int | None]] = [
        [
            one.line,
            _KINDS[one.kind][0],
            same(recording.tensors[one.tensor].name)
            if one.tensor != OUTSIDE
            else Text(zh="张量之外", en="none"),
            one.accesses,
            one.bytes if one.tensor != OUTSIDE else None,
            one.sector_bytes if one.tensor != OUTSIDE else None,
            100 * one.efficiency if one.tensor != OUTSIDE else None,
            _verdict(one),
        ]
        for one in access.by_line(recording)
    ]
    return Table(
        id="accesses",
        title=Text(zh="每一行访问了什么", en="What each line touches"),
        provenance=Provenance.MEASURED,
        columns=[
            Column(title=Text(zh="行", en="line")),
            Column(title=Text(zh="动作", en="does")),
            Column(title=Text(zh="张量", en="tensor")),
            Column(title=Text(zh="次数", en="times")),
            Column(title=Text(zh="要的", en="wanted"), unit="B"),
            Column(
                title=Text(zh="搬的", en="moved"),
                unit="B",
                help=Text(
                    zh="GPU 的内存按 32 字节的扇区搬：一次访问触及的扇区数 × 32。",
                    en="A GPU's memory moves sectors of 32 bytes: those that an access touches, times 32.",
                ),
            ),
            Column(title=Text(zh="合并效率", en="coalescing"), unit="%"),
            Column(title=Text(zh="判断", en="verdict")),
        ],
        rows=rows,
        source=_SOURCE,
    )


def _verdict(one: access.LineAccess) -> Text:
    if one.outside:
        return Text(zh=f"{one.outside:,} 个 lane 越界", en=f"{one.outside:,} lanes out of bounds")
    if one.wasteful:
        return Text(zh="未合并", en="uncoalesced")
    return Text(zh="好", en="good")
