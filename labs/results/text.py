"""Text: what a model reads and writes, as tokens, and prose about it."""

from __future__ import annotations

import msgspec

from labs.results.array import Array
from labs.results.checks import same_length, within
from labs.results.result import Result
from labs.text import Text


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence's tokens as text. ``event`` says when each appears (-1 or absent: from the start)."""

    name: Text
    tokens: list[str]
    event: Array | None = None
    value: Array | None = None
    category: Array | None = None

    def __post_init__(self) -> None:
        for other in (self.event, self.value, self.category):
            same_length(f"tokens of {self.name}", self.tokens, other)


class Tokens(Result, frozen=True, kw_only=True, tag="tokens"):
    """Text as its tokens, coloured by ``category`` (an index into ``categories``) or by ``value``, a figure
    in the result's ``unit`` that ``value_name`` names. With a ``clock`` they appear as that trace runs."""

    rows: list[TokenRow]
    categories: list[Text] = []
    value_name: Text | None = None
    clock: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.category is not None:
                within(f"tokens {self.id!r}, category", row.category, 0, len(self.categories))


class Markdown(Result, frozen=True, kw_only=True, tag="markdown"):
    """Prose computed by the lab: what one sees and why. Inline Markdown only; no remote images, no HTML."""

    body: Text
