"""Draws the figures of section 3.2.1 from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_static_batching``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.batching import bucket_waste, decode_knee, padding_waste
from labs.formulas.kv_cache import bytes_per_token, largest_batch
from labs.formulas.memory import roofline_seconds
from labs.formulas.queueing import fill_wait, full_batch_wait
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

if TYPE_CHECKING:
    from collections.abc import Callable

LANGUAGES = ("zh", "en")
# Llama-3-8B in BF16 on one A100 80 GB SXM.
PARAMETERS, WEIGHTS, PEAK, BANDWIDTH = 8.03e9, 16.06e9, 312e12, 2039e9
TOKEN = bytes_per_token(layers=32, kv_heads=8, head_dim=128, bytes_per_element=2)
FREE = 0.9 * 80e9 - WEIGHTS
PROMPTS = [7, 3, 5, 2, 8, 4, 6, 3]


def step_s(batch: float, context: int) -> float:
    return roofline_seconds(2 * PARAMETERS * batch, WEIGHTS + batch * context * TOKEN, PEAK, BANDWIDTH)


def log_axis(left: float, right: float, low: float, high: float) -> Callable[[float], float]:
    return lambda value: left + (right - left) * math.log(value / low) / math.log(high / low)


def knee(language: str) -> None:
    """What a step must read and what it must compute, by batch size, without KV."""
    d = Drawing(720, 320, language)
    x, y = log_axis(76, 520, 1, 1024), log_axis(262, 44, 0.03, 100)
    for level in (0.1, 1, 10, 100):
        d.line(76, y(level), 520, y(level), RULE, 1)
        d.text(68, y(level) + 4, f"{level:g}", MUTED, 12, "end")
    for size in (1, 4, 16, 64, 256, 1024):
        d.text(x(size), 282, str(size), MUTED, 12)
    turn = decode_knee(WEIGHTS, 2 * PARAMETERS, PEAK, BANDWIDTH)
    sizes = [1, turn, 1024]
    read = [(x(size), y(1e3 * WEIGHTS / BANDWIDTH)) for size in (1, 1024)]
    compute = [(x(size), y(1e3 * size * 2 * PARAMETERS / PEAK)) for size in (1, 1024)]
    d.curve(read, BLUE, 2, "6 4")
    d.curve(compute, ORANGE, 2, "6 4")
    d.curve([(x(size), y(1e3 * step_s(size, 0))) for size in sizes], INK, 3)
    d.dot(x(turn), y(1e3 * step_s(turn, 0)), INK, 5)
    d.text(x(turn) - 8, y(1e3 * step_s(turn, 0)) - 14, f"B = {turn:.0f}", INK, 13, "end", bold=True)
    d.text(530, read[1][1] + 4, {"zh": "读权重：与批无关", "en": "reading weights: always"}, INK, 12, "start")
    words: Words = {"zh": "一步 = 两者中较慢的", "en": "a step: the slower one"}
    d.text(530, y(1e3 * step_s(1024, 0)) + 4, words, INK, 12, "start", bold=True)
    d.text(x(9), y(0.17), {"zh": "计算：与批成正比", "en": "computing: as the batch"}, INK, 12, "start")
    title: Words = {
        "zh": "一步解码至少多少毫秒（Llama-3-8B，BF16，A100，不计 KV）",
        "en": "least milliseconds of a decode step (Llama-3-8B, BF16, A100, KV left out)",
    }
    d.text(40, 24, title, INK, 13, "start")
    d.text(298, 308, {"zh": "批大小 B", "en": "batch size B"}, INK, 13)
    d.save("static-batching-knee")


def contexts(language: str) -> None:
    """Throughput bound by batch size at several contexts; each curve ends where memory does."""
    d = Drawing(720, 340, language)
    x, y = log_axis(76, 540, 1, 1024), log_axis(280, 44, 100, 30000)
    for level in (100, 300, 1000, 3000, 10000, 30000):
        d.line(76, y(level), 540, y(level), RULE, 1)
        d.text(68, y(level) + 4, f"{level:,}", MUTED, 12, "end")
    for size in (1, 4, 16, 64, 256, 1024):
        d.text(x(size), 300, str(size), MUTED, 12)
    for context, colour in ((512, GREEN), (2048, BLUE), (8192, PINK), (32768, ORANGE)):
        most = largest_batch(FREE, context, TOKEN, 16)
        sizes = [most ** (index / 60) for index in range(61)]
        d.curve([(x(size), y(size / step_s(size, context))) for size in sizes], colour, 2.4)
        end = (x(most), y(most / step_s(most, context)))
        d.dot(*end, colour, 5)
        label: Words = {
            "zh": f"上下文 {context:,}：最多 {most} 条",
            "en": f"context {context:,}: at most {most}",
        }
        d.text(min(end[0] + 10, 552), end[1] + 4 + (14 if context == 512 else 0), label, INK, 12, "start")
    title: Words = {
        "zh": "吞吐上限（token/s）；圆点：80 GB 的 KV 放满（Llama-3-8B，BF16，A100）",
        "en": "most tokens/s; a dot: the KV cache of 80 GB is full (Llama-3-8B, BF16, A100)",
    }
    d.text(40, 24, title, INK, 13, "start")
    d.text(308, 326, {"zh": "批大小 B", "en": "batch size B"}, INK, 13)
    d.save("static-batching-contexts")


def padding(language: str) -> None:
    """Eight prompts as two padded batches, as two sorted ones, and packed."""
    d = Drawing(720, 300, language)
    plain, ordered = padding_waste(PROMPTS, 4), padding_waste(sorted(PROMPTS), 4)
    panels: tuple[tuple[float, Words, list[int]], ...] = (
        (30, {"zh": f"按到达：{plain:.0%} 补齐", "en": f"as they come: {plain:.0%} padding"}, PROMPTS),
        (
            278,
            {"zh": f"按长度排序：{ordered:.0%} 补齐", "en": f"sorted: {ordered:.0%} padding"},
            sorted(PROMPTS),
        ),
    )
    cell, row = 24, 22
    for left, title, prompts in panels:
        d.text(left, 28, title, INK, 13, "start", bold=True)
        for begin in (0, 4):
            batch = prompts[begin : begin + 4]
            for index, length in enumerate(batch):
                y = 44 + (begin // 4) * 108 + index * row
                empty = max(batch) - length
                for place in range(max(batch)):
                    colour, strength = (ORANGE, 0.2) if place < empty else (BLUE, 0.45)
                    d.rect(left + place * cell, y, cell - 3, row - 4, colour, strength, colour)
    d.text(528, 28, {"zh": "拼接：没有补齐", "en": "packed: no padding"}, INK, 13, "start", bold=True)
    place = 0
    for index, length in enumerate(PROMPTS):
        for _ in range(length):
            y, x = 44 + place // 7 * row, 528 + place % 7 * cell
            colour = (BLUE, GREEN)[index % 2]
            d.rect(x, y, cell - 3, row - 4, colour, 0.45, colour)
            place += 1
    words: Words = {
        "zh": f"{sum(PROMPTS)} 个 token，换色即换条",
        "en": f"{sum(PROMPTS)} tokens; colours alternate",
    }
    d.text(528, 44 + 6 * row + 14, words, MUTED, 11, "start")
    d.rect(30, 270, 14, 14, BLUE, 0.45, BLUE)
    d.text(50, 282, {"zh": "提示词", "en": "prompt"}, MUTED, 12, "start")
    d.rect(150, 270, 14, 14, ORANGE, 0.2, ORANGE)
    legend: Words = {"zh": "左补齐：被掩掉，仍被计算", "en": "left padding: masked, yet computed"}
    d.text(170, 282, legend, MUTED, 12, "start")
    d.save("static-batching-padding")


def exponential_lengths(mean: float, count: int) -> list[int]:
    """Quantiles of the exponential distribution, at least 1."""
    return [max(1, round(-mean * math.log1p(-(i + 0.5) / count))) for i in range(count)]


def buckets(language: str) -> None:
    """Padding left over, by number of buckets: geometric against equally wide ones."""
    d = Drawing(720, 310, language)
    lengths = exponential_lengths(1000, 4000)
    most = 8192
    lengths = [min(length, most) for length in lengths]
    left, right, bottom, top = 76.0, 520.0, 252.0, 44.0
    x = log_axis(left, right, 1, 64)

    def y(share: float) -> float:
        return bottom - (bottom - top) * share

    for level in (0, 0.25, 0.5, 0.75, 1):
        d.line(left, y(level), right, y(level), RULE, 1)
        d.text(left - 8, y(level) + 4, f"{level:.0%}", MUTED, 12, "end")
    counts = [1, 4, 8, 16, 32, 64]
    for count in counts:
        d.text(x(count), bottom + 18, str(count), MUTED, 12)
    equal = [bucket_waste(lengths, [most * (i + 1) // n for i in range(n)]) for n in counts]
    growing = [bucket_waste(lengths, _geometric(n, 64, most)) for n in counts]
    for values, colour, words in (
        (equal, ORANGE, {"zh": "等宽的桶", "en": "equally wide"}),
        (growing, GREEN, {"zh": "等比的桶", "en": "geometric"}),
    ):
        d.curve([(x(n), y(value)) for n, value in zip(counts, values, strict=True)], colour, 2.4)
        for n, value in zip(counts, values, strict=True):
            d.dot(x(n), y(value), colour, 4)
        shift = -8 if colour == ORANGE else 14
        label = f"{words[language]}: {values[2]:.0%} (8), {values[-1]:.0%} (64)"
        d.text(right + 8, y(values[-1]) + shift, label, INK, 12, "start")
    title: Words = {
        "zh": "补齐的份额随桶数（长度按指数分布，平均 1000，最长 8192；等比的桶从 64 起）",
        "en": "share of padding by number of buckets (exponential lengths, mean 1000, at most 8192; from 64)",
    }
    d.text(40, 22, title, INK, 13, "start")
    d.text((left + right) / 2, bottom + 44, {"zh": "桶数", "en": "buckets"}, INK, 13)
    d.save("static-batching-buckets")


def _geometric(count: int, least: int, most: int) -> list[int]:
    if count == 1:
        return [most]
    return [round(least * (most / least) ** (index / (count - 1))) for index in range(count)]


def fill(language: str) -> None:
    """Waiting to fill falls with load, queueing rises: a full batch is slow at both ends."""
    d = Drawing(720, 310, language)
    size, batch_s = 32, 28.8
    left, right, bottom, top, most = 76.0, 520.0, 252.0, 44.0, 100.0
    capacity = size / batch_s

    def x(rate: float) -> float:
        return left + (right - left) * rate / 1.2

    def y(seconds: float) -> float:
        return bottom - (bottom - top) * min(seconds, most) / most

    for level in (0, 25, 50, 75, 100):
        d.line(left, y(level), right, y(level), RULE, 1)
        d.text(left - 8, y(level) + 4, str(level), MUTED, 12, "end")
    for rate in (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2):
        d.text(x(rate), bottom + 18, f"{rate:g}", MUTED, 12)
    rates = [0.155 + (capacity - 0.16) * index / 400 for index in range(400)]
    total = [rate for rate in rates if full_batch_wait(rate, size, batch_s) <= most]
    d.curve([(x(rate), y(fill_wait(rate, size))) for rate in total], BLUE, 2, "6 4")
    d.curve([(x(rate), y(full_batch_wait(rate, size, batch_s))) for rate in total], INK, 3)
    d.line(x(capacity), top, x(capacity), bottom, ORANGE, 1.4, "4 4")
    label: Words = {"zh": f"满载：每秒 {capacity:.2f} 条", "en": f"full load: {capacity:.2f} a second"}
    d.text(x(capacity) + 16, top + 12, label, INK, 12, "start")
    d.text(
        right + 8, y(fill_wait(1.1, size)) + 4, {"zh": "凑满要等", "en": "waiting to fill"}, INK, 12, "start"
    )
    total_words: Words = {"zh": "凑满 + 排队", "en": "filling and queueing"}
    d.text(x(0.31), y(62), total_words, INK, 12, "start", bold=True)
    title: Words = {
        "zh": f"平均等多少秒才开始（只发满批：每批 {size} 条，{batch_s} s）",
        "en": f"mean seconds before service (full batches only: {size} requests, {batch_s} s each)",
    }
    d.text(40, 24, title, INK, 13, "start")
    d.text((left + right) / 2, bottom + 44, {"zh": "每秒到达", "en": "arrivals a second"}, INK, 13)
    d.save("static-batching-fill")


def main() -> None:
    for language in LANGUAGES:
        knee(language)
        contexts(language)
        padding(language)
        buckets(language)
        fill(language)


if __name__ == "__main__":
    main()
