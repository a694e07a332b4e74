"""Where one text of code differs from another: what a comparison of runs marks."""

from __future__ import annotations

import difflib

# Beyond, finding the changes would hold the window up.
MOST_LINES = 3000


def changed_lines(base: str, text: str) -> list[int]:
    """Lines (1-based) of ``text`` that are not in ``base`` or stand for others there; where lines are only
    missing, the line after them. None are found in texts that are too long."""
    one, other = base.split("\n"), text.split("\n")
    if max(len(one), len(other)) > MOST_LINES:
        return []
    found: list[int] = []
    for tag, _, _, start, stop in difflib.SequenceMatcher(None, one, other).get_opcodes():
        if tag != "equal":
            found += range(start + 1, max(start + 1, stop) + 1)
    return sorted({min(line, len(other)) for line in found})


def line_counts(base: str, text: str) -> tuple[int, int]:
    """How many lines were added and how many taken away."""
    matcher = difflib.SequenceMatcher(None, base.split("\n"), text.split("\n"))
    codes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    return sum(code[4] - code[3] for code in codes), sum(code[2] - code[1] for code in codes)
