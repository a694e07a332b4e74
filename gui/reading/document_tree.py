"""The parsed note made fit for QTextDocument, and safe: allowed links and figures only, boxes as tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, SubElement

from markdown.treeprocessors import Treeprocessor

if TYPE_CHECKING:
    from markdown import Markdown

# What a link may be; everything else stays as plain text.
_LINK = re.compile(r"(?:https?://[^\s/]|lab:[a-z]|note:[0-9A-Z]|#.)")
# QTextDocument sizes headings by level whatever a style sheet says: h2 is 1.5 times the text, h3 1.2, h4 1.
# So the page's title is h2 and a note's ``##`` is h3.
HEADING_TAGS = {1: "h2", 2: "h3", 3: "h4", 4: "h5"}
_CLOSING = "，。、；：？！）】」』”’,.;:?!)]%"
ANSWER = ("标准答案", "Answer")


class DocumentTree(Treeprocessor):
    """Runs after the inline patterns. ``contents`` collects (level, text, anchor) of the headings."""

    def __init__(self, md: Markdown) -> None:
        super().__init__(md)
        self.contents: list[tuple[int, str, str]] = []

    def run(self, root: Element) -> None:
        self._headings(root)
        self._fit_formulas(root)
        for parent in list(root.iter()):
            for place, child in enumerate(list(parent)):
                parent[place] = self._converted(child)
        _wrap_answer(root)

    def _fit_formulas(self, root: Element) -> None:
        """Formulas with the punctuation that belongs to them, and a zero-width space after lone ones: a line
        without text has no baseline.
        """
        for element in root.iter():
            if element.tag == "img" and element.get("src", "").startswith("formula-inline"):
                _take_punctuation(element)
            inside = list(element)
            if element.tag in ("td", "th", "li", "p") and inside and not (element.text or "").strip():
                formulas = all(child.tag == "img" and not (child.tail or "").strip() for child in inside)
                if formulas and inside[0].get("src", "").startswith("formula-"):
                    inside[-1].tail = "\u200b"

    def _headings(self, root: Element) -> None:
        taken: dict[str, int] = {}
        for element in root.iter():
            if re.fullmatch(r"h[1-6]", element.tag):
                text = plain_text(element)
                anchor = re.sub(r"\s+", "-", text)
                taken[anchor] = taken.get(anchor, 0) + 1
                if taken[anchor] > 1:
                    anchor = f"{anchor}-{taken[anchor]}"
                element.set("id", anchor)
                level = int(element.tag[1])
                self.contents.append((level, text, anchor))
                element.tag = HEADING_TAGS[min(level, 4)]

    def _converted(self, element: Element) -> Element:
        """What stands in the place of ``element``: itself, changed, or a new element around its content."""
        classes = element.get("class", "").split()
        if element.tag == "a":
            return _checked_link(element)
        if element.tag == "p" and _holds_only_a_figure(element):
            element.attrib.update({"class": "figure", "align": "center"})
        if element.tag == "img" and not element.get("src", "").startswith("formula-"):
            return _figure(element)
        if element.tag == "table":
            element.set("class", "data")
            element.set("cellspacing", "0")
            for cell in element.iter():
                # "text-align: right;" as Python-Markdown writes it is not read on cells.
                if cell.tag in ("td", "th") and (style := cell.attrib.pop("style", "")):
                    cell.set("align", style.removeprefix("text-align:").strip(" ;"))
            return element
        if "admonition" in classes:
            return _box(element, f"box {' '.join(classes)}")
        if element.tag == "blockquote":
            return _box(element, "box quote")
        if "footnote" in classes:
            _plain_footnotes(element)
        return element


def _take_punctuation(formula: Element) -> None:
    """Draw closing punctuation with the formula: Qt breaks lines after every object, joiner or not."""
    tail = formula.tail or ""
    rest = tail.lstrip(_CLOSING)
    if taken := tail[: len(tail) - len(rest)]:
        formula.set("src", f"{formula.get('src')}|{quote(taken, safe='')}")
        formula.tail = rest


def plain_text(element: Element) -> str:
    """The text with formulas as their TeX."""
    parts = [element.text or ""]
    for child in element:
        parts.append(unquote(child.get("alt", "")).strip("$") if child.tag == "img" else plain_text(child))
        parts.append(child.tail or "")
    return "".join(parts).strip()


def _checked_link(element: Element) -> Element:
    if _LINK.match(element.get("href", "")):
        return element
    element.tag = "span"
    element.attrib.clear()
    return element


def _holds_only_a_figure(paragraph: Element) -> bool:
    inside = list(paragraph)
    alone = len(inside) == 1 and not (paragraph.text or "").strip() and not (inside[0].tail or "").strip()
    return alone and inside[0].tag == "img" and not inside[0].get("src", "").startswith("formula-")


def _figure(image: Element) -> Element:
    """``<img>`` as a link that enlarges it, with its alternative text below as the caption."""
    source, caption = image.get("src", ""), image.get("alt", "")
    holder = Element("span")
    holder.tail = image.tail
    link = SubElement(holder, "a", {"href": f"figure:{source}", "class": "figure"})
    SubElement(link, "img", {"src": f"figure:{source}"})
    if caption:
        SubElement(holder, "br")
        SubElement(holder, "span", {"class": "caption"}).text = caption
    return holder


def _box(element: Element, classes: str) -> Element:
    """A table of a coloured bar and a shaded cell: a QTextDocument block can have neither."""
    table = Element("table", {"class": classes, "width": "100%", "cellspacing": "0"})
    table.tail = element.tail
    row = SubElement(table, "tr")
    SubElement(row, "td", {"class": "bar", "width": "4"})
    body = SubElement(row, "td", {"class": "box-body"})
    body.text = element.text
    body.extend(list(element))
    return table


def _wrap_answer(root: Element) -> None:
    """What stands under the first heading, if that is the answer, in a box of its own."""
    children = list(root)
    starts = [place for place, child in enumerate(children) if child.tag == HEADING_TAGS[2]]
    if not starts or plain_text(children[starts[0]]) not in ANSWER:
        return
    end = starts[1] if len(starts) > 1 else len(children)
    inside = children[starts[0] + 1 : end]
    if not inside:
        return
    holder = Element("div")
    holder.extend(inside)
    for child in inside:
        root.remove(child)
    root.insert(starts[0] + 1, _box(holder, "box answer"))


def _plain_footnotes(element: Element) -> None:
    """Drop the rule above the notes: the heading or the space separates enough."""
    for rule in element.findall("hr"):
        element.remove(rule)
