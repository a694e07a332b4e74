"""Recorded runs as rows of text: what happened how often, and how it stood at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.results import CACHED, FREE, BlockMap, Timeline, Tokens, Trace
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.results import TokenRow

    Say = Callable[[Text], str]

EVENTS = Text(zh="全部事件", en="all events")
FREE_BLOCKS = Text(zh="空闲", en="free")
CACHED_BLOCKS = Text(zh="缓存", en="cached")


def replay_rows(result: Trace | BlockMap | Timeline | Tokens, say: Say) -> list[list[str]]:
    """Rows of equal length: a name, then what belongs to it. Blocks are as after the last change."""
    match result:
        case Trace():
            return _trace(result, say)
        case BlockMap():
            return _block_map(result, say)
        case Timeline():
            return _timeline(result, say)
        case Tokens():
            return [[say(row.name), f"{len(row.tokens):,}", _written(row)] for row in result.rows]


def _trace(trace: Trace, say: Say) -> list[list[str]]:
    counts = np.bincount(trace.kind_index, minlength=len(trace.kinds))
    unit = "" if trace.steps else " s"
    span = f"{trace.times[0]:.4g} – {trace.times[-1]:.4g}{unit}" if trace.times.size else "–"
    rows = [[say(kind.name), f"{count:,}", ""] for kind, count in zip(trace.kinds, counts, strict=True)]
    return [[say(EVENTS), f"{trace.times.size:,}", span], *rows]


def _block_map(blocks: BlockMap, say: Say) -> list[list[str]]:
    owner = np.full(blocks.count, FREE)
    owner[blocks.changes.block] = blocks.changes.owner  # where a block recurs, numpy keeps the last
    names = {FREE: FREE_BLOCKS, CACHED: CACHED_BLOCKS}
    names |= {index: one.name for index, one in enumerate(blocks.owners)}
    counts = {int(one): int(count) for one, count in zip(*np.unique(owner, return_counts=True), strict=True)}
    shares = {one: count / blocks.count for one, count in counts.items()}
    return [[say(names[one]), f"{count:,}", f"{shares[one]:.1%}"] for one, count in counts.items()]


def _timeline(timeline: Timeline, say: Say) -> list[list[str]]:
    rows = []
    for index, name in enumerate(timeline.categories):
        chosen = timeline.category == index
        total = float((timeline.end - timeline.start)[chosen].sum())
        rows.append([say(name), f"{int(chosen.sum()):,}", f"{total:.4g} {timeline.x.unit}".rstrip()])
    return rows


def _written(row: TokenRow) -> str:
    return repr("".join(row.tokens))
