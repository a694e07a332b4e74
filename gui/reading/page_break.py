"""Where a page's HTML can be cut: Qt parses all it is given, and one sees a quarter of a note at first."""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b[^>]*?(/?)>")
# What has no end, with or without a stroke in its tag.
_VOID = {"br", "hr", "img"}
# Only behind these: behind a table, which a list's item may hold, Qt keeps an empty line that what comes
# later cannot take the place of.
_BEFORE = {"p", "h2", "h3", "h4", "h5"}


def page_break(html: str, least: int) -> int:
    """The first place from ``least`` on where an outermost element starts behind a paragraph or heading.

    ``len(html)`` where there is none. ``html`` is well-formed, with ``>`` escaped in attributes.
    """
    depth, before = 0, ""
    for tag in _TAG.finditer(html):
        closing, name, alone = tag.groups()
        if closing:
            depth -= 1
            continue
        if depth == 0:
            if tag.start() >= least and before in _BEFORE:
                return tag.start()
            before = name
        if not alone and name not in _VOID:
            depth += 1
    return len(html)
