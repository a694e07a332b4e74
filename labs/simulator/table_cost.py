"""What a step costs by a table of measured steps, instead of a roofline.

Each row is a step that was timed: a chunk of ``tokens`` of one prompt after ``context`` tokens, or one token
for each of ``tokens`` sequences that together attend to ``context`` tokens. Between rows it is interpolated.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from labs.simulator.cost import Ramp
from labs.simulator.ticks import NEVER, PER_SECOND
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Kind = Literal["prefill", "decode", "swap"]
COLUMNS = ("kind", "tokens", "context", "seconds")


class Timed(NamedTuple):
    """``swap`` moved the KV of ``tokens`` to or from host memory."""

    kind: Kind
    tokens: int
    context: int
    seconds: float


class TableCost:
    """For each kind and number of tokens a line over the context: its start is what does not depend on
    context, its slope the attention. Beyond the table the last piece goes on."""

    def __init__(self, rows: Sequence[Timed]) -> None:
        lines = {kind: _lines(row for row in rows if row.kind == kind) for kind in get_args(Kind)}
        if not lines["decode"] or not lines["prefill"]:
            zh, en = (
                "耗时表至少各要一行 prefill 和 decode",
                "a cost table needs a row of prefill and of decode",
            )
            raise LabError(Text(zh=zh, en=en))
        starts: dict[int, list[float]] = {}
        for tokens, start, _ in lines["decode"] + lines["prefill"]:
            starts.setdefault(tokens, []).append(start)
        self._starts = [(tokens, sum(found) / len(found)) for tokens, found in sorted(starts.items())]
        self._decode = [(tokens, slope) for tokens, _, slope in lines["decode"]]
        self._prefill = [(tokens, slope) for tokens, _, slope in lines["prefill"]]
        swaps = [row for row in rows if row.kind == "swap"]
        self._swap = sum(row.seconds for row in swaps) / sum(row.tokens for row in swaps) if swaps else None
        self._linear: dict[int, int] = {}

    def linear(self, tokens: int, sequences: int) -> int:
        known = self._linear.get(tokens)
        if known is None:
            # A line that goes on below zero would let time run backwards.
            known = self._linear[tokens] = max(1, round(_between(self._starts, tokens) * PER_SECOND))
        return known

    def prefill_attention(self, tokens: int, cached: int) -> int:
        return round(max(0.0, _between(self._prefill, tokens)) * cached * PER_SECOND)

    def decode_attention(self, rows: int, context: int) -> Ramp:
        token = round(max(0.0, _between(self._decode, rows)) * PER_SECOND)
        return Ramp(token * context, token * rows, NEVER)

    def swap(self, tokens: int) -> int:
        if self._swap is None:
            zh = "耗时表里没有 swap 行，不能模拟换出；请改用重算"
            raise LabError(
                Text(zh=zh, en="the cost table has no swap row, so nothing can be swapped: recompute")
            )
        return round(self._swap * tokens * PER_SECOND)


def read_cost_table(path: Path) -> list[Timed]:
    """The rows of a CSV file with the columns kind, tokens, context, seconds; ``#`` begins a comment.

    LabError names the line, the value and what is allowed.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(Text(zh=f"无法读取 {path}：{error}", en=f"cannot read {path}: {error}")) from error
    numbers = [n for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    cells = list(csv.reader(lines[n - 1] for n in numbers))
    if not cells or tuple(cell.strip() for cell in cells[0]) != COLUMNS:
        zh, en = (
            f"{path.name}：表头应为 {','.join(COLUMNS)}",
            f"{path.name}: the header must be {','.join(COLUMNS)}",
        )
        raise LabError(Text(zh=zh, en=en))
    return [_timed(path, number, row) for number, row in zip(numbers[1:], cells[1:], strict=True)]


def _timed(path: Path, number: int, cells: list[str]) -> Timed:
    row = dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=False))
    for column, convert, allowed in (
        ("kind", _kind, Text(zh="prefill、decode 或 swap", en="prefill, decode or swap")),
        ("tokens", _positive, Text(zh="不小于 1 的整数", en="an integer of at least 1")),
        ("context", _count, Text(zh="不小于 0 的整数", en="an integer of at least 0")),
        ("seconds", _seconds, Text(zh="大于 0 的秒数", en="seconds above 0")),
    ):
        value = row.get(column, "")
        try:
            convert(value)
        except ValueError as error:
            zh = f"{path.name} 第 {number} 行：{column} = {value or '空'}；允许：{allowed.zh}"
            en = f"{path.name}, line {number}: {column} = {value or 'empty'}; allowed: {allowed.en}"
            raise LabError(Text(zh=zh, en=en)) from error
    return Timed(_kind(row["kind"]), int(row["tokens"]), int(row["context"]), float(row["seconds"]))


def _kind(text: str) -> Kind:
    for kind in get_args(Kind):
        if text == kind:
            return kind  # type: ignore[no-any-return]
    raise ValueError(text)


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    if not 0 < (value := float(text)) < math.inf:
        raise ValueError(text)
    return value


def _lines(rows: Iterable[Timed]) -> list[tuple[int, float, float]]:
    """``(tokens, start, slope)`` for each number of tokens, by least squares; one row alone has no slope."""
    groups: dict[int, list[Timed]] = {}
    for row in rows:
        groups.setdefault(row.tokens, []).append(row)
    found = []
    for tokens, group in sorted(groups.items()):
        mean_x = sum(row.context for row in group) / len(group)
        mean_y = sum(row.seconds for row in group) / len(group)
        spread = sum((row.context - mean_x) ** 2 for row in group)
        together = sum((row.context - mean_x) * (row.seconds - mean_y) for row in group)
        slope = together / spread if spread else 0.0
        found.append((tokens, mean_y - slope * mean_x, slope))
    return found


def _between(points: Sequence[tuple[int, float]], at: int) -> float:
    """Linear between the two points around ``at``; beyond the ends, the piece there goes on."""
    if len(points) == 1:
        return points[0][1]
    index = min(max(bisect_right(points, at, key=lambda point: point[0]), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[index - 1], points[index]
    return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
