"""Draws the figures of section 3.2.2 from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_continuous_batching``.
"""

from __future__ import annotations

import random

from labs.formulas.batching import (
    continuous_steps_bound,
    expected_longest,
    padding_waste,
    static_steps,
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
ANSWERS, PLACES = [8, 3, 2, 4, 2, 5, 3, 2], 4


def placed(answers: list[int], places: int) -> list[tuple[int, int, int]]:
    """First come first served, the moment a place is free: (request, place, first step) of each."""
    free, found = [0] * places, []
    for request, length in enumerate(answers):
        place = min(range(places), key=lambda one: (free[one], one))
        found.append((request, place, free[place]))
        free[place] += length
    return found


def slots(language: str) -> None:
    """Eight answers in four places: in two static batches, and continuously."""
    d = Drawing(720, 300, language)
    static, waste = static_steps(ANSWERS, PLACES), padding_waste(ANSWERS, PLACES)
    continuous = max(first + ANSWERS[request] for request, _, first in placed(ANSWERS, PLACES))
    assert continuous == continuous_steps_bound(ANSWERS, PLACES)
    cell, left = 46, 92
    titles: tuple[Words, Words] = (
        {
            "zh": f"静态：{static} 步，{waste:.0%} 的位置白算",
            "en": f"static: {static} steps, {waste:.0%} of the places for nothing",
        },
        {"zh": f"连续：{continuous} 步", "en": f"continuous: {continuous} steps"},
    )
    for panel, title in enumerate(titles):
        top = 34 + panel * 136
        d.text(left, top - 12, title, INK, 14, "start", bold=True)
        for place in range(PLACES):
            word: Words = {"zh": f"位置 {place + 1}", "en": f"place {place + 1}"}
            d.text(left - 10, top + place * 25 + 16, word, MUTED, 12, "end")
        if panel == 0:
            start = 0
            for begin in range(0, len(ANSWERS), PLACES):
                batch = ANSWERS[begin : begin + PLACES]
                for place, length in enumerate(batch):
                    _bar(d, left, top, cell, (place, start, length), begin + place)
                    if length < max(batch):
                        x = left + (start + length) * cell
                        wide = (max(batch) - length) * cell
                        d.rect(x + 1, top + place * 25, wide - 2, 21, ORANGE, 0.28, ORANGE)
                start += max(batch)
        else:
            for request, place, first in placed(ANSWERS, PLACES):
                _bar(d, left, top, cell, (place, first, ANSWERS[request]), request)
    d.save("continuous-batching-slots")


def _bar(d: Drawing, left: float, top: float, cell: float, where: tuple[int, int, int], request: int) -> None:
    place, first, length = where
    x = left + first * cell
    d.rect(x + 1, top + place * 25, length * cell - 2, 21, GREEN, 0.35, GREEN)
    d.text(x + length * cell / 2, top + place * 25 + 15, f"#{request}", INK, 12)


def ragged(language: str) -> None:
    """One step of a mixed batch: linear layers see rows of tokens, attention sees each sequence by itself."""
    d = Drawing(720, 270, language)
    rows = (("#0", 1, 5, GREEN), ("#1", 1, 9, GREEN), ("#2", 4, 4, BLUE))
    cell, top = 22, 66
    d.text(40, 34, {"zh": "这一步的新 token", "en": "tokens of this step"}, INK, 13, "start", bold=True)
    for index, (name, new, _kept, colour) in enumerate(rows):
        y = top + index * 46
        d.text(40, y + 16, name, INK, 13, "start")
        for token in range(new):
            d.rect(76 + token * cell, y, cell - 3, cell - 3, colour, 0.45, colour)
    labels: tuple[Words, ...] = (
        {"zh": "解码", "en": "decode"},
        {"zh": "解码", "en": "decode"},
        {"zh": "预填充", "en": "prefill"},
    )
    for index, word in enumerate(labels):
        d.text(76, top + index * 46 + 36, word, MUTED, 11, "start")
    total = sum(new for _, new, _, _ in rows)
    d.arrow(176, 122, 214, 122)
    d.text(292, 34, {"zh": "线性层：拼成一个矩阵", "en": "linear layers: one matrix"}, INK, 13, bold=True)
    d.rect(226, 58, 132, 148, "#ffffff", 0, RULE)
    place = 0
    for _name, new, _kept, colour in rows:
        for _ in range(new):
            d.rect(240, 68 + place * 21, 104, 17, colour, 0.45, colour)
            place += 1
    shape: Words = {"zh": f"[{total}, d]，没有 padding", "en": f"[{total}, d], no padding"}
    d.text(292, 226, shape, MUTED, 12)
    d.arrow(368, 122, 406, 122)
    title: Words = {"zh": "注意力：各看各的 KV", "en": "attention: each its own KV"}
    d.text(560, 34, title, INK, 13, bold=True)
    for index, (name, new, kept, colour) in enumerate(rows):
        y = top + index * 46
        d.text(424, y + 16, name, INK, 13, "start")
        stored = kept if colour == GREEN else 0
        for token in range(stored):
            d.rect(458 + token * cell, y, cell - 3, cell - 3, PINK, 0.25, PINK)
        for token in range(new):
            d.rect(458 + (stored + token) * cell, y, cell - 3, cell - 3, colour, 0.45, colour)
    d.rect(430, 232, 14, 14, PINK, 0.25, PINK)
    d.text(450, 244, {"zh": "KV 缓存里已有的", "en": "already in the KV cache"}, MUTED, 12, "start")
    d.save("continuous-batching-ragged")


def budget(language: str) -> None:
    """A token budget: decodes first, the rest of the step for a piece of a long prompt."""
    d = Drawing(720, 250, language)
    decodes, size, prompt = 3, 8, 12
    cell, left, top = 26, 70, 60
    d.text(
        left,
        30,
        {"zh": f"每步预算 {size} 个 token", "en": f"a budget of {size} tokens a step"},
        INK,
        14,
        "start",
        bold=True,
    )
    remaining, step = prompt, 0
    while step < 4:
        x = left + step * 158
        chunk = min(size - decodes, remaining)
        running = decodes + (remaining == 0)
        for token in range(size):
            y = top + (size - 1 - token) * 18
            if token < running:
                d.rect(x, y, 4 * cell, 15, GREEN, 0.45, GREEN)
            elif token < decodes + chunk:
                d.rect(x, y, 4 * cell, 15, BLUE, 0.45, BLUE)
            else:
                d.rect(x, y, 4 * cell, 15, RULE, 0.35)
        step_word: Words = {"zh": f"第 {step + 1} 步", "en": f"step {step + 1}"}
        d.text(x + 2 * cell, top + size * 18 + 16, step_word, MUTED, 12)
        remaining -= chunk
        step += 1
    d.rect(left, 232, 14, 14, GREEN, 0.45, GREEN)
    d.text(left + 20, 244, {"zh": "解码，每条 1 个", "en": "decodes, one each"}, MUTED, 12, "start")
    d.rect(left + 190, 232, 14, 14, BLUE, 0.45, BLUE)
    words: Words = {
        "zh": f"一条 {prompt} 个 token 的提示词，分 3 块",
        "en": f"a prompt of {prompt} tokens, in 3 chunks",
    }
    d.text(left + 210, 244, words, MUTED, 12, "start")
    d.save("continuous-batching-budget")


def gain(language: str) -> None:
    """The longest of B answers over the mean, which is what a static batch costs, by batch size."""
    d = Drawing(720, 330, language)
    draw = random.Random(0)
    count = 20_000
    sets: tuple[tuple[Words, list[int], str], ...] = (
        (
            {"zh": "一条 1024，三条 64（长尾）", "en": "one of 1024 to three of 64 (tail)"},
            [64, 64, 64, 1024],
            ORANGE,
        ),
        (
            {"zh": "指数分布", "en": "exponential"},
            [1 + round(draw.expovariate(1 / 256)) for _ in range(count)],
            BLUE,
        ),
        ({"zh": "均匀 1 – 512", "en": "uniform, 1 – 512"}, list(range(1, 513)), GREEN),
        ({"zh": "全都一样长", "en": "all alike"}, [256], MUTED),
    )
    sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    left, right, bottom, top, most = 60.0, 470.0, 270.0, 40.0, 7.0

    def place(size: int, value: float) -> tuple[float, float]:
        x = left + (right - left) * sizes.index(size) / (len(sizes) - 1)
        return x, bottom - (bottom - top) * value / most

    for level in range(int(most) + 1):
        y = place(1, level)[1]
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, str(level), MUTED, 12, "end")
    for size in sizes:
        d.text(place(size, 0)[0], bottom + 18, str(size), MUTED, 12)
    for words, lengths, colour in sets:
        mean = sum(lengths) / len(lengths)
        values = [expected_longest(lengths, size) / mean for size in sizes]
        d.curve([place(size, value) for size, value in zip(sizes, values, strict=True)], colour, 2.2)
        for size, value in zip(sizes, values, strict=True):
            d.dot(*place(size, value), colour, 3)
        label = f"{words[language]}: {values[-1]:.2f}"
        d.text(right + 10, place(sizes[-1], values[-1])[1] + 4, label, INK, 12, "start")
    d.text((left + right) / 2, bottom + 42, {"zh": "批大小 B", "en": "batch size B"}, INK, 13)
    title: Words = {
        "zh": "最长 ÷ 平均：静态一批的步数，也是连续批处理最多省下的倍数",
        "en": "longest over mean: steps of a static batch, and the most that continuous batching saves",
    }
    d.text(left - 30, 22, title, INK, 13, "start")
    d.save("continuous-batching-gain")


def main() -> None:
    for language in LANGUAGES:
        slots(language)
        ragged(language)
        budget(language)
        gain(language)


if __name__ == "__main__":
    main()
