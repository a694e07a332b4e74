"""Deep links: ``lab:ID?param=value&…`` carries what differs from the defaults, and reads back checked."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from PySide6.QtCore import QCoreApplication

translate = QCoreApplication.translate

SCHEME = "lab:"


def make_link(lab: str, values: dict[str, Any]) -> str:
    """``values`` should hold only what differs from the defaults: the link stays short and survives new
    defaults."""
    if not values:
        return SCHEME + lab
    pairs = [(name, _written(value)) for name, value in values.items()]
    return f"{SCHEME}{lab}?{urlencode(pairs, quote_via=quote)}"


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_link(link: str) -> tuple[str, dict[str, str]]:
    """The lab's id and the values as text. ValueError for a link that is no lab link."""
    if not link.startswith(SCHEME):
        raise ValueError(link)
    lab, _, query = link.removeprefix(SCHEME).partition("?")
    return lab, dict(parse_qsl(query, keep_blank_values=True))


def checked_values(schema: dict[str, Any], given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """``given`` (text from a link, or values) as the schema's types, and a sentence for each that was
    refused."""
    good: dict[str, Any] = {}
    refused: list[str] = []
    properties = schema.get("properties", {})
    for name, value in given.items():
        if name not in properties:
            refused.append(translate("LabLink", "This lab has no parameter {name}.").format(name=name))
            continue
        try:
            good[name] = _converted(properties[name], value)
        except ValueError:
            allowed = _allowed(properties[name])
            template = translate(
                "LabLink", "{name} = {value} is not possible; allowed: {allowed}. The default is used."
            )
            refused.append(template.format(name=name, value=value, allowed=allowed))
    return good, refused


def _converted(prop: dict[str, Any], value: Any) -> Any:
    if "enum" in prop:
        found = next((choice for choice in prop["enum"] if _written(choice) == _written(value)), None)
        if found is None:
            raise ValueError(value)
        return found
    kind = prop["type"]
    if kind == "boolean":
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if str(value).lower() not in words:
            raise ValueError(value)
        return words[str(value).lower()]
    if kind == "string":
        return str(value)
    number = float(value)
    if not math.isfinite(number) or (kind == "integer" and number != int(number)):
        raise ValueError(value)
    if not prop.get("minimum", -math.inf) <= number <= prop.get("maximum", math.inf):
        raise ValueError(value)
    return int(number) if kind == "integer" else number


def _allowed(prop: dict[str, Any]) -> str:
    if "enum" in prop:
        return ", ".join(_written(choice) for choice in prop["enum"])
    if prop["type"] == "boolean":
        return "true, false"
    low, high = prop.get("minimum", "−∞"), prop.get("maximum", "∞")
    return f"{low} – {high}"
