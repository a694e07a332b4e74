"""Parameters in words: label and value in the current language, from the lab's schema."""

from __future__ import annotations

from typing import Any

from gui.lab.number_text import plain
from gui.language import language_switch


def parameter_label(schema: dict[str, Any], name: str) -> str:
    """A parameter that the lab no longer has keeps its name."""
    prop = schema.get("properties", {}).get(name, {})
    title = prop.get("x-inferlab", {}).get("title")
    return language_switch.pick(title) if title else str(prop.get("title", name))


def value_text(schema: dict[str, Any], name: str, value: Any) -> str:
    extra = schema.get("properties", {}).get(name, {}).get("x-inferlab", {})
    choice = (extra.get("choices") or {}).get(str(value))
    if choice:
        return language_switch.pick(choice)
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, int | float):
        return f"{plain(value)} {extra.get('unit') or ''}".strip()
    return shortened(str(value))


def shortened(text: str) -> str:
    """The first line of a text of several: code stands elsewhere in full."""
    first, *rest = text.strip().split("\n")
    return f"{first} …" if rest else first


def changed_text(schema: dict[str, Any], params: dict[str, Any]) -> str:
    """``Bits 4 · Group size 64``: what differs from the defaults."""
    properties = schema.get("properties", {})
    return " · ".join(
        f"{parameter_label(schema, name)} {value_text(schema, name, value)}"
        for name, value in params.items()
        if name not in properties or properties[name]["default"] != value
    )
