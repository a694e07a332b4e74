"""Draws the figures of section 2.1.3, those with numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_long_attention``.
"""

from __future__ import annotations

from labs.formulas.kv_cache import bytes_per_token, mla_bytes_per_token
from labs.formulas.kv_compression import bits_per_number, repeated_kv_bytes
from labs.formulas.paged_attention import decode_traffic
from labs.formulas.ring_attention import Layout, balance, positions
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
RANK_COLORS = (BLUE, ORANGE, GREEN, PINK)


def eviction(language: str) -> None:
    """Twenty-four tokens, ten of which may stay: who does, under each policy."""
    d = Drawing(720, 300, language)
    left, cell, top = 150, 22, 62
    tokens, budget, fact = 24, 10, (8, 9, 10)
    latest = set(range(tokens - 5, tokens))
    rows: tuple[tuple[Words, set[int], Words], ...] = (
        (
            {"zh": "滑动窗口", "en": "window"},
            set(range(tokens - budget, tokens)),
            {"zh": "最近", "en": "latest"},
        ),
        (
            {"zh": "StreamingLLM", "en": "StreamingLLM"},
            {0, 1, 2, 3} | set(range(tokens - budget + 4, tokens)),
            {"zh": "汇点 + 最近", "en": "sinks + latest"},
        ),
        (
            {"zh": "H2O", "en": "H2O"},
            {0, 1, 4, 12, 15} | latest,
            {"zh": "累计得分 + 最近", "en": "scores + latest"},
        ),
        (
            {"zh": "SnapKV", "en": "SnapKV"},
            {0, 7, 8, 9, 10} | latest,
            {"zh": "问题投票 + 末尾", "en": "votes + last"},
        ),
    )
    for at in range(tokens):
        color = ORANGE if at in fact else GREEN if at >= tokens - 4 else MUTED
        d.rect(left + at * cell, 26, cell - 3, 20, color, 0.3 if color != MUTED else 0.12, color)
    d.text(left + (fact[1] + 0.5) * cell, 18, {"zh": "事实", "en": "fact"}, INK, 12)
    d.text(left + (tokens - 2) * cell, 18, {"zh": "问题", "en": "question"}, INK, 12)
    d.text(left - 10, 41, {"zh": "提示词", "en": "prompt"}, MUTED, 13, "end")
    for index, (name, kept, why) in enumerate(rows):
        y = top + index * 52
        d.text(left - 10, y + 16, name, INK, 14, "end", bold=True)
        d.text(left - 10, y + 32, why, MUTED, 11, "end")
        for at in range(tokens):
            color = ORANGE if at in fact else BLUE
            held = at in kept
            d.rect(
                left + at * cell,
                y + 4,
                cell - 3,
                26,
                color if held else MUTED,
                0.75 if held else 0.06,
                color if held else RULE,
            )
    d.text(
        left + tokens * cell / 2,
        288,
        {
            "zh": f"{tokens} 个里留 {budget} 个。H2O 与 SnapKV 每层每头各选各的，此处只画一个头",
            "en": f"{budget} of {tokens} stay. H2O and SnapKV choose for each layer and head; one head is "
            "drawn",
        },
        MUTED,
        12,
    )
    d.save("kv-eviction-policies")


def gqa_kernel(language: str) -> None:
    """One KV head and its four queries: read four times, or once."""
    d = Drawing(720, 300, language)
    shape = {"heads": 32, "head_dim": 128}
    grouped = decode_traffic([4096], kv_heads=8, kv_element_bytes=2, **shape).kv_bytes / 2**20
    alone = repeated_kv_bytes(4096, bytes_per_element=2, **shape) / 2**20
    d.text(
        175,
        24,
        {"zh": "不分组：一个程序一个查询头", "en": "ungrouped: a program a query head"},
        INK,
        14,
        bold=True,
    )
    d.text(
        545, 24, {"zh": "分组：一个程序一个 KV 头", "en": "grouped: a program a KV head"}, INK, 14, bold=True
    )
    for head in range(4):
        y = 46 + head * 46
        d.box(20, y, 90, 32, f"q{head}", BLUE)
        d.arrow(176, y + 16, 114, y + 16, ORANGE)
        d.rect(180, y + 3, 150, 26, ORANGE, 0.25, ORANGE)
        d.text(255, y + 21, {"zh": "K、V 的同一块", "en": "the same K, V"}, INK, 12)
    for head in range(4):
        d.rect(390, 62 + head * 26, 90, 22, BLUE, 0.25, BLUE)
        d.text(435, 78 + head * 26, f"q{head}", INK, 12)
    for row in range(4, 6):
        d.rect(390, 62 + row * 26, 90, 22, MUTED, 0.08, RULE)
        d.text(435, 78 + row * 26, "0", MUTED, 12)
    d.arrow(546, 113, 486, 113, ORANGE)
    d.rect(550, 62, 150, 100, ORANGE, 0.25, ORANGE)
    d.text(625, 117, {"zh": "K、V 的一块", "en": "a tile of K, V"}, INK, 13)
    d.text(545, 240, {"zh": "G 行一起乘，补零到 16 行", "en": "G rows at once, zeros up to 16"}, MUTED, 12)
    d.text(175, 268, {"zh": f"读 {alone:.0f} MiB", "en": f"asks for {alone:.0f} MiB"}, INK, 15, bold=True)
    d.text(545, 268, {"zh": f"读 {grouped:.0f} MiB", "en": f"asks for {grouped:.0f} MiB"}, INK, 15, bold=True)
    d.text(
        360,
        292,
        {
            "zh": "Llama-3-8B 的一层、一步、4096 个 token、FP16：32 个查询头，8 个 KV 头",
            "en": "a layer of Llama-3-8B, one step, 4096 tokens, FP16: 32 query heads on 8 KV heads",
        },
        MUTED,
        12,
    )
    d.save("gqa-kernel")


def ring_layouts(language: str) -> None:
    """Which rank computes which scores of a causal matrix, for three layouts."""
    d = Drawing(720, 320, language)
    ranks, side, cell = 4, 16, 12
    layouts: tuple[tuple[Layout, Words], ...] = (
        ("contiguous", {"zh": "连续", "en": "contiguous"}),
        ("zigzag", {"zh": "zigzag", "en": "zigzag"}),
        ("striped", {"zh": "条纹", "en": "striped"}),
    )
    for index, (layout, name) in enumerate(layouts):
        x, y = 24 + index * 236, 40
        d.text(x + side * cell / 2, 26, name, INK, 15, bold=True)
        for rank in range(ranks):
            for query in positions(rank, ranks, side, layout):
                for key in range(query + 1):
                    d.rect(x + key * cell, y + query * cell, cell - 1, cell - 1, RANK_COLORS[rank], 0.55)
        share = balance(ranks, 4096, layout)
        d.text(
            x + side * cell / 2,
            y + side * cell + 24,
            {"zh": f"均衡 {share:.1%}", "en": f"balance {share:.1%}"},
            INK,
            14,
            bold=True,
        )
    for rank in range(ranks):
        d.rect(150 + rank * 116, 278, 14, 14, RANK_COLORS[rank], 0.55)
        d.text(170 + rank * 116, 290, {"zh": f"进程 {rank}", "en": f"rank {rank}"}, INK, 12, "start")
    d.text(
        360,
        312,
        {
            "zh": "行是查询，列是键；均衡按 4096 个 token、每步等最慢的进程计",
            "en": "rows are queries, columns keys; balance for 4096 tokens, each step waiting for the "
            "slowest",
        },
        MUTED,
        12,
    )
    d.save("ring-layouts")


def million_tokens(language: str) -> None:
    """KV of a million tokens: fewer heads, fewer bits, a latent."""
    d = Drawing(720, 300, language)
    tokens = 2**20
    gqa = {"layers": 32, "kv_heads": 8, "head_dim": 128}
    bars: tuple[tuple[Words, float, str], ...] = (
        (
            {"zh": "Llama-2-7B（MHA）FP16", "en": "Llama-2-7B (MHA), FP16"},
            bytes_per_token(layers=32, kv_heads=32, head_dim=128, bytes_per_element=2),
            PINK,
        ),
        (
            {"zh": "Llama-3.1-8B（GQA）FP16", "en": "Llama-3.1-8B (GQA), FP16"},
            bytes_per_token(bytes_per_element=2, **gqa),
            BLUE,
        ),
        (
            {"zh": "同上，FP8", "en": "the same, FP8"},
            bytes_per_token(bytes_per_element=1, **gqa),
            BLUE,
        ),
        (
            {"zh": "同上，INT2 组 32", "en": "the same, INT2 in groups of 32"},
            bytes_per_token(bytes_per_element=bits_per_number(2, 32) / 8, **gqa),
            BLUE,
        ),
        (
            {"zh": "DeepSeek-V3（MLA）FP16", "en": "DeepSeek-V3 (MLA), FP16"},
            mla_bytes_per_token(layers=61, kv_lora_rank=512, rope_head_dim=64, bytes_per_element=2),
            GREEN,
        ),
    )
    left, right, most = 240, 640, 512.0
    card = left + 80 / most * (right - left)
    for index, (name, each, color) in enumerate(bars):
        gib, y = each * tokens / 2**30, 34 + index * 44
        width = gib / most * (right - left)
        d.text(left - 10, y + 19, name, INK, 13, "end")
        d.rect(left, y, width, 28, color, 0.6, color)
        # Beside the card's line where the bar ends before it, not across it.
        d.text(max(left + width, card) + 8, y + 19, f"{gib:.0f} GiB", INK, 13, "start", bold=True)
    d.line(card, 20, card, 254, ORANGE, 1.4, "4 3")
    d.text(card, 272, {"zh": "一块 80 GB 卡的显存", "en": "memory of one 80 GB card"}, ORANGE, 12)
    d.text(
        440,
        292,
        {"zh": "1,048,576 个 token、一条序列的 KV", "en": "KV of one sequence of 1,048,576 tokens"},
        MUTED,
        12,
    )
    d.save("million-tokens-kv")


def main() -> None:
    for language in LANGUAGES:
        eviction(language)
        gqa_kernel(language)
        ring_layouts(language)
        million_tokens(language)


if __name__ == "__main__":
    main()
