"""Requests read from a trace file, one at a time: a trace may be longer than memory.

CSV has a header and the columns arrival, input and output under the names that Azure's public traces
(``TIMESTAMP,ContextTokens,GeneratedTokens``), vidur or plain words give them; lines that begin with ``#`` are
comments. JSON lines are Mooncake's: ``timestamp`` in ms, ``input_length``, ``output_length``, ``hash_ids``.
"""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

T = TypeVar("T")

# Mooncake's traces: a hash id stands for this many prompt tokens, the last one for those that remain.
HASH_BLOCK_TOKENS = 512

_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
# What a column holds, and the names under which it is known, in lower case.
_COLUMNS = {
    "arrival": ("arrival", "arrival_s", "arrived_at", "timestamp"),
    "input": ("input", "input_tokens", "contexttokens", "num_prefill_tokens"),
    "output": ("output", "output_tokens", "generatedtokens", "num_decode_tokens"),
    "user": ("user",),
    "priority": ("priority",),
    "deadline": ("deadline", "deadline_s"),
}
_REQUIRED = ("arrival", "input", "output")
_INTEGER = Text(zh="整数", en="an integer")
_TOKENS = Text(zh="不小于 1 的整数", en="an integer of at least 1")
_SECONDS = Text(zh="不小于 0 的秒数", en="seconds, at least 0")
_TIME = Text(zh="不小于 0 的秒数，或 ISO 日期时间", en="seconds, at least 0, or an ISO date and time")
_DATE = Text(zh="与首行写法一致的 ISO 日期时间", en="an ISO date and time, written as in the first row")


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request. Equal leading ``hash_ids`` mean equal leading prompt blocks of ``HASH_BLOCK_TOKENS``.

    ``deadline_s`` is on the clock of ``arrival_s``. A larger ``priority`` is more urgent.
    """

    arrival_s: float
    input_tokens: int
    output_tokens: int
    hash_ids: tuple[int, ...] = ()
    user: str = ""
    priority: int = 0
    deadline_s: float | None = None


def read_trace(path: Path) -> Iterator[Request]:
    """The requests of a file in order of arrival: JSON lines if its suffix says so, else CSV.

    Dates count from the first row, numbers from zero. Raises LabError, when the reading gets there, that
    names the line, the value and what is allowed.
    """
    parse = _mooncake_request if path.suffix.lower() in _JSON_SUFFIXES else _CsvParser()
    latest_s = -1.0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in _content(lines):
                try:
                    request = parse(line)
                    if request is None:
                        continue
                    _check_order(request, latest_s)
                except _Malformed as error:
                    raise error.at(path, number) from error
                latest_s = request.arrival_s
                yield request
    except (OSError, UnicodeDecodeError) as error:
        zh, en = f"无法读取请求轨迹 {path}：{error}", f"cannot read the trace {path}: {error}"
        raise LabError(Text(zh=zh, en=en)) from error
    if latest_s < 0:
        raise LabError(Text(zh=f"{path.name} 里没有请求", en=f"{path.name} holds no request"))


class _Malformed(Exception):
    """A value that a row may not have; the reader adds the line."""

    def __init__(self, field: str, value: object, allowed: Text) -> None:
        super().__init__(field)
        self.field, self.value, self.allowed = field, value, allowed

    def at(self, path: Path, line: int) -> LabError:
        zh = f"{path.name} 第 {line} 行：{self.field} = {self.value}；允许：{self.allowed.zh}"
        en = f"{path.name}, line {line}: {self.field} = {self.value}; allowed: {self.allowed.en}"
        return LabError(Text(zh=zh, en=en))


def _content(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines, from 1, without comments and empty ones."""
    for number, line in enumerate(lines, start=1):
        if (text := line.strip()) and not text.startswith("#"):
            yield number, text


def _check_order(request: Request, latest_s: float) -> None:
    if request.arrival_s < latest_s:
        allowed = Text(zh=f"不早于上一行（{latest_s:g} s）", en=f"not before the row above ({latest_s:g} s)")
        raise _Malformed("arrival", f"{request.arrival_s:g} s", allowed)


class _CsvParser:
    """Takes the header first, for which it returns None, then one row a call."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._clock: Callable[[str], float] | None = None

    def __call__(self, line: str) -> Request | None:
        cells = [cell.strip().strip('"') for cell in line.split(",")]
        if not self._places:
            self._places = _places(cells)
            return None
        # A short row lacks its last cells, which are then refused as empty where they are required.
        row = {what: cells[place] for what, place in self._places.items() if place < len(cells)}
        arrival, deadline = row.get("arrival", ""), row.get("deadline", "")
        self._clock = self._clock or _clock(arrival)
        return Request(
            self._clock(arrival),
            _parsed("input", row.get("input", ""), _tokens, _TOKENS),
            _parsed("output", row.get("output", ""), _tokens, _TOKENS),
            user=row.get("user", ""),
            priority=_parsed("priority", row.get("priority") or "0", int, _INTEGER),
            deadline_s=_parsed("deadline", deadline, _seconds, _SECONDS) if deadline else None,
        )


def _places(header: list[str]) -> dict[str, int]:
    """Where each known column stands."""
    names = [name.lower() for name in header]
    found = {what: names.index(name) for what, known in _COLUMNS.items() for name in known if name in names}
    for what in _REQUIRED:
        if what not in found:
            known = ", ".join(_COLUMNS[what])
            allowed = Text(zh=f"含有这些列名之一：{known}", en=f"a column named one of {known}")
            raise _Malformed("header", ",".join(header), allowed)
    return found


def _clock(first: str) -> Callable[[str], float]:
    """Reads arrivals as the first row writes its own: seconds, or dates, which count from it."""
    try:
        _seconds(first)
    except ValueError:
        start = _parsed("arrival", first, datetime.datetime.fromisoformat, _TIME)
        return lambda text: _parsed("arrival", text, lambda date: _elapsed_s(start, date), _DATE)
    return lambda text: _parsed("arrival", text, _seconds, _SECONDS)


def _elapsed_s(start: datetime.datetime, date: str) -> float:
    # One with a zone and one without cannot be subtracted: TypeError.
    return (datetime.datetime.fromisoformat(date) - start).total_seconds()


def _parsed(field: str, text: str, parse: Callable[[str], T], allowed: Text) -> T:
    try:
        return parse(text)
    except (ValueError, TypeError) as error:
        raise _Malformed(field, text or '""', allowed) from error


def _tokens(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError(text)
    return count


def _seconds(text: str) -> float:
    if not 0 <= (value := float(text)) < math.inf:
        raise ValueError(text)
    return value


class _MooncakeRow(msgspec.Struct, gc=False):
    timestamp: Annotated[float, msgspec.Meta(ge=0)]
    input_length: Annotated[int, msgspec.Meta(ge=1)]
    output_length: Annotated[int, msgspec.Meta(ge=1)]
    hash_ids: tuple[int, ...] = ()


_mooncake_row = msgspec.json.Decoder(_MooncakeRow)


def _mooncake_request(line: str) -> Request:
    try:
        row = _mooncake_row.decode(line)
    except msgspec.DecodeError as error:
        raise _malformed_json(line, error) from error
    return Request(row.timestamp / 1000, row.input_length, row.output_length, row.hash_ids)


def _malformed_json(line: str, error: msgspec.DecodeError) -> _Malformed:
    """Names the value that ``error`` complains of: its path ends the message, as in ``at `$.timestamp```."""
    reason, _, path = str(error).partition(" - at `$.")
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return _Malformed(
            "JSON", line[:60], Text(zh=f"一个 JSON 对象（{reason}）", en=f"a JSON object ({reason})")
        )
    field = path.rstrip("`").split("[")[0]
    value = row.get(field, line[:60]) if isinstance(row, dict) else line[:60]
    return _Malformed(field or "JSON", value, _JSON_FIELDS.get(field, _JSON_ROW))


_JSON_FIELDS = {
    "timestamp": Text(zh="不小于 0 的毫秒数", en="milliseconds, at least 0"),
    "input_length": _TOKENS,
    "output_length": _TOKENS,
    "hash_ids": Text(zh="整数的列表", en="a list of integers"),
}
_JSON_ROW = Text(
    zh="含有 timestamp、input_length、output_length 的对象",
    en="an object with timestamp, input_length and output_length",
)
