"""Draws the figure of section 2.2.2: a chain as three kernels and as one, what crosses the bus counted.

Run from the repository's root: ``python -m resources.figures.generate_kernel_fusion``.
"""

from __future__ import annotations

from labs.formulas.fusion import elementwise_chain_bytes
from resources.figures.generate_quantization import BLUE, GREEN, INK, MUTED, ORANGE, RULE, Drawing

STEPS = ("Add", "Mul", "ReLU")
LEFT, GAP, WIDE = 60, 230, 110


def traffic(language: str) -> None:
    """Two rows: memory above, kernels below; an arrow is one pass over the tensor."""
    drawing = Drawing(760, 330, language)
    apart, one = (bytes_ // 2 for bytes_ in elementwise_chain_bytes(1, len(STEPS), 2))
    _memory(drawing, 46)
    drawing.text(
        LEFT,
        24,
        {"zh": f"三个内核：数据过总线 {apart} 遍", "en": f"three kernels: {apart} passes over the bus"},
        bold=True,
        anchor="start",
    )
    for place, step in enumerate(STEPS):
        x = LEFT + 20 + place * GAP
        drawing.box(x, 112, WIDE, 34, step, ORANGE)
        drawing.arrow(x + 24, 76, x + 24, 108, BLUE)
        drawing.arrow(x + WIDE - 24, 112, x + WIDE - 24, 80, GREEN)
    drawing.text(
        LEFT,
        196,
        {
            "zh": f"一个内核：{one} 遍，中间值在寄存器里",
            "en": f"one kernel: {one} passes, the rest in registers",
        },
        bold=True,
        anchor="start",
    )
    _memory(drawing, 218)
    drawing.rect(LEFT + 8, 276, 2 * GAP + WIDE + 24, 46, ORANGE, 0.06, ORANGE)
    for place, step in enumerate(STEPS):
        x = LEFT + 20 + place * GAP
        drawing.box(x, 282, WIDE, 34, step, ORANGE)
        if place:
            drawing.arrow(x - GAP + WIDE + 4, 299, x - 4, 299, MUTED)
    drawing.arrow(LEFT + 44, 248, LEFT + 44, 274, BLUE)
    right = LEFT + 20 + 2 * GAP + WIDE - 24
    drawing.arrow(right, 276, right, 252, GREEN)
    drawing.save("kernel-fusion-traffic")


def _memory(drawing: Drawing, y: float) -> None:
    drawing.rect(LEFT, y, 2 * GAP + WIDE + 40, 30, RULE, 0.35, RULE)
    words = {
        "zh": "显存（HBM）：蓝 = 读一遍，绿 = 写一遍",
        "en": "memory (HBM): blue = read once, green = written once",
    }
    drawing.text(LEFT + GAP + WIDE / 2 + 20, y + 20, words, INK)


if __name__ == "__main__":
    for each in ("zh", "en"):
        traffic(each)
