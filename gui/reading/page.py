"""A question's page as data, and the HTML around its note: title and labs above, related questions below."""

from __future__ import annotations

import re
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote

from PySide6.QtCore import QCoreApplication

translate = QCoreApplication.translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gui.library.notes import FrontMatter, Note, NoteText

Language = Literal["zh", "en"]


# (id, Chinese title, English title) of a question, a lab, or an entry of the breadcrumb.
Titled = tuple[str, str, str]


class NotePage(NamedTuple):
    """All that the view shows of a question. ``breadcrumb`` runs from the part down to the topic.

    ``titles`` are those of all questions by id, in the order of the outline: related notes are named and
    neighbours found by it.
    """

    id: str
    title_zh: str
    title_en: str
    breadcrumb: Sequence[Titled] = ()
    note: Note | None = None
    section_notes: Sequence[Titled] = ()
    labs: Sequence[Titled] = ()
    titles: Mapping[str, tuple[str, str]] = MappingProxyType({})
    lab_titles: Mapping[str, tuple[str, str]] = MappingProxyType({})  # of all labs

    def title(self, language: Language) -> str:
        return self.title_zh if language == "zh" else self.title_en

    def neighbours(self) -> tuple[Titled | None, Titled | None]:
        """The questions before and after this one, where there are any."""
        ids = list(self.titles)
        if self.id not in ids:
            return None, None
        at = ids.index(self.id)
        before = ids[at - 1] if at else None
        after = ids[at + 1] if at + 1 < len(ids) else None
        return self._titled(before), self._titled(after)

    def labs_with(self, named: Iterable[str]) -> list[Titled]:
        """``labs``, then those that the note names besides, as far as they exist."""
        have = {lab[0] for lab in self.labs}
        more = [lab for lab in named if lab in self.lab_titles and lab not in have]
        return [*self.labs, *((lab, *self.lab_titles[lab]) for lab in more)]

    def questions(self, ids: Iterable[str]) -> list[Titled]:
        """The questions that exist among ``ids``, titled."""
        return [titled for titled in map(self._titled, ids) if titled]

    def _titled(self, question_id: str | None) -> Titled | None:
        if question_id is None or question_id not in self.titles:
            return None
        return (question_id, *self.titles[question_id])


def head_html(page: NotePage, language: Language, front: FrontMatter | None) -> str:
    """Breadcrumb, title, and a row of difficulty and lab chips; ``front`` is the note's, if there is one."""
    crumbs = " › ".join(escape(_title(entry, language)) for entry in page.breadcrumb)
    meta = []
    if front is not None:
        meta.append(f'<img src="difficulty:{front.difficulty}" />&nbsp;&nbsp;')
        meta.append(f'<span class="muted">{_difficulty(front.difficulty)}</span>')
    meta += [_chip(lab, language) for lab in page.labs_with(front.labs if front else ())]
    row = f'<p class="meta">{"&nbsp;&nbsp; ".join(_joined(meta))}</p>' if meta else ""
    return f'<p class="crumbs">{crumbs}</p><h2>{escape(page.title(language))}</h2>{row}'


def _joined(meta: list[str]) -> list[str]:
    """The dots and their word belong together; the rest is spaced."""
    return [meta[0] + meta[1], *meta[2:]] if meta[0].startswith('<img src="difficulty') else meta


def foot_html(page: NotePage, related: Iterable[str], language: Language) -> str:
    """Related questions and the neighbouring ones."""
    parts = []
    if questions := page.questions(related):
        parts.append(_list(translate("NotePage", "Related questions"), questions, language))
    if any(page.neighbours()):
        parts.append(_neighbours(page, language))
    return f'<div class="foot">{"".join(parts)}</div>'


def for_paper(html: str) -> str:
    """The page without the links to the neighbouring questions, which lead nowhere on paper."""
    return re.sub(r'<table class="neighbours".*?</table>', "", html, flags=re.DOTALL)


def missing_html(page: NotePage, language: Language) -> str:
    """The body for a question that has no note."""
    parts = [
        _box(
            "note",
            translate("NotePage", "This note is not written yet."),
            translate("NotePage", "Where to go from here:"),
        )
    ]
    if page.section_notes:
        parts.append(_list(translate("NotePage", "Notes of this section"), page.section_notes, language))
    if page.labs:
        items = "".join(
            f'<li><a href="lab:{escape(lab[0])}">{escape(_title(lab, language))}</a></li>'
            for lab in page.labs
        )
        heading = translate("NotePage", "Labs on this section")
        parts.append(f'<p class="foot-title">{heading}</p><ul>{items}</ul>')
    if not page.section_notes and not page.labs:
        parts = [
            _box(
                "note",
                translate("NotePage", "This note is not written yet."),
                translate("NotePage", "Nor does its section have a lab."),
            )
        ]
    return "".join(parts)


def banner_html(text: NoteText) -> str:
    """Says so when the note is shown in the other language, which ``_box`` colours as a caution."""
    if not text.is_fallback:
        return ""
    if text.wanted == "en":
        return _box(
            "banner",
            "",
            translate("NotePage", "This note has no English version yet: the Chinese one is shown."),
        )
    return _box(
        "banner", "", translate("NotePage", "This note has no Chinese version yet: the English one is shown.")
    )


def error_html(reason: str) -> str:
    """The body for a note that cannot be read as written."""
    return _box("error", translate("NotePage", "This note cannot be shown."), reason)


def _box(kind: str, title: str, text: str) -> str:
    head = f'<p class="admonition-title">{escape(title)}</p>' if title else ""
    return (
        f'<table class="box {kind}" width="100%" cellspacing="0"><tr><td class="bar" width="4"></td>'
        f'<td class="box-body">{head}<p>{escape(text)}</p></td></tr></table>'
    )


def _title(entry: Titled, language: Language) -> str:
    return entry[1] if language == "zh" else entry[2]


def _chip(lab: Titled, language: Language) -> str:
    label = quote(_title(lab, language), safe="")
    return f'<a href="lab:{escape(lab[0])}"><img src="chip:{label}" style="vertical-align: middle" /></a>'


def _list(title: str, questions: Iterable[Titled], language: Language) -> str:
    items = "".join(f"<li>{_question(question, language)}</li>" for question in questions)
    return f'<p class="foot-title">{escape(title)}</p><ul>{items}</ul>'


def _question(question: Titled, language: Language) -> str:
    return f'<a href="note:{escape(question[0])}">{escape(_title(question, language))}</a>'


def _neighbours(page: NotePage, language: Language) -> str:
    before, after = page.neighbours()
    cells = []
    for question, label, align in (
        (before, "← " + translate("NotePage", "Previous question"), "left"),
        (after, translate("NotePage", "Next question") + " →", "right"),
    ):
        inside = ""
        if question:
            name = _question(question, language)
            inside = f'<p class="label" align="{align}">{escape(label)}</p><p align="{align}">{name}</p>'
        cells.append(f'<td width="50%">{inside}</td>')
    return f'<table class="neighbours" width="100%" cellspacing="0"><tr>{"".join(cells)}</tr></table>'


def _difficulty(level: int) -> str:
    return (
        translate("NotePage", "Recall"),
        translate("NotePage", "Explain"),
        translate("NotePage", "Design"),
    )[level - 1]
