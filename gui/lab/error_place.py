"""Which parameter a refusal speaks of, so that it can stand beside that parameter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED = re.compile(r"^(\w+) = ")


def parameter_of(text: Mapping[str, str]) -> str:
    """The parameter that a lab's error names first (``bits = 12 is out of range``), or ``""``."""
    found = _NAMED.match(text["en"])
    return found[1] if found else ""
