"""Which lines of which pane belong together: all that come from one line of the first."""

from __future__ import annotations

from typing import Any

import numpy as np


class LineLinks:
    """Of a code result's panes. Lines are 1-based; a pane without links has none, save the first, whose lines
    are what the others come from."""

    def __init__(self, panes: list[dict[str, Any]]) -> None:
        self._links: list[Any] = []
        for place, pane in enumerate(panes):
            links = pane.get("links")
            if links is None:
                count = pane["text"].count("\n") + 1
                links = np.arange(1, count + 1) if place == 0 else np.zeros(count, dtype=np.int64)
            self._links.append(np.asarray(links))

    def source(self, place: int, line: int) -> int:
        """The line of the first pane that a line comes from, 0 for none."""
        links = self._links[place]
        return int(links[line - 1]) if 1 <= line <= len(links) else 0

    def linked(self, place: int, line: int, other: int) -> Any:
        """Lines of the pane ``other`` that come from where a line of the pane ``place`` comes from."""
        source = self.source(place, line) if line else 0
        return np.flatnonzero(self._links[other] == source) + 1 if source else np.zeros(0, dtype=np.int64)
