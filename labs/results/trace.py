"""Recorded events: the clock that other results of a run follow."""

from __future__ import annotations

import re

import msgspec

from labs.results.array import Array
from labs.results.checks import ascending, same_length, within
from labs.results.result import Result
from labs.text import Text

# A column in a template: its name in braces, perhaps with a format.
PLACEHOLDER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")


class EventKind(msgspec.Struct, frozen=True, kw_only=True):
    """One sort of event. ``template`` is its text, with columns of the trace in braces:
    ``#{sequence} allocates block {block}``, ``waits {delay:.2f} s``."""

    name: Text
    template: Text


class Trace(Result, frozen=True, kw_only=True, tag="trace"):
    """Recorded events, ``times`` in seconds and ascending: what the other replayed kinds follow.

    ``kind_index`` indexes ``kinds``, an entry an event; ``columns`` hold what the templates tell of an event.
    Where a column's integers stand for names, ``names`` has these. ``at`` is the event where the cursor first
    stands (None: the last): one at which the run shows what it is about. With ``steps``, times are a count of
    steps, an order without seconds, and events are told by their number. The trace's ``id`` is the ``clock``
    of the results that move with it: their ``event`` is an index into this trace's events.
    """

    times: Array
    kinds: list[EventKind]
    kind_index: Array
    columns: dict[str, Array] = {}
    names: dict[str, list[Text]] = {}
    at: int | None = None
    steps: bool = False

    def __post_init__(self) -> None:
        what = f"trace {self.id!r}"
        for name, column in {"kind": self.kind_index, **self.columns}.items():
            same_length(f"{what}, {name}", self.times, column)
        ascending(f"{what}, times", self.times)
        within(f"{what}, kind", self.kind_index, 0, len(self.kinds))
        for name, names in self.names.items():
            within(f"{what}, {name}", self.columns[name], 0, len(names))
        for text in (side for kind in self.kinds for side in (kind.template.zh, kind.template.en)):
            if unknown := set(PLACEHOLDER.findall(text)) - set(self.columns):
                raise ValueError(f"{what}: {text!r} names no column {min(unknown)!r}")
