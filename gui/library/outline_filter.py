"""Which nodes of the outline stay while one types into the filter."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from gui.library import matching

if TYPE_CHECKING:
    from gui.library.outline import Node, Outline

# Titles are compared at every keystroke. There are 768, in two languages.
folded_title = functools.lru_cache(maxsize=2048)(matching.fold)
_without_gaps = functools.lru_cache(maxsize=2048)(matching.without_gaps)


def filter_outline(outline: Outline, text: str, language: str) -> set[str]:
    """Ids of the nodes to show: those whose titles or number hold every word, and all above them.

    A word may stand anywhere in the title shown, but only at the beginning of a word in the other language's
    title, so that no row stays for a few letters that nobody sees. A node that matches while nothing below it
    does shows all that is below it.
    """
    words = matching.fold(text).split()
    if not words:
        return set(outline.nodes)
    search = _Filter(words, language)
    for part in outline.parts:
        search.visit(part)
    return search.visible


class _Filter:
    def __init__(self, words: list[str], language: str) -> None:
        self.words = [(word, matching.without_gaps(word)) for word in words]
        self.language = language
        self.visible: set[str] = set()

    def visit(self, node: Node) -> bool:
        """Whether the node or one below it matches; those that are to be seen are added to ``visible``."""
        below = [self.visit(child) for child in node.children]
        if any(below):
            self.visible.add(node.id)
            return True
        if self._matches(node):
            self._show_all(node)
            return True
        return False

    def _matches(self, node: Node) -> bool:
        number = node.id.lower()
        shown = folded_title(node.title(self.language))
        missing = [
            (word, one) for word, one in self.words if word not in shown and not number.startswith(word)
        ]
        if not missing:
            return True
        other = folded_title(node.title("en" if self.language == "zh" else "zh"))
        return all(
            matching.occurrences(other, word) or _over_gaps(shown, one) or _over_gaps(other, one)
            for word, one in missing
        )

    def _show_all(self, node: Node) -> None:
        self.visible.add(node.id)
        for child in node.children:
            self._show_all(child)


def _over_gaps(title: str, one: str) -> bool:
    """Whether a word, given in one, stands in the title in one, with a hyphen or apart."""
    return one in _without_gaps(title) and bool(matching.parted(title, one))
