"""Which TeX is set correctly: the renderer draws some commands wrongly without a word, so they are refused.

Found by looking at what ziamath 0.13 draws; a note with one of these fails the tests, not its readers.
"""

from __future__ import annotations

import re

_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u303f]"),
        "Chinese text is drawn as empty boxes",
    ),
    (re.compile(r"\\operatorname\*"), r"\operatorname* puts its limits in the wrong place"),
    (re.compile(r"\\(?:no)?limits(?![a-zA-Z])"), r"\limits is ignored"),
    (re.compile(r"\\\\\s*\["), r"the space in \\[4pt] is printed as text"),
    (re.compile(r"\\math(?:tt|sf)(?![a-zA-Z])"), r"\mathtt and \mathsf are drawn in the wrong font"),
    (re.compile(r"\\(?:mathbf|bm|boldsymbol)\s*\{?\s*\d"), "a bold digit is drawn in the wrong font"),
    (re.compile(r"\\[hc]line(?![a-zA-Z])"), "rules in an array are drawn in the wrong place"),
    (re.compile(r"\\begin\s*\{array\}\s*\{[^}]*\|"), "rules in an array are drawn in the wrong place"),
    (re.compile(r"\$"), "a dollar sign inside a formula"),
)
_UNKNOWN = re.compile(r"<m[io][^>]*>\\([a-zA-Z]+)<")


def check_formula(tex: str) -> str | None:
    """Why ``tex`` would not be drawn as meant, or None. Unknown commands and unbalanced braces included."""
    if not tex.strip():
        return "the formula is empty"
    for pattern, reason in _REFUSED:
        if match := pattern.search(tex):
            return f"{reason}: {match.group(0)!r}"
    bare = re.sub(r"\\[\\{}]", "", tex)
    if bare.count("{") != bare.count("}"):
        return "the braces are not balanced"
    return _parse_problem(tex)


def _parse_problem(tex: str) -> str | None:
    from latex2mathml.converter import convert

    try:
        mathml = convert(tex)
    except Exception as error:  # the parser raises bare IndexError, AssertionError and a dozen of its own
        return f"not understood ({type(error).__name__})"
    unknown = _UNKNOWN.search(mathml)
    return f"unknown command \\{unknown.group(1)}" if unknown else None
