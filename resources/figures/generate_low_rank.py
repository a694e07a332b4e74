"""Draws the figures of section 2.3.3, those with numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_low_rank``.
"""

from __future__ import annotations

import math

from labs.formulas.low_rank import Roofs, break_even_rank, parameter_break_even
from resources.figures.generate_quantization import BLUE, GREEN, INK, MUTED, ORANGE, RULE, Drawing

LANGUAGES = ("zh", "en")
# An H100 SXM by its data sheet in BF16; 3 us a launch is an assumption, as the notes say.
H100 = Roofs(peak=989e12, bandwidth=3.35e12, call_s=3e-6, element_bytes=2)
SIDE = 4096


def fused(language: str) -> None:
    """Two products through memory, and one kernel that keeps the product between on the chip."""
    d = Drawing(720, 330, language)
    for top, split in ((20, True), (180, False)):
        title = (
            {"zh": "两个内核", "en": "two kernels"}
            if split
            else {"zh": "一个融合内核", "en": "one fused kernel"}
        )
        d.text(14, top + 12, title, INK, 13, "start", bold=True)
        d.box(20, top + 30, 70, 80, "x [m, k]", MUTED)
        d.text(112, top + 76, "×", INK, 15)
        d.box(132, top + 22, 44, 96, "A", BLUE)
        d.text(154, top + 134, "[k, r]", MUTED, 12)
        d.arrow(184, top + 70, 236, top + 70)
        d.box(244, top + 30, 44, 80, "xA", ORANGE)
        d.text(266, top + 126, "[m, r]", MUTED, 12)
        words = (
            {"zh": "写出显存，再读回：2·m·r", "en": "to memory and back: 2 m r"}
            if split
            else {"zh": "留在寄存器里", "en": "stays in registers"}
        )
        d.text(266, top + 20, words, ORANGE, 12)
        d.arrow(296, top + 70, 340, top + 70, INK, "5 4" if split else "")
        d.text(362, top + 76, "×", INK, 15)
        d.box(382, top + 48, 130, 44, "B [r, n]", BLUE)
        d.arrow(520, top + 70, 572, top + 70)
        d.box(580, top + 30, 124, 80, "y [m, n]", GREEN)
    d.rect(124, 186, 394, 140, "none", 1, ORANGE)
    d.save("low-rank-fused")


def break_even(language: str) -> None:
    """Break-even rank of a square against rows, apart and fused; dashed that of parameters."""
    d = Drawing(720, 330, language)
    left, right, top, bottom, most = 70, 690, 46, 256, 2200

    def at(m: float, rank: float) -> tuple[float, float]:
        return left + math.log2(m) / 13 * (right - left), bottom - rank / most * (bottom - top)

    for rank in (0, 500, 1000, 1500, 2000):
        d.line(left, at(1, rank)[1], right, at(1, rank)[1], RULE, 1)
        d.text(left - 8, at(1, rank)[1] + 4, str(rank), MUTED, 12, "end")
    for power in range(0, 14, 2):
        d.text(at(2**power, 0)[0], bottom + 18, str(2**power), MUTED, 12)
    even = parameter_break_even(SIDE, SIDE)
    d.line(left, at(1, even)[1], right, at(1, even)[1], MUTED, 1.4, "5 4")
    rows = [2 ** (step / 8) for step in range(13 * 8 + 1)]
    d.curve([at(m, break_even_rank(round(m), SIDE, SIDE, H100)) for m in rows], BLUE, 2.2)
    d.text(left - 46, 20, {"zh": "平衡秩", "en": "break-even rank"}, INK, 13, "start")
    d.line(210, 16, 232, 16, BLUE, 2.4)
    d.text(238, 20, {"zh": "两个内核", "en": "two kernels"}, INK, 12, "start")
    d.line(350, 16, 372, 16, MUTED, 1.6, "5 4")
    d.text(
        378,
        20,
        {"zh": "参数打平；融合内核也在这里", "en": "as many parameters; also fused"},
        INK,
        12,
        "start",
    )
    d.text((left + right) / 2, bottom + 40, {"zh": "m：一次算几行", "en": "m: rows at a time"})
    d.text(
        (left + right) / 2,
        318,
        {
            "zh": f"{SIDE} 方阵，H100 数据表，BF16，假设一次启动 3 µs",
            "en": f"A square of {SIDE}, an H100's data sheet, BF16, 3 µs a launch assumed",
        },
        MUTED,
        12,
    )
    d.save("low-rank-break-even")


def main() -> None:
    for language in LANGUAGES:
        fused(language)
        break_even(language)


if __name__ == "__main__":
    main()
