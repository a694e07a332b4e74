"""The outline as shipped: verbatim, complete, in both languages; and what the parser refuses."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from gui.library.outline import Outline, OutlineError
from gui.library.outline_files import add_english_titles, load_outline
from gui.library.outline_parser import parse_outline

CONTENT = Path(__file__).resolve().parents[3] / "content"
# Of the outline that the product is built from; a change here changes what ids mean.
OUTLINE_SHA256 = "55b7d99b7b1940a1f30158f391deb367bbab8d20c897668a4c5a5640a1fd86ad"

GOOD_LINK = "- [怎么（GPTQ）做？](../notes/怎么（GPTQ）做.int8().md)"
GOOD = f"""# 大纲

## 主题：推理

序言

## 第一章：模型层

### 1.1 压缩

#### 1.1.1 剪枝
**原理**
- 什么是剪枝？
{GOOD_LINK}

**粒度**
- 哪种粒度？

## 附录：综合

### A. 端到端

**如何设计？**
[**如何协同？**](../notes/a.md)

---

**说明**：本大纲如此。
"""


@pytest.fixture(scope="module")
def outline() -> Outline:
    return load_outline(CONTENT)


def test_the_outline_is_verbatim() -> None:
    assert hashlib.sha256((CONTENT / "outline.md").read_bytes()).hexdigest() == OUTLINE_SHA256


def test_counts(outline: Outline) -> None:
    assert outline.counts() == {"part": 5, "heading": 21, "section": 56, "topic": 168, "question": 518}
    assert len(outline.questions) == 518
    assert [part.id for part in outline.parts] == ["1", "2", "3", "4", "appendix"]


def test_ids_name_the_questions_of_the_outline(outline: Outline) -> None:
    granularity = outline.nodes["1.2.1-07"]
    assert granularity.title_zh == "逐层量化、逐通道量化、分组量化（Group Quantization）的优缺点是什么？"
    assert granularity.parent is outline.nodes["1.2.1/3"]
    assert outline.nodes["1.2.2-09"].title_zh == "GPTQ、LLM.int8()等方法的原理和优缺点是什么？"
    assert outline.nodes["3.5.1-01"].title_zh == "张量并行如何将单个层的权重分布到多个设备？"
    assert outline.nodes["A-03"].title_zh == "给定延迟和吞吐量目标，如何系统性地进行优化？"
    assert outline.nodes["C-03"].title_zh == "如何跟踪和学习最新的优化方法？"
    assert (
        outline.nodes["2.4.1-07"].title_en
        == "What does __syncthreads() do, and when is synchronisation needed?"
    )


def test_parents_and_children_agree_and_lines_ascend(outline: Outline) -> None:
    for node_id, node in outline.nodes.items():
        assert node.id == node_id
        siblings = node.parent.children if node.parent else outline.parts
        assert node in siblings
        assert all(child.parent is node for child in node.children)
    lines = [node.line for node in outline.nodes.values()]
    assert lines == sorted(set(lines))


def test_line_numbers_point_into_the_file(outline: Outline) -> None:
    lines = (CONTENT / "outline.md").read_text(encoding="utf-8").split("\n")
    assert all(node.title_zh in lines[node.line - 1] for node in outline.nodes.values())


def test_no_title_keeps_markup(outline: Outline) -> None:
    titles = [title for node in outline.nodes.values() for title in (node.title_zh, node.title_en)]
    assert not [title for title in titles if re.search(r"\*\*|\]\(|\.md|^\s|\s$", title)]


def test_english_titles_are_english_and_distinct_within_a_section(outline: Outline) -> None:
    for node in outline.nodes.values():
        assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", node.title_en), node
        if node.kind == "question":
            assert node.title_en[0].isupper() and node.title_en.endswith("?"), node
    titles = [(node.id.split("-")[0], node.title_en) for node in outline.questions]
    assert len(set(titles)) == len(titles)


def test_section_of(outline: Outline) -> None:
    section = outline.nodes["1.2.1"]
    assert [outline.section_of(node_id) for node_id in ("1.2.1-07", "1.2.1/3", "1.2.1")] == [section] * 3
    assert outline.section_of("B-02") is outline.nodes["B"]
    assert outline.section_of("1.2") is None
    assert outline.section_of("appendix") is None
    with pytest.raises(KeyError):
        outline.section_of("9.9.9")


def test_a_small_outline() -> None:
    outline = parse_outline(GOOD)
    ids = ["1", "1.1", "1.1.1", "1.1.1/1", "1.1.1-01", "1.1.1-02", "1.1.1/2", "1.1.1-03"]
    assert list(outline.nodes) == [*ids, "appendix", "A", "A-01", "A-02"]
    assert outline.nodes["1.1.1-02"].title_zh == "怎么（GPTQ）做？"
    assert outline.nodes["A-02"].title_zh == "如何协同？"


def test_windows_line_ends_change_nothing() -> None:
    plain, crlf = parse_outline(GOOD), parse_outline(GOOD.replace("\n", "\r\n"))
    assert [(n.id, n.title_zh, n.line) for n in plain.nodes.values()] == [
        (n.id, n.title_zh, n.line) for n in crlf.nodes.values()
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("### 1.1 压缩\n", "\n", 11, "heading level is skipped"),
        ("## 第一章：模型层\n", "\n", 9, "heading outside a part"),
        ("#### 1.1.1 剪枝\n", "\n", 12, "topic outside a section"),
        ("**原理**\n", "", 12, "question outside a topic"),
        ("序言", "- 一个问题？", 5, "question outside a topic"),
        ("**说明**：本大纲如此。", "**说明**", 28, "topic outside a section"),
        ("**如何设计？**", "- 如何设计？", 23, "question outside a topic"),
        ("### A. 端到端\n", "\n", 23, "question outside a heading"),
        ("**如何设计？**", "如何设计？", 23, "question of the appendix is bold"),
        ("### A. 端到端", "#### 1.1.1 端到端", 21, "### is missing"),
        ("**如何设计？**", "#### A.1 细节", 23, "appendix has no sections"),
        ("## 附录：综合", "## 第一章：综合", 19, "duplicate number, first used on line 7"),
        ("## 附录：综合", "## 第三章：综合", 19, "out of order, 2 is expected"),
        ("## 附录：综合", "## 综合", 19, "a part begins with"),
        ("**粒度**", "#### 1.1.1 粒度", 16, "duplicate number, first used on line 11"),
        ("**粒度**", "#### 1.1.3 粒度", 16, "out of order, 1.1.2 is expected"),
        ("**粒度**", "#### 1.2.2 粒度", 16, "does not match its heading, 1.1"),
        ("**粒度**", "### 1.1 粒度", 16, "duplicate number, first used on line 9"),
        ("**粒度**", "### 2.1 粒度", 16, "does not match its part, 1"),
        ("**粒度**", "### A. 粒度", 16, "does not match its part, 1"),
        ("### A. 端到端", "### 1.2 端到端", 21, "does not match its part, appendix"),
        ("### A. 端到端", "### B. 端到端", 21, "out of order, A is expected"),
        ("#### 1.1.1 剪枝", "#### 剪枝", 11, "a section begins with a number"),
        ("### 1.1 压缩", "### 压缩", 9, "a heading begins with a number"),
        ("#### 1.1.1 剪枝", "#### 1.1.1", 11, "empty title"),
        ("### A. 端到端", "### A.", 21, "empty title"),
        ("## 第一章：模型层", "## 第一章：", 7, "empty title"),
        ("**粒度**", "****", 16, "empty title"),
        ("- 哪种粒度？", "-", 17, "empty title"),
        ("[怎么（GPTQ）做？]", "[]", 14, "empty title"),
        ("**如何设计？**", "****", 23, "empty title"),
        ("int8().md)", "int8().md", 14, "broken link"),
        ("int8().md)", "int8().md) 附言", 14, "broken link"),
        ("做？](../notes/怎么", "做？]( ../notes/怎么", 14, "broken link"),
        ("- [怎么", "- 怎么", 14, "broken link"),
        ("(../notes/a.md)", "()", 24, "broken link"),
        ("- 哪种粒度？", "- **哪种粒度？", 17, "stray **"),
        ("- 哪种粒度？", "哪种粒度？", 17, "neither a heading, a topic nor a question"),
        ("- 哪种粒度？", "* 哪种粒度？", 17, "neither a heading, a topic nor a question"),
        ("- 哪种粒度？", "", 16, "this topic is empty"),
        (
            "- [怎么（GPTQ）做？](../notes/怎么（GPTQ）做.int8().md)",
            "- 什么是剪枝？",
            14,
            "same question as on line 13",
        ),
        ("- 哪种粒度？", "- 什么是剪枝？", 17, "same question as on line 13"),
        ("**粒度**", "##### 粒度", 16, "not a heading of level 1 to 4"),
        ("**粒度**", "####1.1.2 粒度", 16, "not a heading of level 1 to 4"),
        ("**粒度**", "# 粒度", 16, "second document title"),
    ],
)
def test_a_malformed_outline_is_refused(old: str, new: str, line: int, reason: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(OutlineError, match=re.escape(reason)) as caught:
        parse_outline(text)
    assert caught.value.line == line
    assert caught.value.text == text.split("\n")[line - 1]
    assert f"line {line}: " in str(caught.value)


def test_an_outline_without_parts_is_refused() -> None:
    with pytest.raises(OutlineError, match="no part"):
        parse_outline("# 大纲\n\n没有内容\n")


def test_a_part_after_the_appendix_is_refused() -> None:
    with pytest.raises(OutlineError, match="part after the appendix"):
        parse_outline(GOOD + "\n## 第二章：算子层\n")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"1.1.1-02" = "title"\n', "", "1 ids have no title, the first is '1.1.1-02'"),
        (
            '"A" = "title"\n',
            '"A" = "title"\n"A-09" = "x"\n',
            "1 ids are not in the outline.*'A-09'",
        ),
        ('"A" = "title"', '"A" = " "', "title of 'A' is empty"),
        ('"A" = "title"', '"A" = 3', "title of 'A' is empty or not a text: 3"),
        ('"A" = "title"', '"A" = "title', "line"),
        ('"A" = "title"', '"A" = "title"\n"A" = "x"', "overwrite"),
    ],
)
def test_wrong_english_titles_are_refused(old: str, new: str, reason: str) -> None:
    outline = parse_outline(GOOD)
    toml = "".join(f'"{node_id}" = "title"\n' for node_id in outline.nodes)
    add_english_titles(outline, toml)
    assert {node.title_en for node in outline.nodes.values()} == {"title"}
    assert old in toml
    with pytest.raises(OutlineError, match=reason):
        add_english_titles(parse_outline(GOOD), toml.replace(old, new))


def test_an_unreadable_outline_says_why(tmp_path: Path) -> None:
    with pytest.raises(OutlineError, match=r"outline\.md: cannot be read"):
        load_outline(tmp_path)
    (tmp_path / "outline.md").write_bytes("# 大纲\n".encode() + b"\xff\xfe")
    with pytest.raises(OutlineError, match="line 2: not UTF-8"):
        load_outline(tmp_path)
