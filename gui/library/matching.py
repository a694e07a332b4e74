"""Where a query's words stand in a text: folding, words, ranges, snippets. Every offset is into the original.

Folding keeps the length of the text, so an offset in the folded text is one in the original. A word of Latin
letters or digits matches at the beginning of a word; a run of Chinese characters matches anywhere.
"""

from __future__ import annotations

import functools
import re
import unicodedata

Range = tuple[int, int]

# A keystroke must stay cheap whatever is pasted into the box, and however often a word stands in a text.
MAX_TERMS = 12
MAX_TERM_LENGTH = 64
MAX_OCCURRENCES = 24

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
    """The text for comparing: lower case, half width, no accents, British and American spelling alike.

    ``-ise`` and ``-ize`` are made equal by writing every s after i or y as z: unlike a rule for endings this
    holds for half a word too, and one types half words.
    """
    return text.translate(_FOLDED).lower().replace("is", "iz").replace("ys", "yz")


def runs(text: str) -> list[tuple[str, bool]]:
    """The folded text cut into words and runs of Chinese characters, and whether each is Chinese."""
    return [(match[0], match[1] is not None) for match in _run().finditer(fold(text))]


def terms(query: str) -> list[str]:
    """What to look for, folded and without repeats; empty where the query has no letter or digit."""
    # Enough text for the terms, however long the query is.
    found = [run[:MAX_TERM_LENGTH] for run, _ in runs(query[: 2 * MAX_TERMS * MAX_TERM_LENGTH])]
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


def ranges(folded: str, wanted: list[str]) -> list[Range]:
    """Where any of the terms stands in a folded text, ascending and apart."""
    apart: list[Range] = []
    for start, end in sorted(
        (span for term in wanted for span in occurrences(folded, term)), key=_earliest_longest
    ):
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
