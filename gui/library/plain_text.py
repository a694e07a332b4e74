"""The words of a note: Markdown without markup, code blocks and formulas, for indexing and snippets.

Not a Markdown parser: importing one costs more than searching does. Each rule is one regular expression.
"""

from __future__ import annotations

import functools
import re

_RULES = (
    (r"\A---\n(?:.*\n)*?---(?:\n|\Z)", ""),  # front matter
    # Fenced code, indented within an admonition too; an unclosed fence runs to the end.
    (r"^[ \t]*(`{3,}|~{3,}).*\n(?:(?![ \t]*\1).*(?:\n|\Z))*(?:[ \t]*\1.*)?", "\n"),
    (r"<!--[^>]*-->", " "),
    (r"\$\$[^$]*\$\$", " "),
    # Inline maths, as the notes are rendered: no space inside the dollars, so that prices stay prices.
    (r"(?<![\\$])\$(?=\S)[^$\n]+(?<=\S)\$(?!\d)", " "),
    (r"^\[\^[^\]\n]+\]:", ""),  # footnote definitions keep their text
    (r"\[\^[^\]\n]+\]", ""),
    (r"^[ \t]*\[[^\]\n]+\]:[ \t]*\S+.*$", ""),  # link definitions
    (r"!?\[([^\]\n]*)\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)", r"\1"),  # links and images keep their text
    (r"!?\[([^\]\n]*)\]\[[^\]\n]*\]", r"\1"),
    (r"</?[A-Za-z][^<>\n]*>", " "),
    (
        r"^[ \t]*(?:!!!|\?\?\?\+?)[ \t]*[\w-]*(?:[ \t]+\"([^\"\n]*)\")?[^\n]*$",
        r"\1",
    ),  # admonitions keep their title
    (r"^[ \t]*\|?[ \t]*:?-{3,}[-:| \t]*$", ""),  # rules of tables and pages
    (r"\{:[^}\n]*\}", ""),
    (r"^[ \t]*(?:#{1,6}|>+|[-*+]|\d+\.)(?:[ \t]+|$)", ""),
    (r"[ \t]*\|[ \t]*", " "),
    (r"(\*\*|__)(?=\S)([^\n]*?\S)\1", r"\2"),
    (r"(?<![\w*\\])\*(?=\S)([^*\n]*[^\s*\\])\*(?![\w*])", r"\1"),
    (r"(?<![\w_\\])_(?=\S)([^_\n]*[^\s_\\])_(?![\w_])", r"\1"),
    (r"`+", ""),
    (r"\\([\\`*_{}\[\]()#+.!|$-])", r"\1"),
    (r"\s+", " "),
)


@functools.cache
def _compiled() -> list[tuple[re.Pattern[str], str]]:
    # At first use, for the app to start without.
    return [(re.compile(expression, re.MULTILINE), replacement) for expression, replacement in _RULES]


def plain_text(markdown: str) -> str:
    """The note's text on one line. Inline code keeps its text: one searches for ``q_proj``."""
    for pattern, replacement in _compiled():
        markdown = pattern.sub(replacement, markdown)
    return markdown.strip()
