"""Draws the figures of section 2.1.1, those with numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_flash_attention``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.flash_attention import (
    Shape,
    Tile,
    exponential_share,
    keys_outer,
    queries_outer,
    three_kernels,
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

if TYPE_CHECKING:
    from collections.abc import Callable

LANGUAGES = ("zh", "en")
SIDE = 4  # blocks of queries and tiles of keys in the pictures


def tiles(language: str) -> None:
    """One step: a block of Q against a tile of K and V; only a piece of S exists."""
    d = Drawing(720, 330, language)
    d.text(210, 24, {"zh": "显存里：Q、K、V、O，没有 S", "en": "in HBM: Q, K, V, O, and no S"}, bold=True)
    left, top, cell = 110, 84, 50
    for place in range(SIDE):
        here = place == 2
        x, y = left + place * cell, top + place * cell
        d.rect(x, 44, cell - 4, 28, ORANGE, 0.45 if place == 1 else 0.08, ORANGE)
        d.rect(40, y, 46, cell - 4, BLUE, 0.45 if here else 0.08, BLUE)
        d.rect(left + SIDE * cell + 20, y, 46, cell - 4, GREEN, 0.45 if here else 0.08, GREEN)
        for column in range(SIDE):
            now = here and column == 1
            done = place < 2 or (here and column < 1)
            d.rect(
                left + column * cell,
                y,
                cell - 4,
                cell - 4,
                PINK if now else MUTED,
                0.5 if now else 0.1 if done else 0.02,
                PINK if now else RULE,
            )
    d.text(63, 306, "Q")
    d.text(left + 2 * cell, 306, {"zh": "S：同一时刻只有一块", "en": "S: one piece at a time"}, PINK, 12)
    d.text(left + SIDE * cell + 43, 306, "O")
    d.text(left - 14, 62, {"zh": "K、V", "en": "K, V"}, INK, 13, "end")
    d.rect(440, 44, 262, 240, MUTED, 0.05, MUTED)
    d.text(571, 24, {"zh": "片上（共享内存与寄存器）", "en": "on the chip (SRAM, registers)"}, bold=True)
    lines: tuple[tuple[str, Words], ...] = (
        (BLUE, {"zh": "Q 块，读一次", "en": "block of Q, loaded once"}),
        (ORANGE, {"zh": "K、V 块，流过", "en": "tile of K, V, streams by"}),
        (PINK, {"zh": "S 块，用完就丢", "en": "piece of S, dropped at once"}),
        (GREEN, {"zh": "m、ℓ、O 块，一直更新", "en": "m, ℓ, block of O, updated"}),
    )
    for place, (color, words) in enumerate(lines):
        y = 60 + place * 54
        d.rect(456, y, 34, 38, color, 0.45, color)
        d.text(502, y + 24, words, INK, 13, "start")
    d.save("flash-attention-tiles")


def loops(language: str) -> None:
    """Which pair comes when, in either order, and what moves."""
    d = Drawing(720, 330, language)
    panels: tuple[tuple[int, Words, bool, tuple[Words, ...]], ...] = (
        (
            50,
            {"zh": "v1：外层 K、V，内层 Q", "en": "v1: K, V outside, Q inside"},
            False,
            (
                {"zh": "K、V 读 1 遍", "en": "K, V loaded once"},
                {"zh": "Q 读 4 遍，O、m、ℓ 读 3 写 4", "en": "Q 4 times; O, m, ℓ in 3, out 4 times"},
                {"zh": "一个头一个线程块", "en": "a thread block a head"},
            ),
        ),
        (
            410,
            {"zh": "v2：外层 Q，内层 K、V", "en": "v2: Q outside, K, V inside"},
            True,
            (
                {"zh": "K、V 读 4 遍", "en": "K, V loaded 4 times"},
                {"zh": "Q 读 1 遍，O 写 1 遍", "en": "Q loaded once, O stored once"},
                {"zh": "一个 Q 块一个线程块：4 倍并行", "en": "a thread block a block of Q: 4 times as many"},
            ),
        ),
    )
    cell = 42
    for x, title, rows_outside, words in panels:
        d.text(x + 130, 24, title, INK, 14, bold=True)
        for row in range(SIDE):
            d.text(x + 30, 84 + row * cell, f"Q{row + 1}", BLUE, 12)
            d.text(x + 66 + row * cell, 52, f"K{row + 1}", ORANGE, 12)
            for column in range(SIDE):
                number = row * SIDE + column if rows_outside else column * SIDE + row
                shade = 0.08 + 0.5 * (1 - number / (SIDE * SIDE - 1))
                d.rect(x + 46 + column * cell, 60 + row * cell, cell - 4, cell - 4, PINK, shade, PINK)
                d.text(x + 65 + column * cell, 84 + row * cell, str(number + 1), INK, 12)
        for place, line in enumerate(words):
            d.text(x + 130, 254 + place * 24, line, INK if place == 2 else MUTED, 12)
    d.save("flash-attention-loops")


def traffic(language: str) -> None:
    """Bytes of one head against its length; log by log."""
    d = Drawing(720, 360, language)
    left, right, top, bottom = 70, 480, 40, 290
    lengths, square = [2**power for power in range(8, 17)], Tile(128, 128)
    low, high = 16.0, 36.0  # powers of two, in bytes

    def at(length: float, size: float) -> tuple[float, float]:
        x = left + (math.log2(length) - 8) / 8 * (right - left)
        return x, bottom - (math.log2(size) - low) / (high - low) * (bottom - top)

    for power, name in ((20, "1 MiB"), (25, "32 MiB"), (30, "1 GiB"), (35, "32 GiB")):
        _, y = at(256, 2.0**power)
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, name, MUTED, 12, "end")
    for length in lengths[::2]:
        name = str(length) if length < 1024 else f"{length // 1024}K"
        d.text(at(length, 1)[0], bottom + 18, name, MUTED, 12)
    d.text((left + right) / 2, bottom + 40, {"zh": "序列长度 / token", "en": "sequence length / tokens"})
    curves: tuple[tuple[Callable[[Shape], float], str, Words], ...] = (
        (lambda s: three_kernels(s, 2).moved, ORANGE, {"zh": "朴素，三个内核", "en": "naive, 3 kernels"}),
        (lambda s: keys_outer(s, square, 2).moved, PINK, {"zh": "v1，128 × 128", "en": "v1, 128 × 128"}),
        (lambda s: queries_outer(s, square, 2).moved, BLUE, {"zh": "v2，128 × 128", "en": "v2, 128 × 128"}),
        (lambda s: sum(s.compulsory(2)), GREEN, {"zh": "各一遍（下限）", "en": "each once (least)"}),
    )
    for moved, color, words in curves:
        points = [at(length, moved(Shape(1, 1, 1, length, length, 64))) for length in lengths]
        d.curve(points, color, 2.2)
        lower = 10 if color == BLUE else 2  # so that its name stands clear of v1's
        d.text(points[-1][0] + 10, points[-1][1] + lower, words, INK, 12, "start")
    d.text(
        360,
        350,
        {
            "zh": "一个头，FP16，d = 64，无掩码，不计缓存。前三条都是 N²，差的是系数",
            "en": "one head, FP16, d = 64, no mask, no cache. The first three grow as N²: the factor differs",
        },
        MUTED,
        12,
    )
    d.save("flash-attention-traffic")


def overlap(language: str) -> None:
    """Two warpgroups on H100 with heads of 128: in turn, and ping-pong."""
    d = Drawing(720, 330, language)
    share = exponential_share(128, 4096, 16)  # exponentials over products, a clock and multiprocessor
    product, softmax = 44.0, 88 * share
    panels: tuple[tuple[int, Words, bool], ...] = (
        (50, {"zh": "不重叠：一次只做一件事", "en": "no overlap: one thing at a time"}, False),
        (
            180,
            {
                "zh": "乒乓：一组算指数时，另一组用 Tensor Core",
                "en": "ping-pong: one has the softmax, one the Tensor Core",
            },
            True,
        ),
    )
    kinds: tuple[tuple[str, float, Words], ...] = (
        (BLUE, product, {"zh": "QKᵀ", "en": "QKᵀ"}),
        (ORANGE, softmax, {"zh": "指数", "en": "exp"}),
        (GREEN, product, {"zh": "PV", "en": "PV"}),
    )
    for top, title, together in panels:
        d.text(110, top - 12, title, INK, 14, "start", bold=True)
        for group in range(2):
            y = top + group * 40
            name: Words = {"zh": f"线程束组 {group + 1}", "en": f"warpgroup {group + 1}"}
            d.text(96, y + 22, name, MUTED, 12, "end")
            x = 110.0
            if together:
                x += group * product
            for tile in range(3 if together else 2):
                if not together:
                    x = 110 + (tile * 2 + group) * (2 * product + softmax)
                for color, wide, words in kinds:
                    d.rect(x, y, wide - 3, 32, color, 0.4, color)
                    d.text(x + wide / 2 - 1, y + 21, words, INK, 12)
                    x += wide
                if together:
                    x += product * (2 * 2 - 2) - softmax  # the Tensor Core is the other's meanwhile
    d.text(
        360,
        290,
        {
            "zh": f"H100，d = 128：一块的指数要花它两次矩阵乘的 {share:.0%}（每 SM 每时钟 4096 FLOP 与 16 次"
            "指数）",
            "en": f"H100, d = 128: a tile's exponentials take {share:.0%} of its products' time (4096 FLOPs "
            "and "
            "16 exponentials a clock)",
        },
        MUTED,
        12,
    )
    d.save("flash-attention-overlap")


def main() -> None:
    for language in LANGUAGES:
        tiles(language)
        loops(language)
        traffic(language)
        overlap(language)


if __name__ == "__main__":
    main()
