"""Code on an exported page: each pane in full, coloured, numbered, with what its marks say."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from gui.lab.code.document import in_lines, mark_colour, token_colour
from gui.lab.code.highlighting import ROLES, spans
from gui.lab.views.view import pick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.theme import Theme

MARKS = ("error", "warning", "good", "note")
CODE_STYLE = (
    """
.panes { display: flex; flex-wrap: wrap; gap: 12px }
.pane { flex: 1 1 420px; min-width: 0 }
.pane h3 { font-size: 13px; margin: 0 0 4px }
pre { background: var(--code); border: 1px solid var(--rule); border-radius: 4px; margin: 0; padding: 6px 8px;
  overflow: auto; max-height: 70vh; font: 12px/1.35 ui-monospace, Consolas, "DejaVu Sans Mono", monospace }
pre i { font-style: normal; color: var(--muted); user-select: none }
"""
    + "".join(f"pre .{role} {{ color: var(--t-{role}) }}" for role in ROLES)
    + "".join(f"pre .m-{role} {{ color: var(--m-{role}); user-select: none }}" for role in MARKS)
)


def code_colours(theme: Theme) -> str:
    """The variables that CODE_STYLE uses, in a theme's colours."""
    tokens = (f"--t-{role}:{token_colour(role, theme)};" for role in ROLES)
    marks = (f"--m-{role}:{mark_colour(role, theme)};" for role in MARKS)
    return "".join((*tokens, *marks))


def code_parts(result: dict[str, Any]) -> Iterator[str]:
    """A part a pane: thousands of lines take a while."""
    yield "<div class='panes'>"
    for pane in result["panes"]:
        name = html.escape(pick(pane["name"]))
        yield f"<div class='pane'><h3>{name}</h3><pre>{_lines(pane)}</pre></div>"
    yield "</div>"


def _lines(pane: dict[str, Any]) -> str:
    lines = in_lines(pane["text"]).split("\n")
    digits, state, made = len(str(len(lines))), "", []
    marks: dict[int, list[str]] = {}
    for mark in pane.get("marks") or []:
        told = f"<span class='m-{mark['role']}'>{' ' * digits}  ▸ {html.escape(pick(mark['text']))}</span>"
        marks.setdefault(mark["line"], []).append(told)
    for number, line in enumerate(lines, start=1):
        found, state = spans(pane["language"], line, state)
        made += [f"<i>{number:>{digits}}</i>  {_coloured(line, found)}", *marks.get(number, [])]
    return "\n".join(made)


def _coloured(line: str, found: list[tuple[int, int, str]]) -> str:
    parts, at = [], 0
    for start, end, role in found:
        parts.append(html.escape(line[at:start]))
        parts.append(f"<span class='{role}'>{html.escape(line[start:end])}</span>")
        at = end
    return "".join((*parts, html.escape(line[at:])))
