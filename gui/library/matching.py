"""Where a query's words stand in a text: folding, words, ranges, snippets. Every offset is into the original.

Folding keeps the length of the text, so an offset in the folded text is one in the original. A word of Latin
letters or digits matches at the beginning of a word, and where a text lacks it so, also over a hyphen or a
space; a run of Chinese characters matches anywhere.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from typing import NamedTuple

Range = tuple[int, int]

# A keystroke must stay cheap whatever is pasted into the box, and however often a word stands in a text.
MAX_TERMS = 12
MAX_TERM_LENGTH = 64
MAX_OCCURRENCES = 24
HYPHENS = ("-", "\u2010", "\u2011")
_GAPS = str.maketrans(dict.fromkeys((" ", *HYPHENS)))
LEAST_PART = 2  # letters of each part, where a word is written apart

_CHINESE = (
    ("々", "〇"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)


@functools.cache
def _run() -> re.Pattern[str]:
    # At first use, for the app to start without: sets beyond 16 bits take milliseconds to compile.
    chinese = "".join(f"{first}-{last}" for first, last in _CHINESE)
    return re.compile(rf"([{chinese}]+)|[^\W_{chinese}]+")


def _folding_table() -> dict[int, str]:
    table = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full width to ASCII
    accents, superscripts, subscripts = range(0xC0, 0x250), range(0xB2, 0xBA), range(0x2070, 0x208A)
    for code in (*accents, *superscripts, *subscripts):
        plain = unicodedata.normalize("NFKD", chr(code))
        if len(plain) == 1 or all(map(unicodedata.combining, plain[1:])):
            table[code] = plain[0]
    return table


_FOLDED = _folding_table()


def fold(text: str) -> str:
    """The text for comparing: lower case, half width, no accents, British and American spelling alike."""
    return spelled(text.translate(_FOLDED).lower())


def spelled(text: str) -> str:
    """``-ise`` and ``-ize`` are made equal by writing every s after i or y as z: unlike a rule for endings
    this holds for half a word too, and one types half words."""
    return text.replace("is", "iz").replace("ys", "yz")


def without_gaps(folded: str) -> str:
    """The folded text in one word: without spaces and hyphens."""
    return spelled(folded.translate(_GAPS))


class Run(NamedTuple):
    """A word or a run of Chinese characters, folded; ``gap`` is what stands between it and the run before."""

    text: str
    chinese: bool
    gap: str


def runs(text: str) -> list[Run]:
    """The folded text cut into words and runs of Chinese characters."""
    folded, end, found = fold(text), 0, []
    for match in _run().finditer(folded):
        found.append(Run(match[0], match[1] is not None, folded[end : match.start()]))
        end = match.end()
    return found


def terms(query: str) -> list[str]:
    """What to look for, folded and without repeats; empty where the query has no letter or digit."""
    # Enough text for the terms, however long the query is.
    found = [run.text[:MAX_TERM_LENGTH] for run in runs(query[: 2 * MAX_TERMS * MAX_TERM_LENGTH])]
    return list(dict.fromkeys(found))[:MAX_TERMS]


def is_chinese(term: str) -> bool:
    """Whether the term begins with a Chinese character; those of ``terms`` are never mixed."""
    head = term[0]
    return head >= "々" and any(first <= head <= last for first, last in _CHINESE)


def occurrences(folded: str, term: str) -> list[Range]:
    """Where the term stands in a folded text, as (start, end), ascending, MAX_OCCURRENCES at most."""
    anywhere = is_chinese(term)
    found: list[Range] = []
    start = folded.find(term)
    while start >= 0 and len(found) < MAX_OCCURRENCES:
        if anywhere or start == 0 or not _in_word(folded[start - 1]):
            found.append((start, start + len(term)))
        start = folded.find(term, start + len(term))
    return found


def parted(folded: str, term: str) -> list[Range]:
    """Where the term stands over hyphens, or in two words: the whole of them, or a number and what it counts.

    As ``occurrences``, but for a term that a text may lack: ``4bit`` in 4-bit, ``kvcache`` in KV cache.
    """
    found: list[Range] = []
    if len(term) == 1 or is_chinese(term):
        return found
    for match in _parted(term).finditer(folded):
        start, end = match.span()
        if (start == 0 or not _in_word(folded[start - 1])) and _joins(folded, start, end):
            found.append((start, end))
        if len(found) == MAX_OCCURRENCES:
            break
    return found


@functools.lru_cache(maxsize=256)
def _parted(term: str) -> re.Pattern[str]:
    # Folding writes a z for an s that follows i or y, but not over a gap.
    letters = [
        "[sz]" if one == "z" and before in ("i", "y") else re.escape(one)
        for before, one in zip(" " + term, term, strict=False)
    ]
    return re.compile(f"[ {''.join(HYPHENS[1:])}-]?".join(letters))


def _joins(folded: str, start: int, end: int) -> bool:
    """Whether each space in the range may be left out."""
    whole = end == len(folded) or not _in_word(folded[end])
    parts = folded[start:end].split(" ")
    return all(
        counts(left, right) or (whole and long(left, right)) for left, right in itertools.pairwise(parts)
    )


def counts(before: str, after: str) -> bool:
    """Whether two words are a number and what it counts: ``4 bits``."""
    return before[-1].isdigit() and after[0].isalpha()


def long(before: str, after: str) -> bool:
    """Whether both may be words of their own: "a way" is not "away"."""
    return len(before) >= LEAST_PART <= len(after)


def ranges(folded: str, wanted: list[str], unparted: list[str] | None = None) -> list[Range]:
    """Where any of the terms stands in a folded text, ascending and apart; ``unparted`` ones in one only."""
    spans = [span for term in wanted for span in occurrences(folded, term) or parted(folded, term)]
    spans += [span for term in unparted or [] if term for span in occurrences(folded, term)]
    apart: list[Range] = []
    for start, end in sorted(spans, key=_earliest_longest):
        if not apart or start >= apart[-1][1]:
            apart.append((start, end))
    return apart


def snippet(text: str, folded: str, found: list[Range], length: int) -> tuple[str, list[Range]]:
    """About ``length`` characters of the text where the most different terms stand, with their ranges.

    ``found`` is what ``ranges`` gave; without any it is the beginning. An ellipsis marks a cut end.
    """
    first = _densest(folded, found, length * 4 // 5)
    # A little of what stands before the match, from the beginning of a word on.
    start = max(0, min(first - length // 5, len(text) - length))
    while 0 < start < first and (folded[start].isspace() or _cuts_word(folded, start)):
        start += 1
    end = min(len(text), start + length)
    # To the end of the word, if it is not too long.
    limit = min(len(text), end + 20)
    while end < limit and _cuts_word(folded, end):
        end += 1
    shown = [(at - start, to - start) for at, to in found if start <= at and to <= end]
    head, tail = "…" if start else "", "…" if end < len(text) else ""
    return f"{head}{text[start:end].rstrip()}{tail}", [(at + len(head), to + len(head)) for at, to in shown]


def _densest(folded: str, found: list[Range], length: int) -> int:
    """The first occurrence from which ``length`` characters hold the most different terms; 0 without any."""
    every = len({folded[start:end] for start, end in found})
    best, most = 0, 0
    for place, (start, _) in enumerate(found):
        different = {
            folded[at:to] for at, to in found[place : place + MAX_OCCURRENCES] if to <= start + length
        }
        if len(different) > most:
            best, most = start, len(different)
        if most == every:
            break
    return best


def _earliest_longest(span: Range) -> Range:
    return span[0], -span[1]


def _cuts_word(folded: str, position: int) -> bool:
    return _in_word(folded[position - 1]) and _in_word(folded[position])


def _in_word(character: str) -> bool:
    """Whether the character is a letter or digit of a word: ``alnum``, but no Chinese."""
    return character.isalnum() and not is_chinese(character)
