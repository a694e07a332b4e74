"""Code, tiles and graphs as lines of text: sources with their marks, accesses counted, operators listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.results import Code, CodePane, Graph, Tiles

    Say = Callable[[Text], str]

# A terminal shows a source, and the beginning of what became of it; all of that is in ``--json``.
MOST_LINES, MOST_GENERATED = 60, 20

MORE = Text(zh="… 还有 {count} 行", en="… {count} more lines")
LINES = Text(zh="{count} 行", en="{count} lines")
SIZE = Text(zh="{nodes} 个节点，{edges} 条边", en="{nodes} nodes, {edges} edges")


def code_lines(code: Code, say: Say) -> list[str]:
    """Each pane with numbered lines, marks below theirs."""
    first, *others = code.panes
    lines = list(_pane(first, MOST_LINES, say))
    return lines + [line for pane in others for line in _pane(pane, MOST_GENERATED, say)]


def _pane(pane: CodePane, most: int, say: Say) -> Iterator[str]:
    lines = pane.text.removesuffix("\n").split("\n") if pane.text else []
    yield f"{say(pane.name)} ({pane.language}, {say(LINES).format(count=f'{len(lines):,}')})"
    digits = len(str(len(lines)))
    marks: dict[int, list[str]] = {}
    for mark in pane.marks:
        marks.setdefault(mark.line, []).append(f"{' ' * digits}   {mark.role}: {say(mark.text)}")
    left_out = 0
    for number, line in enumerate(lines, start=1):
        if number <= most or number in marks:
            yield f"{number:>{digits}} | {line}"
            yield from marks.get(number, [])
        else:
            left_out += 1
    if left_out:
        yield say(MORE).format(count=f"{left_out:,}")


def tile_rows(tiles: Tiles, say: Say) -> list[list[str]]:
    """Tensors with their shapes, and how many elements are touched in the sense of each category (an element
    that is touched again counts again)."""
    runs, across = tiles.runs, len(tiles.categories)
    keys = runs.tensor.astype(np.int64) * across + runs.category
    counts = np.bincount(keys, runs.stop - runs.start, len(tiles.tensors) * across).reshape(-1, across)
    heads = ["", "", *(say(name) for name in tiles.categories)]
    rows = [
        [say(tensor.name), f"{tensor.rows} x {tensor.columns}", *(f"{int(count):,}" for count in touched)]
        for tensor, touched in zip(tiles.tensors, counts, strict=True)
    ]
    return [heads, *rows]


def graph_lines(graph: Graph, say: Say) -> list[str]:
    """How large it is, how many nodes of each category, and what the groups hold."""
    lines = [say(SIZE).format(nodes=f"{len(graph.nodes):,}", edges=f"{len(graph.edges):,}")]
    for place, name in enumerate(graph.categories):
        count = sum(node.category == place for node in graph.nodes)
        if count:
            lines.append(f"{say(name)}: {count:,}")
    for place, name in enumerate(graph.groups):
        members = ", ".join(say(node.name) for node in graph.nodes if node.group == place)
        lines.append(f"[{say(name)}] {members}")
    return lines
