"""Markdown to the HTML that the page shows, the same for every theme and zoom, kept on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from gui.library.notes import FrontMatter
from gui.reading.digest import digest
from gui.reading.formula import VERSION as FORMULA_VERSION
from gui.reading.formula import Extent

if TYPE_CHECKING:
    from pathlib import Path

    from gui.library.notes import NoteText
    from gui.reading.formula import FormulaStore

# A new number discards what older versions of the renderer have cached; so does a new one of the formulas,
# whose extents are kept with the page.
VERSION = 6


class Rendering(NamedTuple):
    """A note's body. ``contents`` lists (level, text, anchor) of its headings, ``code`` the Copy texts.

    ``front`` is kept with it because reading YAML costs more than showing the note, and the ``extents`` of
    the formulas in its lines, so that laying the page out reads no file for each.
    """

    html: str
    contents: tuple[tuple[int, str, str], ...]
    code: tuple[str, ...]
    front: FrontMatter | None = None
    extents: tuple[Extent, ...] = ()


class Renderer:
    """Renders notes once; a note that was opened before needs neither Python-Markdown nor pygments."""

    def __init__(self, cache_dir: Path, formulas: FormulaStore) -> None:
        self._folder = cache_dir / "notes"
        self._formulas = formulas

    def render(self, text: NoteText) -> Rendering:
        """The note's body as HTML; raises NoteError for front matter that is not as it should be."""
        path = self._folder / f"{VERSION}.{FORMULA_VERSION}-{digest(text.source)}.json"
        found = _load(path)
        if found is None:
            front = text.front
            found = render_markdown(text.body, self._formulas)._replace(front=front)
            _save(path, found)
        self._formulas.recall(found.extents)
        return found


def render_markdown(body: str, formulas: FormulaStore) -> Rendering:
    """Markdown with tables, footnotes, admonitions and formulas. Raw HTML is shown as text, never obeyed."""
    from markdown import Markdown

    from gui.reading.document_tree import DocumentTree
    from gui.reading.markdown_source import FormulaToken, SourceBlocks

    md = Markdown(extensions=["tables", "footnotes", "admonition", "sane_lists"])
    md.preprocessors.deregister("html_block")
    md.inlinePatterns.deregister("html")
    md.ESCAPED_CHARS.append("$")
    source, tree = SourceBlocks(md), DocumentTree(md)
    depth_of = lambda tex: formulas.extent(tex, display=False).depth  # noqa: E731
    md.preprocessors.register(source, "source_blocks", 25)
    md.inlinePatterns.register(FormulaToken(md, source, depth_of), "formula_token", 200)
    md.treeprocessors.register(tree, "document_tree", 5)
    html = md.convert(body)
    extents = tuple(formulas.extent(tex, display=False) for tex in dict.fromkeys(source.tokens))
    return Rendering(html, tuple(tree.contents), tuple(source.code), extents=extents)


def warm_up(formulas: FormulaStore) -> None:
    """Import and exercise what a first rendering needs (0.4 s): a thread can do it ahead of the reader."""
    render_markdown("`x` $x$\n\n```python\nx = 1\n```\n\n| a |\n|---|\n| b |\n", formulas)


def _load(path: Path) -> Rendering | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        contents = tuple((level, text, anchor) for level, text, anchor in data["contents"])
        lists = {name: tuple(data["front"][name]) for name in ("labs", "related")}
        front = FrontMatter(**(data["front"] | lists))
        extents = tuple(Extent(*extent) for extent in data["extents"])
        return Rendering(data["html"], contents, tuple(data["code"]), front, extents)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _save(path: Path, rendering: Rendering) -> None:
    """Written aside and renamed, so that a killed app leaves no half file. A full disk costs time only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        front = rendering.front._asdict() if rendering.front else None
        stored = rendering._asdict() | {"front": front}
        aside.write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")
        aside.replace(path)
    except OSError:
        pass
