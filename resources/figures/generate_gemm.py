"""Draws the figures of section 2.3.1, those with numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_gemm``.
"""

from __future__ import annotations

from labs.formulas.gemm import schedule, step_seconds, tile_count, tile_intensity, tile_share, wave_share
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
# One SM of an A100, tiles of 128 x 128 x 32 in 16 bits, three of four loads from L2: as the lab has it.
LATENCY_S, TRANSFER_S, COMPUTE_S = 600e-9, 217e-9, 363e-9
SMS = 132  # of an H100 SXM


def hierarchy(language: str) -> None:
    """The same product at four levels: what lies where, and how often each number is used there."""
    d = Drawing(720, 330, language)
    levels: tuple[tuple[Words, Words, Words, str], ...] = (
        (
            {"zh": "显存 / L2", "en": "memory / L2"},
            {"zh": "A、B、C 全部", "en": "all of A, B, C"},
            {"zh": "成组次序：邻块共用", "en": "grouped order shares strips"},
            MUTED,
        ),
        (
            {"zh": "共享内存", "en": "shared memory"},
            {"zh": "A、B 的块 × 级数", "en": "tiles of A, B × stages"},
            {
                "zh": f"128×128：每字节 {tile_intensity(128, 128):.0f} FLOP",
                "en": f"128 × 128: {tile_intensity(128, 128):.0f} FLOPs a byte",
            },
            BLUE,
        ),
        (
            {"zh": "寄存器", "en": "registers"},
            {"zh": "C 的块（累加器）", "en": "tile of C (sums)"},
            {"zh": "整个 k 循环不写出", "en": "not written until k ends"},
            GREEN,
        ),
        (
            {"zh": "Tensor Core", "en": "Tensor Core"},
            {"zh": "一条指令的小块", "en": "an instruction's tile"},
            {"zh": "m16n8k16、m64nNk16", "en": "m16n8k16, m64nNk16"},
            ORANGE,
        ),
    )
    for index, (place, holds, remark, color) in enumerate(levels):
        x = 10 + index * 180
        d.text(x + 75, 26, place, INK, 14, bold=True)
        size = 112 - 26 * index
        left, top = x + 75 - size / 2, 120 - size / 2
        d.rect(left, top, size, size, color, 0.12, color)
        if index < len(levels) - 1:
            part = 0.34
            d.rect(left + size * 0.33, top + size * 0.33, size * part, size * part, color, 0.6, color)
            d.arrow(x + 138, 120, x + 190, 120, MUTED)
        d.text(x + 75, 208, holds, INK, 12.5)
        d.text(x + 75, 230, remark, MUTED, 11.5)
    d.line(20, 252, 700, 252, RULE, 1)
    d.text(
        360,
        278,
        {
            "zh": "每一级都把大块切小，搬进更快、更小的一层，在那里用够次数再换下一块",
            "en": "Each level cuts a large tile into small ones, carries them to a faster and smaller place,",
        },
        MUTED,
        12.5,
    )
    d.text(
        360,
        300,
        {
            "zh": "块越大，每搬一个字节做的乘加越多；上限是那一层装得下多少",
            "en": "and uses them there often enough. Larger tiles do more a byte, until they no longer fit",
        },
        MUTED,
        12.5,
    )
    d.save("gemm-hierarchy")


def pipeline(language: str) -> None:
    """Eight steps of k with one, two and four buffers."""
    d = Drawing(720, 400, language)
    left, scale = 92, 600 / (8 * (LATENCY_S + TRANSFER_S + COMPUTE_S))
    top = 34
    for stages in (1, 2, 4):
        run = schedule(8, LATENCY_S, TRANSFER_S, COMPUTE_S, stages)
        step = step_seconds(LATENCY_S, TRANSFER_S, COMPUTE_S, stages)
        title: Words = {
            "zh": f"{stages} 级：稳态每步 {step * 1e9:.0f} ns",
            "en": f"{stages} stage{'s' * (stages > 1)}: {step * 1e9:.0f} ns a step",
        }
        d.text(left, top, title, INK, 13, "start", bold=True)
        for lane in range(stages + 1):
            y = top + 8 + lane * 17
            name: Words = {"zh": f"缓冲 {lane}", "en": f"buffer {lane}"}
            d.text(left - 8, y + 11, name if lane < stages else "Tensor Core", MUTED, 11, "end")
        for index, (asked, sent, arrived, begun, done) in enumerate(run):
            y = top + 8 + index % stages * 17
            for start, end, color, shade in (
                (asked, sent, MUTED, 0.25),
                (sent, arrived, BLUE, 0.75),
                (begun, done, ORANGE, 0.35),
            ):
                d.rect(left + start * scale, y, (end - start) * scale - 0.8, 13, color, shade)
            d.rect(
                left + begun * scale, top + 8 + stages * 17, (done - begun) * scale - 0.8, 13, ORANGE, 0.95
            )
        top += 46 + (stages + 1) * 17
    d.line(left, top - 14, 700, top - 14, RULE, 1)
    legend: tuple[tuple[Words, str, float], ...] = (
        ({"zh": "等显存（延迟）", "en": "latency"}, MUTED, 0.25),
        ({"zh": "传输", "en": "transfer"}, BLUE, 0.75),
        ({"zh": "相乘", "en": "multiplied"}, ORANGE, 0.95),
    )
    for index, (words, color, shade) in enumerate(legend):
        d.rect(left + index * 150, top + 2, 14, 12, color, shade)
        d.text(left + 20 + index * 150, top + 13, words, INK, 12, "start")
    d.text(
        left,
        top + 38,
        {
            "zh": "排程（labs.formulas.gemm.schedule）：A100 的一个 SM，块 128×128×32，延迟设为 600 ns",
            "en": "scheduled (labs.formulas.gemm.schedule): an SM of an A100, 128 × 128 × 32, 600 ns latency",
        },
        MUTED,
        11.5,
        "start",
    )
    d.save("gemm-pipeline")


def waves(language: str) -> None:
    """Useful share of the peak against n, for two tiles on an H100."""
    d = Drawing(720, 330, language)
    left, right, top, bottom, m, most = 60, 690, 40, 250, 4096, 8448

    def at(n: float, percent: float) -> tuple[float, float]:
        return left + n / most * (right - left), bottom - percent / 100 * (bottom - top)

    for percent in (0, 25, 50, 75, 100):
        y = at(0, percent)[1]
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, str(percent), MUTED, 12, "end")
    for n in range(0, most + 1, 1056):
        d.text(at(n, 0)[0], bottom + 18, str(n), MUTED, 12)
    d.text(left - 30, 20, {"zh": "有用部分 / %", "en": "useful share / %"}, INK, 13, "start")
    d.text(
        (left + right) / 2, bottom + 40, {"zh": f"n（m = {m}，{SMS} 个 SM）", "en": f"n (m = {m}, {SMS} SMs)"}
    )
    for (tile_m, tile_n), color, x in (((128, 128), BLUE, 330), ((256, 128), PINK, 510)):
        points = [
            at(n, 100 * tile_share(m, n, tile_m, tile_n) * wave_share(tile_count(m, n, tile_m, tile_n), SMS))
            for n in range(32, most + 1, 32)
        ]
        d.curve(points, color, 1.8)
        d.line(x, 18, x + 22, 18, color, 2.4)
        d.text(x + 28, 22, f"{tile_m} × {tile_n}", INK, 12, "start")
    d.text(
        360,
        316,
        {
            "zh": "每个台阶：块数刚过 132 的倍数，多出的一波几乎全空",
            "en": "Each step: tiles just exceed a multiple of 132, and one more wave is almost empty",
        },
        MUTED,
        12,
    )
    d.save("gemm-waves")


def loops(language: str) -> None:
    """Which parts of A, B and C a step of three loop orders touches."""
    d = Drawing(720, 270, language)
    size, unit = 60, 60 / 8
    orders: tuple[tuple[str, Words, tuple[tuple[float, ...], ...]], ...] = (
        (
            "ijk",
            {"zh": "沿 B 的列：一数一行缓存", "en": "down B: a line a number"},
            ((0, 3, 8, 1), (4, 0, 1, 8), (4, 3, 1, 1)),
        ),
        (
            "ikj",
            {"zh": "沿 B 的行：整行用满", "en": "along B: whole lines"},
            ((2, 3, 1, 1), (0, 2, 8, 1), (0, 3, 8, 1)),
        ),
        (
            "tiled",
            {"zh": "B 的一块留在缓存里", "en": "a tile of B stays cached"},
            ((0, 3, 4, 1), (4, 0, 4, 4), (4, 3, 4, 1)),
        ),
    )
    for row, (name, remark, parts) in enumerate(orders):
        y = 20 + row * 82
        title: Words = {"zh": "分块" if name == "tiled" else name, "en": name}
        d.text(48, y + 36, title, INK, 15, bold=True)
        for column, (matrix, (x0, y0, w, h), color) in enumerate(
            zip("ABC", parts, (BLUE, GREEN, ORANGE), strict=True)
        ):
            x = 110 + column * 130
            d.text(x - 14, y + 36, matrix, MUTED, 13)
            d.rect(x, y, size, size, RULE, 0.35, MUTED)
            d.rect(x + x0 * unit, y + y0 * unit, w * unit, h * unit, color, 0.85)
        d.text(500, y + 36, remark, INK, 13, "start")
    d.save("gemm-loops")


def main() -> None:
    for language in LANGUAGES:
        for draw in (hierarchy, pipeline, waves, loops):
            draw(language)


if __name__ == "__main__":
    main()
