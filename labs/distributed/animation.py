"""The recorded ring as results that the window plays: who computes what, who holds which block, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.formulas.ring_attention import positions
from labs.results import (
    Axis,
    BlockChanges,
    BlockMap,
    EventKind,
    Owner,
    Provenance,
    TileRuns,
    Tiles,
    TileTensor,
    Timeline,
    Trace,
    array,
    runs,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.distributed.ring_run import Ran, Study
    from labs.formulas.ring_attention import Layout
    from labs.results import Array, Result

CLOCK = "ring"
_SEND, _BEGIN, _END, _ARRIVE = range(4)
_CELLS = 8  # of the score matrix, a rank and side: a cell stands for several tokens
_MEASURED = Provenance.MEASURED


class Event(NamedTuple):
    time: float
    kind: int
    rank: int
    step: int
    block: int


def events_of(study: Study, ran: Ran) -> list[Event]:
    """In the order of their times, from the first rank's start; a rank without pairs does not compute."""
    start = min(one.posted[0] for one in ran.records)
    found = []
    for rank, record in enumerate(ran.records):
        for step in range(study.ranks):
            block, last = (rank - step) % study.ranks, step == study.ranks - 1
            if not last:
                found.append(Event(record.posted[step] - start, _SEND, rank, step, block))
            if record.pairs[step]:
                found.append(Event(record.began[step] - start, _BEGIN, rank, step, block))
                found.append(Event(record.ended[step] - start, _END, rank, step, block))
            if not last:
                arriving = (block - 1) % study.ranks
                found.append(Event(record.arrived[step] - start, _ARRIVE, rank, step, arriving))
    return sorted(found, key=lambda one: (one.time, one.kind))


def animation(study: Study) -> Iterator[Result]:
    """Trace, timeline, tiles and block map of the chosen layout; nothing where its check failed."""
    ran = study.by_layout[study.layout]
    if not ran.passed:
        return
    events = events_of(study, ran)
    yield _trace(study, events)
    yield _timeline(study, ran)
    yield _tiles(study, events)
    yield _block_map(study, events)


def _trace(study: Study, events: list[Event]) -> Trace:
    return Trace(
        id=CLOCK,
        title=Text(zh="环上的事件", en="Events of the ring"),
        provenance=_MEASURED,
        times=array([one.time for one in events]),
        kinds=[
            EventKind(
                name=Text(zh="发送", en="send"),
                template=Text(
                    zh="第 {step} 步：进程 {rank} 开始把块 {block} 传给进程 {to}",
                    en="step {step}: rank {rank} starts sending block {block} to rank {to}",
                ),
            ),
            EventKind(
                name=Text(zh="开始算", en="compute"),
                template=Text(
                    zh="第 {step} 步：进程 {rank} 的查询开始看块 {block}",
                    en="step {step}: the queries of rank {rank} look at block {block}",
                ),
            ),
            EventKind(
                name=Text(zh="合并", en="merge"),
                template=Text(
                    zh="第 {step} 步：进程 {rank} 把块 {block} 的结果按 log-sum-exp 并入",
                    en="step {step}: rank {rank} merges block {block} by log-sum-exp",
                ),
            ),
            EventKind(
                name=Text(zh="收到", en="receive"),
                template=Text(
                    zh="第 {step} 步：进程 {rank} 收到块 {block}",
                    en="step {step}: rank {rank} has block {block}",
                ),
            ),
        ],
        kind_index=array([one.kind for one in events], "int64"),
        columns={
            "step": array([one.step for one in events], "int64"),
            "rank": array([one.rank for one in events], "int64"),
            "block": array([one.block for one in events], "int64"),
            "to": array([(one.rank + 1) % study.ranks for one in events], "int64"),
        },
        at=_in_the_middle(events),
        wide=True,
    )


def _in_the_middle(events: list[Event]) -> int:
    """Where a rank begins to compute, half way round: the picture shows blocks away from home, at work."""
    begun = [place for place, one in enumerate(events) if one.kind == _BEGIN]
    return min(begun, key=lambda place: abs(place - len(events) // 2))


def _timeline(study: Study, ran: Ran) -> Timeline:
    start = min(one.posted[0] for one in ran.records)
    bars: list[tuple[int, float, float, int, Text, float]] = []
    for rank, record in enumerate(ran.records):
        for step in range(study.ranks):
            block, pairs = (rank - step) % study.ranks, record.pairs[step]
            began, ended, arrived = (
                getattr(record, name)[step] - start for name in ("began", "ended", "arrived")
            )
            if pairs:
                label = Text(zh=f"块 {block}，{pairs:,} 对", en=f"block {block}, {pairs:,} pairs")
                bars.append((rank, began, ended, 0, label, pairs))
            if step < study.ranks - 1:
                waits = Text(zh="等下一块", en="waits for the next block")
                bars.append((rank, ended, max(ended, arrived), 1, waits, 0.0))
    return Timeline(
        id="ring_timeline",
        title=Text(zh="各进程在做什么", en="What each rank does"),
        help=Text(
            zh="蓝：用手里的块算；橙：算完了，等下一块。核少于进程时，等待里也有操作系统的排队。",
            en="Blue: computing with the block at hand; orange: done, and waiting for the next one. With "
            "fewer cores than ranks, waiting is also for the operating system.",
        ),
        provenance=_MEASURED,
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        lanes=[Text(zh=f"进程 {rank}", en=f"rank {rank}") for rank in range(study.ranks)],
        lane=array([bar[0] for bar in bars], "int64"),
        start=array([bar[1] for bar in bars]),
        end=array([bar[2] for bar in bars]),
        category=array([bar[3] for bar in bars], "int64"),
        categories=[Text(zh="计算", en="compute"), Text(zh="等待", en="wait")],
        label=[bar[4] for bar in bars],
        value=array([bar[5] for bar in bars]),
        value_name=Text(zh="查询与键的对", en="pairs of query and key"),
        clock=CLOCK,
        wide=True,
    )


def _tiles(study: Study, events: list[Event]) -> Tiles:
    """The score matrix, filled by who computes it; without what causality leaves out."""
    side = _CELLS * study.ranks
    owned = [positions(rank, study.ranks, side, study.layout) for rank in range(study.ranks)]
    rows: list[tuple[int, int, int, int, int]] = []
    for index, event in enumerate(events):
        if event.kind == _BEGIN:
            for query in owned[event.rank]:
                keys = [key for key in owned[event.block] if key <= query or not study.causal]
                rows += [
                    (index, query, first, stop, event.rank) for first, stop in runs(array(keys, "int64"))
                ]
    at, row, start, stop, category = (array(column, "int64") for column in zip(*rows, strict=True))
    cell = study.tokens // side
    return Tiles(
        id="ring_scores",
        title=Text(zh="注意力矩阵由谁算", en="Who computes which scores"),
        help=Text(
            zh=f"行是查询、列是键，一格约 {cell} 个 token；颜色是进程。条纹分法中相邻 token 属于不同进程，"
            "这里画的是缩小了的同样花样。",
            en=f"Rows are queries, columns keys, a cell some {cell} tokens; the colour is the rank. With "
            "stripes neighbours belong to different ranks: the same pattern is drawn, smaller.",
        ),
        provenance=_MEASURED,
        tensors=[TileTensor(name=Text(zh="查询 × 键", en="queries × keys"), rows=side, columns=side)],
        runs=TileRuns(event=at, tensor=np.zeros_like(at), row=row, start=start, stop=stop, category=category),
        categories=[Text(zh=f"进程 {rank}", en=f"rank {rank}") for rank in range(study.ranks)],
        clock=CLOCK,
    )


def _block_map(study: Study, events: list[Event]) -> BlockMap:
    """Two places a rank: what it computes with, and what is arriving."""
    changes = [(-1, 2 * rank, rank) for rank in range(study.ranks)]
    changes += [(-1, 2 * rank + 1, -1) for rank in range(study.ranks)]
    for index, event in enumerate(events):
        if event.kind == _SEND:
            changes.append((index, 2 * ((event.rank + 1) % study.ranks) + 1, event.block))
        elif event.kind == _ARRIVE:
            changes += [(index, 2 * event.rank, event.block), (index, 2 * event.rank + 1, -1)]
    columns: list[Array] = [array(column, "int64") for column in zip(*changes, strict=True)]
    return BlockMap(
        id="ring_blocks",
        title=Text(zh="哪个进程手里有哪一块 KV", en="Which rank has which block of KV"),
        help=Text(
            zh="一行一个进程，两格：正在用的，和正从左邻传来的。谁也不同时拥有全部 KV。",
            en="A row a rank, two places: the block in use, and the one arriving from the left. Nobody ever "
            "has all KV.",
        ),
        provenance=_MEASURED,
        count=2 * study.ranks,
        block_size=study.tokens // study.ranks,
        unit="token",
        owners=[Owner(name=Text(zh=f"块 {block}", en=f"block {block}")) for block in range(study.ranks)],
        changes=BlockChanges(event=columns[0], block=columns[1], owner=columns[2]),
        row_names=[Text(zh=f"进程 {rank}", en=f"rank {rank}") for rank in range(study.ranks)],
        clock=CLOCK,
    )


NAME_OF_LAYOUT: dict[Layout, Text] = {
    "contiguous": Text(zh="连续", en="contiguous"),
    "zigzag": same("zigzag"),
    "striped": Text(zh="条纹", en="striped"),
}
