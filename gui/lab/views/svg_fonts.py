"""The fonts of a saved picture: a viewer that has none of this machine's still takes one of the same sort.

Without the generic name at the end it would fall back to a serif face, and code would lose its columns.
"""

from __future__ import annotations

import re

from PySide6.QtGui import QFontDatabase

_FAMILIES = re.compile(r'font-family="([^"]*)"')
_FIXED = ["DejaVu Sans Mono", "Consolas", "Menlo", "monospace"]  # of Linux, Windows and macOS


def with_fallbacks(svg: str) -> str:
    """``svg`` with the families of each text followed by what stands in for them."""
    found = {families: _followed(families.split(",")) for families in set(_FAMILIES.findall(svg))}
    return _FAMILIES.sub(lambda match: f'font-family="{found[match[1]]}"', svg)


def _followed(families: list[str]) -> str:
    system = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
    fixed = any(family == system or "mono" in family.lower() for family in families)
    last = _FIXED if fixed else ["sans-serif"]
    return ",".join([*(family for family in families if family not in last), *last])
