"""Draws the figures of section 3.1.1 from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_kv_cache``.
"""

from __future__ import annotations

import math

from labs.formulas.kv_cache import (
    blocks_for,
    bytes_per_token,
    cached_tokens,
    last_block_waste,
    mla_bytes_per_token,
)
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


def recompute(language: str) -> None:
    """Which tokens each step computes, for a prompt of 4 and 4 new tokens."""
    d = Drawing(720, 250, language)
    prompt, new, cell = 4, 4, 22
    panels: tuple[tuple[int, Words, bool], ...] = (
        (60, {"zh": "没有 KV Cache：每步重算全文", "en": "No KV cache: everything again"}, False),
        (420, {"zh": "有 KV Cache：每步只算新 token", "en": "KV cache: the new token alone"}, True),
    )
    for left, title, cached in panels:
        d.text(left + 4 * cell, 22, title, INK, 14, bold=True)
        total = 0
        for step in range(new):
            length, y = prompt + step, 44 + step * (cell + 8)
            d.text(left - 8, y + 16, f"{step + 1}", MUTED, 12, "end")
            for token in range(length):
                computed = not cached or step == 0 or token == length - 1
                total += computed
                x = left + token * cell
                if computed:
                    d.rect(x, y, cell - 3, cell - 3, ORANGE)
                else:
                    d.rect(x, y, cell - 3, cell - 3, BLUE, 0.18, BLUE)
        counted = {"zh": f"共算 {total} 个 token", "en": f"{total} tokens computed"}
        d.text(left + 4 * cell, 44 + new * (cell + 8) + 18, counted, INK, 14)
    d.text(14, 34, {"zh": "步", "en": "step"}, MUTED, 12, "start")
    d.rect(210, 214, 14, 14, ORANGE)
    d.text(230, 226, {"zh": "这一步计算", "en": "computed in this step"}, MUTED, 12, "start")
    d.rect(390, 214, 14, 14, BLUE, 0.18, BLUE)
    d.text(410, 226, {"zh": "K、V 从缓存读", "en": "K and V read from the cache"}, MUTED, 12, "start")
    d.save("kv-cache-recompute")


def growth(language: str) -> None:
    """GB of one sequence's KV against its length, BF16."""
    d = Drawing(720, 360, language)
    left, right, top, bottom = 70, 500, 40, 306
    low, high, tokens = -2.0, 2.0, (1024, 4096, 16384, 65536, 131072)

    def at(length: float, gigabytes: float) -> tuple[float, float]:
        x = left + math.log2(length / tokens[0]) / math.log2(tokens[-1] / tokens[0]) * (right - left)
        return x, bottom - (math.log10(gigabytes) - low) / (high - low) * (bottom - top)

    for power in range(int(low), int(high) + 1):
        _, y = at(tokens[0], 10.0**power)
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, f"{10.0**power:g}", MUTED, 12, "end")
    for length in tokens:
        d.text(at(length, 1)[0], bottom + 18, f"{length // 1024}K", MUTED, 12)
    d.text((left + right) / 2, bottom + 42, {"zh": "上下文长度 / token", "en": "context length / tokens"})
    d.text(
        left,
        24,
        {"zh": "一条序列的 KV / GB（BF16）", "en": "KV of one sequence / GB (BF16)"},
        INK,
        13,
        "start",
    )
    gqa = bytes_per_token(layers=32, kv_heads=8, head_dim=128, bytes_per_element=2)
    mha = bytes_per_token(layers=32, kv_heads=32, head_dim=128, bytes_per_element=2)
    mla = mla_bytes_per_token(layers=61, kv_lora_rank=512, rope_head_dim=64, bytes_per_element=2)
    lines: tuple[tuple[float, int | None, str, str], ...] = (
        (mha, None, PINK, "Llama-2-7B, MHA"),
        (gqa, None, BLUE, "Llama-3-8B, GQA"),
        (mla, None, GREEN, "DeepSeek-V3, MLA"),
        (gqa, 4096, ORANGE, "Mistral-7B, SWA 4096"),
    )
    lengths = [tokens[0] * 2 ** (i / 4) for i in range(29)]
    for per_token, window, color, name in lines:
        sizes = [per_token * cached_tokens(round(length), window) / 1e9 for length in lengths]
        d.curve([at(length, size) for length, size in zip(lengths, sizes, strict=True)], color, 2.2)
        x, y = at(lengths[-1], sizes[-1])
        d.text(x + 8, y + 4, f"{name}: {sizes[-1]:.2f} GB", INK, 12, "start")
    d.save("kv-cache-growth")


def allocation(language: str) -> None:
    """Slots held by one sequence while it grows from 20 to 76 tokens: reserved to 128, paged by 16."""
    d = Drawing(720, 330, language)
    left, right, top, bottom = 60, 520, 44, 280
    prompt, end, reserved, block = 20, 76, 128, 16

    def at(step: float, slots: float) -> tuple[float, float]:
        return left + step / (end - prompt) * (right - left), bottom - slots / 140 * (bottom - top)

    for slots in (0, 32, 64, 96, 128):
        _, y = at(0, slots)
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, str(slots), MUTED, 12, "end")
    steps = range(end - prompt + 1)
    stairs: list[tuple[float, float]] = []
    for step in steps:
        held = blocks_for(prompt + step, block) * block
        if stairs and stairs[-1][1] != at(step, held)[1]:
            stairs.append((at(step, held)[0], stairs[-1][1]))
        stairs.append(at(step, held))
    d.curve([at(0, reserved), at(end - prompt, reserved)], PINK, 2.2)
    d.curve(stairs, BLUE, 2.2)
    d.curve([at(step, prompt + step) for step in steps], ORANGE, 2.2)
    mean = sum(last_block_waste(prompt + step, block) for step in steps) / len(steps)
    idle = sum(reserved - prompt - step for step in steps) / len(steps)
    labels: tuple[tuple[float, Words], ...] = (
        (reserved, {"zh": f"连续预留 128：平均空 {idle:.0f}", "en": f"reserved 128: {idle:.0f} empty"}),
        (
            blocks_for(end, block) * block + 9,
            {"zh": f"分页，块 16：平均空 {mean:.1f}", "en": f"paged by 16: {mean:.1f} empty"},
        ),
        (end - 8, {"zh": "真正存下的 token", "en": "tokens stored"}),
    )
    for height, words in labels:
        x, y = at(end - prompt, height)
        d.text(x + 8, y + 4, words, INK, 12, "start")
    d.text(
        left,
        26,
        {"zh": "一条序列占的槽 / token", "en": "slots held by one sequence / tokens"},
        INK,
        13,
        "start",
    )
    for step in (0, 14, 28, 42, 56):
        d.text(at(step, 0)[0], bottom + 18, str(step), MUTED, 12)
    d.text((left + right) / 2, bottom + 40, {"zh": "已生成的 token", "en": "tokens generated"})
    d.save("kv-cache-allocation")


def copy_on_write(language: str) -> None:
    """Two samples of a prompt of 6 tokens in blocks of 4: before and after the first write."""
    d = Drawing(720, 300, language)
    panels: tuple[tuple[int, Words, bool], ...] = (
        (20, {"zh": "分叉：只抄块表", "en": "Fork: the table is copied"}, False),
        (380, {"zh": "A 要写：先复制最后一块", "en": "A writes: the last block is copied"}, True),
    )
    for left, title, written in panels:
        d.text(left + 160, 24, title, INK, 14, bold=True)
        for row, (name, color) in enumerate((("A", BLUE), ("B", ORANGE))):
            y = 52 + row * 168
            d.text(left + 6, y + 21, name, INK, 14, "start", bold=True)
            second = "3" if written and name == "A" else "1"
            for place, number in enumerate(("7", second)):
                d.box(left + 28 + place * 46, y, 42, 32, number, color)
            d.text(left + 130, y + 21, {"zh": "块表", "en": "block table"}, MUTED, 12, "start")
        _block(
            d, left + 28, 134, ("a", "b", "c", "d"), {"zh": "块 7，引用 2", "en": "block 7, 2 refs"}, MUTED
        )
        if written:
            _block(
                d, left + 178, 108, ("e", "f", "x", ""), {"zh": "块 3，引用 1", "en": "block 3, 1 ref"}, BLUE
            )
            _block(
                d, left + 178, 178, ("e", "f", "", ""), {"zh": "块 1，引用 1", "en": "block 1, 1 ref"}, ORANGE
            )
        else:
            _block(
                d, left + 178, 134, ("e", "f", "", ""), {"zh": "块 1，引用 2", "en": "block 1, 2 refs"}, MUTED
            )
    d.line(360, 40, 360, 262, RULE, 1)
    d.text(
        360,
        290,
        {
            "zh": "提示词 a–f，块大小 4；块 7 已满，再不会被写，永远不用复制",
            "en": "prompt a to f, blocks of 4; block 7 is full, is never written again, and never copied",
        },
        MUTED,
        12,
    )
    d.save("kv-cache-copy-on-write")


def _block(d: Drawing, x: float, y: float, tokens: tuple[str, ...], words: Words, color: str) -> None:
    for place, token in enumerate(tokens):
        d.rect(x + place * 32, y, 30, 26, color, 0.28 if token else 0.06, color)
        if token:
            d.text(x + place * 32 + 15, y + 18, token)
    d.text(x, y + 42, words, MUTED, 12, "start")


def main() -> None:
    for language in LANGUAGES:
        for draw in (recompute, growth, allocation, copy_on_write):
            draw(language)


if __name__ == "__main__":
    main()
