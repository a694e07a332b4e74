"""The text of an event, made from its kind's template when it is asked for."""

from __future__ import annotations

import re
from typing import Any

from gui.lab.number_text import plain
from gui.lab.views.view import pick

# As labs.results allows it: a column's name in braces, perhaps with a format.
PLACEHOLDER = re.compile(r"\{(\w+)(?::([^{}]*))?\}")


class EventTexts:
    """Of a trace's result, in the current language."""

    def __init__(self, result: dict[str, Any]) -> None:
        self._result = result

    def text(self, event: int) -> str:
        kind = self._result["kinds"][int(self._result["kind_index"][event])]
        return PLACEHOLDER.sub(lambda found: self._value(found, event), pick(kind["template"]))

    def _value(self, found: re.Match[str], event: int) -> str:
        column, form = found.group(1), found.group(2)
        value = self._result["columns"][column][event].item()
        names = self._result.get("names", {}).get(column)
        if names:
            return pick(names[value])
        try:
            return format(value, form) if form else plain(value)
        except ValueError:  # a format that the value does not take is the lab's slip: the figure still shows
            return plain(value)
