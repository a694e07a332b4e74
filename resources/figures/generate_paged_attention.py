"""Draws the figures of section 2.1.2, those with numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_paged_attention``.
"""

from __future__ import annotations

import math

from labs.formulas.kv_cache import block_table_bytes, expected_last_block_waste
from labs.formulas.paged_attention import shared_prefix_tokens
from resources.figures.generate_quantization import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RULE,
    Drawing,
    Words,
)

LANGUAGES = ("zh", "en")
CELL = 34


def translation(language: str) -> None:
    """Two sequences with a common prompt: logical blocks, block tables, physical blocks."""
    d = Drawing(720, 330, language)
    titles: tuple[tuple[int, Words], ...] = (
        (120, {"zh": "逻辑块：位置连续", "en": "logical blocks: in order"}),
        (342, {"zh": "块表", "en": "block table"}),
        (560, {"zh": "物理块：在哪都行", "en": "physical blocks: anywhere"}),
    )
    for x, title in titles:
        d.text(x, 24, title, INK, 14, bold=True)
    sequences = (
        ("A", BLUE, (("a", "b", "c", "d"), ("e", "f", "g", "")), (2, 0), 46),
        ("B", ORANGE, (("a", "b", "c", "d"), ("e", "x", "", "")), (2, 3), 180),
    )
    for name, color, blocks, table, top in sequences:
        d.text(14, top + 40, name, INK, 16, bold=True)
        for logical, tokens in enumerate(blocks):
            y = top + logical * 44
            _cells(d, 50, y, tokens, color)
            d.text(36, y + 22, str(logical), MUTED, 12)
            d.arrow(194, y + 16, 300, y + 16, MUTED)
            d.box(306, y, 72, 32, f"{logical} → {table[logical]}", color)
    physical: tuple[tuple[int, tuple[str, ...], str, Words], ...] = (
        (0, ("e", "f", "g", ""), BLUE, {"zh": "引用 1", "en": "1 ref"}),
        (1, ("", "", "", ""), MUTED, {"zh": "空闲", "en": "free"}),
        (2, ("a", "b", "c", "d"), GREEN, {"zh": "引用 2：A、B 共用", "en": "2 refs: A and B"}),
        (3, ("e", "x", "", ""), ORANGE, {"zh": "引用 1", "en": "1 ref"}),
    )
    for number, tokens, color, words in physical:
        y = 46 + number * 58
        d.text(452, y + 22, str(number), MUTED, 12)
        _cells(d, 466, y, tokens, color)
        d.text(612, y + 22, words, MUTED, 12, "start")
    d.text(
        360,
        314,
        {
            "zh": "块大小 4：位置 5 → 逻辑块 ⌊5/4⌋ = 1，块内 1 → A 的物理块 0 → 槽 0 × 4 + 1 = 1",
            "en": "blocks of 4: position 5 is in logical block 1, offset 1; A has it in block 0: slot 1",
        },
        MUTED,
        12,
    )
    d.save("paged-attention-translation")


def _cells(d: Drawing, x: float, y: float, tokens: tuple[str, ...], color: str) -> None:
    for place, token in enumerate(tokens):
        d.rect(x + place * CELL, y, CELL - 3, 32, color, 0.28 if token else 0.05, color)
        if token:
            d.text(x + place * CELL + 15, y + 21, token)


def block_size(language: str) -> None:
    """Against the block size: empty slots, what is shared of a prefix, bytes of the table."""
    d = Drawing(720, 350, language)
    left, right, top, bottom = 60, 500, 44, 280
    sizes = [2**power for power in range(10)]
    mean, prefix, token_bytes = 256, 100, 131072

    def at(size: float, percent: float) -> tuple[float, float]:
        x = left + math.log2(size) / 9 * (right - left)
        return x, bottom - percent / 100 * (bottom - top)

    for percent in (0, 25, 50, 75, 100):
        _, y = at(1, percent)
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, str(percent), MUTED, 12, "end")
    for size in sizes:
        d.text(at(size, 0)[0], bottom + 18, str(size), MUTED, 12)
    d.text((left + right) / 2, bottom + 42, {"zh": "块大小 / token", "en": "block size / tokens"})
    d.text(left - 30, 24, "%", INK, 13, "start")

    def empty(size: int) -> float:
        waste = expected_last_block_waste(size)
        return 100 * waste / (mean + waste)

    shared = [100 * shared_prefix_tokens(prefix, size) / prefix for size in sizes]
    curves: tuple[tuple[list[float], str, Words], ...] = (
        (shared, GREEN, {"zh": f"{prefix} token 前缀能共享的", "en": f"shared of a prefix of {prefix}"}),
        (
            [empty(size) for size in sizes],
            PINK,
            {"zh": f"空槽（平均长 {mean}）", "en": f"empty, mean {mean} long"},
        ),
    )
    for values, color, words in curves:
        points = [at(size, value) for size, value in zip(sizes, values, strict=True)]
        d.curve(points, color, 2.2)
        for point in points:
            d.dot(*point, color, 3)
        x, y = points[-1]
        d.text(x + 10, y + 4, words, INK, 12, "start")
    table = 1e6 * block_table_bytes(mean * 16, 16) / (mean * 16 * token_bytes)
    d.line(at(16, 0)[0], top, at(16, 0)[0], bottom, BLUE, 1.4, "5 4")
    d.text(
        at(16, 0)[0] + 6, (top + bottom) / 2 + 30, {"zh": "vLLM 默认 16", "en": "vLLM: 16"}, BLUE, 12, "start"
    )
    d.text(
        360,
        342,
        {
            "zh": f"块表不在图上：块大小 16、每 token 128 KiB 时，它只有 KV 的百万分之 {table:.1f}",
            "en": "The table is not drawn: with blocks of 16 and 128 KiB a token it is "
            f"{table:.1f} millionths of the KV",
        },
        MUTED,
        12,
    )
    d.save("paged-attention-block-size")


def kernel(language: str) -> None:
    """One program of the kernel: FlashAttention's loop over tiles, each tile gathered through the table."""
    d = Drawing(720, 300, language)
    d.text(
        360,
        24,
        {"zh": "一个程序：一条序列、一个 KV 头", "en": "one program: a sequence, a KV head"},
        INK,
        14,
        bold=True,
    )
    d.box(20, 60, 110, 44, {"zh": "q：G 个查询", "en": "q: G queries"}, BLUE)
    d.text(75, 122, {"zh": "留在寄存器", "en": "kept in registers"}, MUTED, 12)
    for place, number in enumerate(("7", "2", "9", "4")):
        d.box(190 + place * 40, 60, 36, 30, number, ORANGE)
    d.text(268, 52, {"zh": "块表", "en": "block table"}, MUTED, 12)
    for number in range(10):
        x = 420 + number % 5 * 56
        y = 60 + number // 5 * 46
        held = number in (2, 4, 7, 9)
        d.rect(x, y, 48, 34, GREEN if held else MUTED, 0.3 if held else 0.05, GREEN if held else RULE)
        d.text(x + 24, y + 22, str(number), INK if held else MUTED, 12)
    d.text(556, 52, {"zh": "显存里的物理块（K、V）", "en": "physical blocks in memory (K, V)"}, MUTED, 12)
    d.arrow(352, 75, 412, 75, MUTED)
    steps: tuple[tuple[int, Words, Words], ...] = (
        (
            20,
            {"zh": "1 查表取一片 K", "en": "1 look up a tile of K"},
            {"zh": "只有这步是分页", "en": "paging is this step"},
        ),
        (200, {"zh": "2 s = q Kᵀ", "en": "2 s = q Kᵀ"}, {"zh": "分数留在片上", "en": "scores stay on chip"}),
        (380, {"zh": "3 更新 m、ℓ", "en": "3 update m, ℓ"}, {"zh": "online softmax", "en": "online softmax"}),
        (560, {"zh": "4 o += p V", "en": "4 o += p V"}, {"zh": "V 同样查表", "en": "V by the table too"}),
    )
    for x, words, remark in steps:
        d.box(x, 186, 140, 36, words, ORANGE if x == 20 else BLUE)
        d.text(x + 70, 242, remark, MUTED, 12)
        if x < 560:
            d.arrow(x + 142, 204, x + 178, 204, MUTED)
    d.text(
        360,
        282,
        {
            "zh": "上下文的每一片重复 1–4；片不必等于块。分段并行时，各段的 m、ℓ、o 最后合并",
            "en": "1 to 4 for each tile; a tile need not be a block. Parts run at once are merged",
        },
        MUTED,
        12,
    )
    d.save("paged-attention-kernel")


def main() -> None:
    for language in LANGUAGES:
        for draw in (translation, block_size, kernel):
            draw(language)


if __name__ == "__main__":
    main()
