"""Draws the figures of section 2.3.2, those with numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_sparsity``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas import sparsity
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
    from collections.abc import Callable, Sequence

LANGUAGES = ("zh", "en")
# The kept weights of a small matrix by place, as letters: two of every four in a row.
KEPT = {
    (0, 1): "a",
    (0, 2): "b",
    (0, 4): "c",
    (0, 7): "d",
    (1, 0): "e",
    (1, 3): "f",
    (1, 5): "g",
    (1, 6): "h",
    (2, 2): "i",
    (2, 3): "j",
    (2, 4): "k",
    (2, 5): "l",
}
ROWS, COLUMNS, CELL = 3, 8, 26


def cells(d: Drawing, x: float, y: float, values: Sequence[object], color: str, name: str) -> None:
    """An array: its name at the left, a box an entry."""
    d.text(x - 8, y + 18, name, MUTED, 12, "end")
    for at, value in enumerate(values):
        d.rect(x + at * CELL, y, CELL - 2, CELL - 2, color, 0.18, color)
        d.text(x + at * CELL + CELL / 2 - 1, y + 17, str(value), INK, 12)


def matrix(d: Drawing, x: float, y: float) -> None:
    for row in range(ROWS):
        for column in range(COLUMNS):
            letter = KEPT.get((row, column), "")
            color = BLUE if letter else RULE
            d.rect(x + column * CELL, y + row * CELL, CELL - 2, CELL - 2, color, 0.25, color)
            d.text(x + column * CELL + CELL / 2 - 1, y + row * CELL + 17, letter or "0", INK, 12)


def formats(language: str) -> None:
    """One matrix, and its arrays in three formats."""
    d = Drawing(720, 330, language)
    d.text(124, 26, {"zh": "3 × 8，一半是零", "en": "3 × 8, half of it zeros"}, INK, 13, bold=True)
    matrix(d, 20, 40)
    letters, rows = list(KEPT.values()), [row for row, _ in KEPT]
    columns = [column for _, column in KEPT]
    left = 380
    d.text(left, 26, "COO", INK, 13, "start", bold=True)
    cells(d, left, 36, rows, ORANGE, {"zh": "行", "en": "rows"}[language])
    cells(d, left, 66, columns, ORANGE, {"zh": "列", "en": "columns"}[language])
    cells(d, left, 96, letters, BLUE, {"zh": "值", "en": "values"}[language])
    d.text(left, 150, "CSR", INK, 13, "start", bold=True)
    starts = [sum(row < line for row in rows) for line in range(ROWS + 1)]
    cells(d, left, 160, starts, GREEN, {"zh": "起点", "en": "starts"}[language])
    cells(d, left, 190, columns, ORANGE, {"zh": "列", "en": "columns"}[language])
    cells(d, left, 220, letters, BLUE, {"zh": "值", "en": "values"}[language])
    d.text(left, 274, "2:4", INK, 13, "start", bold=True)
    cells(d, left, 284, [column % 4 for column in columns], PINK, {"zh": "2 位", "en": "2 bits"}[language])
    remarks: tuple[Words, ...] = (
        {"zh": "COO：每个值带两个索引", "en": "COO: two indices a value"},
        {"zh": "CSR：行只记起点，列照记", "en": "CSR: rows by starts, columns kept"},
        {"zh": "CSC：同理，按列排", "en": "CSC: the same by columns"},
        {"zh": "2:4：只记四个里的第几个，值同上", "en": "2:4: place among four; values as above"},
    )
    for at, remark in enumerate(remarks):
        d.text(20, 190 + 26 * at, remark, MUTED, 12.5, "start")
    d.save("sparse-formats")


def plot(
    d: Drawing,
    series: Sequence[tuple[Words | str, str, Callable[[float], float]]],
    spans: tuple[tuple[float, float], tuple[float, float]],
    titles: tuple[Words, Words],
    steps: tuple[Sequence[float], Sequence[float]],
) -> Callable[[float, float], tuple[float, float]]:
    """Axes and curves, cut off at the top; returns the map from values to pixels."""
    left, right, top, bottom = 60, 690, 70, 280
    (low, high), (least, most) = spans

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - low) / (high - low) * (right - left),
            bottom - (y - least) / (most - least) * (bottom - top),
        )

    for y in steps[1]:
        d.line(left, at(low, y)[1], right, at(low, y)[1], RULE, 1)
        d.text(left - 8, at(low, y)[1] + 4, f"{y:g}", MUTED, 12, "end")
    for x in steps[0]:
        d.text(at(x, least)[0], bottom + 18, f"{x:g}", MUTED, 12)
    d.text(left - 36, 56, titles[1], INK, 12.5, "start")
    d.text((left + right) / 2, bottom + 40, titles[0], INK, 12.5)
    for index, (name, color, curve) in enumerate(series):
        samples = [low + (high - low) * one / 200 for one in range(201)]
        points = [(x, curve(x)) for x in samples]
        d.curve([at(x, y) for x, y in points if least <= y <= most], color)
        x = 60 + index * 156
        d.line(x, 22, x + 22, 22, color, 2.6)
        d.text(x + 28, 26, name, INK, 12, "start")
    return at


def sizes(language: str) -> None:
    """Bytes over dense against sparsity, fp16 with int32 indices; 2:4 is a point."""
    d = Drawing(720, 340, language)
    n = 4096

    def share(bytes_of: Callable[[int], float]) -> Callable[[float], float]:
        return lambda zeros: bytes_of(round((1 - zeros / 100) * n * n)) / (2 * n * n)

    block = 16
    series: tuple[tuple[Words | str, str, Callable[[float], float]], ...] = (
        ("COO", ORANGE, share(lambda nonzeros: sparsity.coo_bytes(nonzeros, 2))),
        ("CSR", PINK, share(lambda nonzeros: sparsity.csr_bytes(n, nonzeros, 2))),
        (
            {"zh": "位图", "en": "bitmap"},
            BLUE,
            share(lambda nonzeros: sparsity.bitmap_bytes(n, n, nonzeros, 2)),
        ),
        (
            {"zh": "BSR（整块的零）", "en": "BSR (zeros in blocks)"},
            GREEN,
            share(lambda nonzeros: sparsity.bsr_bytes(n, nonzeros // block**2, block, 2)),
        ),
    )
    titles: tuple[Words, Words] = (
        {"zh": "稀疏度 / %", "en": "sparsity / %"},
        {"zh": "字节 ÷ 稠密", "en": "bytes / dense"},
    )
    at = plot(d, series, ((0, 100), (0, 2)), titles, (range(0, 101, 10), (0, 0.5, 1, 1.5, 2)))
    d.line(*at(0, 1), *at(100, 1), INK, 1.4, "5 4")
    d.dot(*at(50, sparsity.two_four_share(16)), INK, 5)
    x, y = at(50, sparsity.two_four_share(16))
    d.text(x - 10, y + 22, "2:4 = 9/16", INK, 12, "end")
    d.save("sparse-bytes")


def unions(language: str) -> None:
    """Share of channels that a batch needs, tokens being independent."""
    d = Drawing(720, 340, language)
    colors = (ORANGE, PINK, BLUE, GREEN)

    def curve(density: float) -> Callable[[float], float]:
        return lambda batch: 100 * sparsity.union_density(density, batch)

    series: list[tuple[Words | str, str, Callable[[float], float]]] = [
        (
            {"zh": f"每个要 {density:.0%}", "en": f"each needs {density:.0%}"},
            color,
            curve(density),
        )
        for density, color in zip((0.5, 0.2, 0.1, 0.05), colors, strict=True)
    ]
    titles: tuple[Words, Words] = (
        {"zh": "一批里的 token", "en": "tokens of a batch"},
        {"zh": "要读的通道 / %", "en": "channels read / %"},
    )
    plot(d, series, ((1, 32), (0, 100)), titles, ((1, 4, 8, 16, 24, 32), (0, 25, 50, 75, 100)))
    d.save("sparse-union")


def selection(language: str) -> None:
    """How a sparse Tensor Core takes two of four activations by the metadata."""
    d = Drawing(720, 250, language)
    d.text(
        18, 26, {"zh": "权重：值 + 2 位位置", "en": "weight: values + 2-bit places"}, INK, 13, "start", True
    )
    for at, (letter, place) in enumerate((("a", 1), ("b", 2))):
        d.rect(50 + at * 60, 44, 52, 34, BLUE, 0.25, BLUE)
        d.text(76 + at * 60, 66, letter, INK, 14)
        d.rect(50 + at * 60, 84, 52, 24, PINK, 0.2, PINK)
        d.text(76 + at * 60, 101, f"{place:02b}", INK, 12)
    d.text(
        18,
        152,
        {"zh": "四个激活，都在寄存器里", "en": "four activations in registers"},
        INK,
        13,
        "start",
        True,
    )
    for at in range(4):
        color = GREEN if at in (1, 2) else RULE
        d.rect(18 + at * 48, 168, 42, 34, color, 0.28, color)
        d.text(39 + at * 48, 190, f"x{at}", INK, 13)
    d.arrow(170, 96, 286, 96, PINK)
    d.arrow(212, 185, 286, 185, GREEN)
    d.rect(290, 76, 130, 130, ORANGE, 0.12, ORANGE)
    d.text(355, 132, {"zh": "选择器", "en": "selector"}, INK, 14, bold=True)
    d.text(355, 154, {"zh": "每个值：4 选 1", "en": "a value: 1 of 4"}, MUTED, 12)
    d.arrow(420, 141, 470, 141, INK)
    d.rect(474, 106, 200, 70, BLUE, 0.12, BLUE)
    d.text(574, 136, "a · x1 + b · x2", INK, 15, bold=True)
    d.text(574, 160, {"zh": "2 次乘加，代替 4 次", "en": "2 multiply-adds for 4"}, MUTED, 12)
    d.text(
        360,
        236,
        {
            "zh": "每行每四个恰好两个：乘加器不空等，元数据定长，地址可以直接算",
            "en": "Exactly two of four in each row: no unit idles, metadata has a fixed size and place",
        },
        MUTED,
        12.5,
    )
    d.save("sparse-selection")


def main() -> None:
    for language in LANGUAGES:
        for draw in (formats, sizes, unions, selection):
            draw(language)


if __name__ == "__main__":
    main()
