"""Words that one writes in one, with a hyphen or apart: KVCache, KV-cache, KV cache; 4bit, 4-bit, 4 bits.

A page is indexed under its own words, and in one too where a hyphen parts two of them, where a number stands
before a word, or where the content elsewhere knows them in one. A query's neighbours are also looked for in
one. So no list of synonyms is needed, and a query costs a few lookups more.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gui.library.matching import HYPHENS, MAX_TERM_LENGTH, counts, is_chinese, long, spelled

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from gui.library.matching import Run


def hyphenated(runs: Sequence[Run]) -> Iterator[str]:
    """Words parted by hyphens, in one: ``copy-on-write`` as copyonwrite and onwrite."""
    tail = ""
    for after, before in pairwise(reversed(runs)):
        if after.gap in HYPHENS and not (after.chinese or before.chinese):
            tail = _one(after.text, tail)
            yield _one(before.text, tail)
        else:
            tail = ""


def spaced(runs: Sequence[Run], known: Container[str]) -> Iterator[str]:
    """Words parted by a space, in one: a number and what it counts, and what is ``known`` in one."""
    for left, right in pairwise(runs):
        if right.gap != " " or left.chinese or right.chinese:
            continue
        if counts(left.text, right.text) or (
            long(left.text, right.text) and _one(left.text, right.text) in known
        ):
            yield _one(left.text, right.text)


def vocabulary(texts: Iterable[Sequence[Run]]) -> set[str]:
    """All words of the content that stand in one, or parted by hyphens only."""
    known: set[str] = set()
    for runs in texts:
        known.update(run.text for run in runs if not run.chinese)
        known.update(hyphenated(runs))
    return known


def in_one(terms: Sequence[str]) -> list[str]:
    """For each term but the first: it and the one before it in one; empty where that is no word."""
    return [_one(before, term) if _may_join(before, term) else "" for before, term in pairwise(terms)]


def _may_join(before: str, after: str) -> bool:
    if is_chinese(before) or is_chinese(after):
        return False
    return before[-1].isdigit() != after[0].isdigit() or long(before, after)


def _one(left: str, right: str) -> str:
    """Spelled as folding does, which may now have to do it over the joint."""
    return spelled(left + right)[:MAX_TERM_LENGTH]
