"""Which TeX is set correctly: the renderer draws some commands wrongly without a word, so they are refused.

Found by looking at what ziamath 0.13 draws, where ``math_nodes`` and ``mathml`` do not mend it; a note with
one of these fails the tests, not its readers.
"""

from __future__ import annotations

import re

_END = r"(?![a-zA-Z])"
# What is refused, what becomes of it, and what to write instead.
_REFUSED: tuple[tuple[str, str, str], ...] = (
    (
        r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u303f]",
        "Chinese text is drawn as empty boxes",
        "say it outside of the formula",
    ),
    (
        r"\\operatorname\*",
        r"\operatorname* puts its limits in the wrong place",
        r"write \mathrm{argmin}_{x}",
    ),
    (
        rf"\\(?:no)?limits{_END}",
        r"\limits is ignored",
        "limits stand above and below in a display, and beside in a line",
    ),
    (
        rf"\\big(?:oplus|otimes|odot|sqcup|uplus){_END}",
        "this operator has its limits beside it, in a display too",
        r"write \sum, \prod or \bigcup, or name the range in words",
    ),
    (r"\\\\\s*\[", r"the space in \\[4pt] is printed as text", r"write \\ alone"),
    (
        rf"\\math(?:tt|sf){_END}",
        r"\mathtt and \mathsf are drawn in the wrong font",
        r"write \mathrm, or code outside of the formula",
    ),
    (
        r"\\(?:mathbf|bm|boldsymbol)\s*\{?\s*\d",
        "a bold digit is drawn in the wrong font",
        "write the plain digit",
    ),
    (rf"\\[hc]line{_END}", "rules in an array are drawn in the wrong place", "leave them out"),
    (
        r"\\begin\s*\{array\}\s*\{[^}]*\|",
        "rules in an array are drawn in the wrong place",
        "write columns without |",
    ),
    (rf"\\not{_END}", r"\not stands beside the sign, not through it", r"write \neq, \notin or \nexists"),
    (
        rf"\\(?:text)?color(?:box)?{_END}",
        "a colour spreads over what follows, and ignores the theme",
        "leave it out",
    ),
    (r"\$", "a dollar sign inside a formula", "end the formula before it"),
)
_PATTERNS = tuple((re.compile(pattern), reason, instead) for pattern, reason, instead in _REFUSED)
_UNKNOWN = re.compile(r"<m[io][^>]*>\\([a-zA-Z]+)<")


def check_formula(tex: str) -> str | None:
    """Why ``tex`` would not be drawn as meant, and what to write instead; or None. Unknown commands and
    unbalanced braces included."""
    if not tex.strip():
        return "the formula is empty"
    for pattern, reason, instead in _PATTERNS:
        if match := pattern.search(tex):
            return f"{match.group(0)!r}: {reason}; {instead}"
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
