"""Code in panes whose lines belong together: a source and what compilers made of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from labs.languages import LANGUAGES
from labs.results.array import Array
from labs.results.checks import within
from labs.results.result import Result
from labs.text import Text


def line_count(text: str) -> int:
    """Lines of a text, as editors count them: separated by ``\\n``; one at the end begins no new line."""
    return text.count("\n") + (1 if text and not text.endswith("\n") else 0)


class CodeMark(msgspec.Struct, frozen=True, kw_only=True):
    """Something to say of a line (1-based): an error stands below it, the rest is told on hover."""

    line: int
    text: Text
    role: Literal["error", "warning", "good", "note"] = "note"


class CodePane(msgspec.Struct, frozen=True, kw_only=True):
    """One text: a source, an intermediate representation, generated code. ``language`` is one of LANGUAGES.

    ``links`` has an entry a line of ``text`` (see ``line_count``): the line (1-based) of the *first* pane
    that it comes from, 0 where there is none. ``edits`` is the lab's parameter that this text is: it can then
    be edited in place, and run.
    """

    name: Text
    language: str
    text: str
    links: Array | None = None
    marks: list[CodeMark] = []
    edits: str = ""

    def __post_init__(self) -> None:
        what, lines = f"code pane {self.name.en!r}", line_count(self.text)
        if self.language not in LANGUAGES:
            raise ValueError(f"{what}: language {self.language!r}, expected one of {', '.join(LANGUAGES)}")
        if self.links is not None and len(self.links) != lines:
            raise ValueError(f"{what}: {len(self.links)} links, expected {lines}, one a line")
        for mark in self.marks:
            if not 1 <= mark.line <= max(1, lines):
                raise ValueError(f"{what}: a mark on line {mark.line}, expected 1 to {lines}")


class Code(Result, frozen=True, kw_only=True, tag="code"):
    """Panes side by side, or as tabs where there is no room: a line highlights those linked with it in all
    the others. With a ``clock`` (a trace's id) the line of the first pane is highlighted that the trace's
    column ``line`` names (1-based, 0 for none)."""

    panes: list[CodePane]
    clock: str = ""

    def __post_init__(self) -> None:
        what = f"code {self.id!r}"
        if not self.panes:
            raise ValueError(f"{what}: no pane, expected one at least")
        lines = line_count(self.panes[0].text)
        for pane in self.panes:
            if pane.links is not None:
                within(f"{what}, links of {pane.name.en!r}", pane.links, 0, lines + 1)
