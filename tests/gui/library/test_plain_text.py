"""The words of a note, without markup, code blocks and formulas."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.library.search import plain_text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("---\nid: 1.2.1-07\nlabs: [a]\n---\n# 标题\n正文", "标题 正文"),
        ("---\n正文", "正文"),
        ("前\n\n```pycon\n>>> secret(1)\n```\n后", "前 后"),
        ("前\n~~~~\n```\nsecret\n~~~~\n后", "前 后"),
        ("    ```python\n    secret\n    ```\n后", "后"),
        ("前\n```\nsecret to the end", "前"),
        ("量化 $s = \\frac{max}{2^b-1}$ 步长", "量化 步长"),
        ("前 $$\nx^2\n$$ 后", "前 后"),
        ("costs $5 and $6 each", "costs $5 and $6 each"),
        ("用 `q_proj` 与 `torch.compile`", "用 q_proj 与 torch.compile"),
        ("[拖动位宽](lab:model/quantization_granularity?bits=4) 试试", "拖动位宽 试试"),
        ("[GPTQ](https://example.org/a_(b).html)", "GPTQ"),
        ("![误差图](figures/error.svg)", "误差图"),
        ("[文][1] 尾\n\n[1]: https://example.org", "文 尾"),
        ("结论[^1]成立\n\n[^1]: Dettmers，表 2", "结论成立 Dettmers，表 2"),
        ('!!! note "请注意"\n    缩进的正文', "请注意 缩进的正文"),
        ("!!! warning\n    小心", "小心"),
        ("| 格式 | 位 |\n|:---|---:|\n| BF16 | 16 |", "格式 位 BF16 16"),
        ("**粗** *斜* __粗__ _斜_ ***都***", "粗 斜 粗 斜 都"),
        ("2*3*4 与 a_b_c 与 __syncthreads()", "2*3*4 与 a_b_c 与 __syncthreads()"),
        ("- 一\n* 二\n1. 三\n> 四", "一 二 三 四"),
        ("甲 <b>乙</b> <!-- 隐 --> a < b > c", "甲 乙 a < b > c"),
        ("## 标题 {: #id .class }", "标题"),
        ("\\*不斜\\*", "*不斜*"),
        ("前\n\n---\n\n后", "前 后"),
        ("行一\r\n行二", "行一 行二"),
        ("", ""),
    ],
)
def test_markup_goes_and_words_stay(markdown: str, text: str) -> None:
    assert plain_text(markdown) == text


@given(st.text(alphabet='`~$[](){}!|*_#->\\<^:"\n 量a1') | st.text())
def test_any_text_gives_one_line(markdown: str) -> None:
    assert "\n" not in plain_text(markdown)


HOSTILE = ["$", "`", "[", "*", "_", "|", "[^", "**a", "<a ", "---\n", "!!! ", "[a](", "{:", "<!--"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_rule_backtracks_without_end(hostile: str) -> None:
    start = time.thread_time()
    plain_text(hostile * 5000)
    # The slowest takes a second; a rule that backtracks would take minutes, on the fastest machine.
    assert time.thread_time() - start < 20
