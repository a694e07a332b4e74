"""What Markdown must not touch is taken out first: code becomes finished HTML, formulas become tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree.ElementTree import Element

from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor

from gui.reading.code_block import code_html, copied_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown import Markdown

    DepthOf = Callable[[str], float]

FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w+#-]*)[^\n]*\n"
    r"(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_DISPLAY = re.compile(
    r"^(?P<indent> *)\$\$(?P<tex>(?:(?!\n *\n)[^$])+)\$\$ *$",
    re.MULTILINE,
)
# A code span is matched first, so that the dollars in it are left alone.
_INLINE = re.compile(
    r"(?P<span>(?P<ticks>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`))"
    r"|(?<![\\$])\$(?![\s$])(?P<tex>(?:\\.|[^$\n\\])+?)(?<!\s)\$(?!\d)",
    re.DOTALL,
)
# Private-use characters: no author types them, and no Markdown rule knows them.
_TOKEN = "\ue000{}\ue001"
TOKEN_PATTERN = "\ue000(\\d+)\ue001"
# Deeper than this (in em) a formula would touch the line below, so its line is made taller.
_OVERHANG = 0.42


def formula_source(tex: str, display: bool) -> str:
    """The name by which the page's image object finds the formula."""
    return f"formula-{'display' if display else 'inline'}:{quote(tex, safe='')}"


class SourceBlocks(Preprocessor):
    """Takes code and formulas out. ``code`` collects the Copy texts, ``formulas`` the TeX, in order."""

    def __init__(self, md: Markdown) -> None:
        super().__init__(md)
        self.code: list[str] = []
        self.formulas: list[tuple[str, bool]] = []
        self.tokens: list[str] = []

    def run(self, lines: list[str]) -> list[str]:
        text = "\n".join(lines)
        text = FENCE.sub(self._stash_code, text)
        text = _DISPLAY.sub(self._stash_display, text)
        text = _INLINE.sub(self._tokenise, text)
        return text.split("\n")

    def _stash_code(self, match: re.Match[str]) -> str:
        indent = match["indent"]
        code = re.sub(f"^{indent}", "", match["code"], flags=re.MULTILINE)
        html = code_html(code, match["language"], len(self.code))
        self.code.append(copied_text(code, match["language"]))
        return f"\n{indent}{self.md.htmlStash.store(html)}\n"

    def _stash_display(self, match: re.Match[str]) -> str:
        tex = match["tex"].strip()
        self.formulas.append((tex, True))
        html = f'<p class="display" align="center"><img src="{formula_source(tex, True)}" /></p>'
        return f"\n{match['indent']}{self.md.htmlStash.store(html)}\n"

    def _tokenise(self, match: re.Match[str]) -> str:
        if match["span"]:
            return match["span"]
        self.formulas.append((match["tex"], False))
        self.tokens.append(match["tex"])
        return _TOKEN.format(len(self.tokens) - 1)


class FormulaToken(InlineProcessor):
    """Turns a formula's token into its image element."""

    def __init__(self, md: Markdown, source: SourceBlocks, depth_of: DepthOf) -> None:
        super().__init__(TOKEN_PATTERN, md)
        self._source = source
        self._depth_of = depth_of

    def handleMatch(  # type: ignore[override]
        self, match: re.Match[str], data: str
    ) -> tuple[Element, int, int]:
        tex = self._source.tokens[int(match.group(1))]
        image = Element("img", {"src": formula_source(tex, False), "alt": f"${tex}$"})
        if self._depth_of(tex) > _OVERHANG:
            image.set("style", "vertical-align: middle")
        return image, match.start(0), match.end(0)
