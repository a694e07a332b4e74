"""Bilingual text: every string that a lab shows is one, so that the language switches at run time."""

from __future__ import annotations

import msgspec


class Text(msgspec.Struct, frozen=True):
    """The same sentence in Chinese and in English; neither may be empty."""

    zh: str
    en: str

    def __post_init__(self) -> None:
        if not self.zh.strip() or not self.en.strip():
            raise ValueError(f"a text needs both languages, got zh={self.zh!r}, en={self.en!r}")

    def __str__(self) -> str:
        return self.en


def same(text: str) -> Text:
    """A name that is the same in both languages, such as ``BF16`` or ``q_proj``."""
    return Text(zh=text, en=text)
