"""The SVG files of ``resources/icons``: lines of one ink, in any colour."""

from __future__ import annotations

from pathlib import Path

ICONS = Path(__file__).resolve().parent.parent / "resources" / "icons"
_INK = "#1f2328"


def line_art(name: str, colour: str) -> str:
    """The SVG ``resources/icons/{name}.svg`` drawn in ``colour``."""
    return (ICONS / f"{name}.svg").read_text(encoding="utf-8").replace(_INK, colour)
