"""Draws the figures of section 2.2.1, their numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_layer_fusion``.
"""

from __future__ import annotations

from labs.formulas.decoder_block import Step, block, groups
from labs.formulas.decoder_demand import Decoder
from labs.formulas.fusion import kernels, moved_bytes
from resources.figures.generate_quantization import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RULE,
    SKY,
    Drawing,
    Words,
)

LANGUAGES = ("zh", "en")
# Llama-3.1-8B's config.json.
LLAMA = Decoder(hidden=4096, intermediate=14336, heads=32, kv_heads=8, head_dim=128, vocab=128256)
TOKENS, BF16 = 1024, 2
# The order of the note: from the smallest circles to the largest.
ORDER: tuple[tuple[Step, Words], ...] = (
    ("norm", {"zh": "+ 残差与归一化", "en": "+ residual and norm"}),
    ("activation", {"zh": "+ SwiGLU", "en": "+ SwiGLU"}),
    ("rope", {"zh": "+ RoPE", "en": "+ RoPE"}),
    ("attention", {"zh": "+ softmax 进注意力", "en": "+ softmax in attention"}),
    ("qkv", {"zh": "+ QKV 一次乘", "en": "+ QKV as one"}),
    ("gate_up", {"zh": "+ gate 与 up 一次乘", "en": "+ gate and up as one"}),
)


def box(d: Drawing, x: float, y: float, words: Words, color: str) -> None:
    """An operator, 92 wide and 30 high, by its centre."""
    d.rect(x - 46, y - 15, 92, 30, color, 0.22)
    d.text(x, y + 5, words, INK, 13)


def directions(language: str) -> None:
    """A chain in one kernel, and three neighbours in one: what still crosses the border."""
    d = Drawing(720, 300, language)
    d.text(170, 26, {"zh": "垂直：前后相接", "en": "vertical: one after another"}, INK, 14, bold=True)
    d.text(520, 26, {"zh": "水平：互不依赖", "en": "horizontal: independent"}, INK, 14, bold=True)
    d.rect(104, 62, 132, 178, BLUE, 0.07)
    d.rect(352, 112, 336, 64, ORANGE, 0.08)
    chain: tuple[Words, ...] = (
        {"zh": "+ 偏置", "en": "+ bias"},
        {"zh": "SiLU", "en": "SiLU"},
        {"zh": "量化", "en": "quantise"},
    )
    for index, words in enumerate(chain):
        y = 92 + 60 * index
        box(d, 170, y, words, GREEN)
        if index:
            d.line(170, y - 45, 170, y - 15, GREEN, 2, "4 3")
    d.line(170, 40, 170, 77, INK, 2)
    d.line(170, 227, 170, 268, INK, 2)
    d.text(184, 258, {"zh": "写一次", "en": "written once"}, MUTED, 12, "start")
    d.text(184, 52, {"zh": "读一次", "en": "read once"}, MUTED, 12, "start")
    d.text(244, 126, {"zh": "不落地", "en": "never written"}, GREEN, 12, "start")
    d.text(244, 186, {"zh": "不落地", "en": "never written"}, GREEN, 12, "start")
    for index, name in enumerate("QKV"):
        x = 410 + 110 * index
        box(d, x, 144, {"zh": f"{name} = x W", "en": f"{name} = x W"}, SKY)
        d.line(520, 72, x, 129, INK, 2)
        d.line(x, 159, x, 226, INK, 2)
    d.text(520, 62, {"zh": "x 只读一次", "en": "x, read once"}, MUTED, 12)
    d.text(
        520,
        250,
        {"zh": "一次启动，线程块排在一起", "en": "one launch, all blocks scheduled together"},
        MUTED,
        12,
    )
    d.save("fusion-directions")


def granularity(language: str) -> None:
    """Bytes and kernels of a block as circles grow, down to the whole block in one."""
    flow = block(LLAMA, TOKENS, TOKENS, BF16)
    rows: list[tuple[Words, int, int]] = [
        ({"zh": "逐算子", "en": "operator by operator"}, len(flow.ops), moved_bytes(flow))
    ]
    done: set[Step] = set()
    for step, words in ORDER:
        done.add(step)
        fused = groups(flow, frozenset(done))
        rows.append((words, len(kernels(flow, fused)), moved_bytes(flow, fused)))
    whole = [tuple(op.name for op in flow.ops)]
    rows.append(({"zh": "整层一个 kernel", "en": "whole block in one"}, 1, moved_bytes(flow, whole)))
    weights = sum(size for name, size in flow.sizes.items() if name.startswith("w."))
    d = Drawing(720, 330, language)
    left, scale = 180.0, 430 / rows[0][2]
    d.text(left, 24, {"zh": "读写（MB）", "en": "moved (MB)"}, MUTED, 12, "start")
    d.text(706, 24, "kernel", MUTED, 12, "end")
    for index, (words, count, size) in enumerate(rows):
        y = 36 + 30 * index
        d.text(left - 10, y + 16, words, INK, 13, "end")
        d.rect(left, y, weights * scale, 22, MUTED, 0.35)
        d.rect(left + weights * scale, y, (size - weights) * scale, 22, BLUE, 0.5)
        d.text(left + size * scale + 8, y + 16, f"{size / 1e6:.0f}", INK, 13, "start")
        d.text(700, y + 16, str(count), ORANGE, 13, "end", bold=True)
    d.line(left, 30, left, 280, RULE, 1)
    d.rect(left, 294, 14, 14, MUTED, 0.35)
    d.text(left + 20, 306, {"zh": "权重", "en": "weights"}, INK, 12, "start")
    d.rect(left + 100, 294, 14, 14, BLUE, 0.5)
    d.text(left + 120, 306, {"zh": "激活", "en": "activations"}, INK, 12, "start")
    d.save("fusion-granularity")


if __name__ == "__main__":
    for language in LANGUAGES:
        directions(language)
        granularity(language)
