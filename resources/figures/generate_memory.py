"""Draws the figures of section 3.1.2 from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_memory``.
"""

from __future__ import annotations

from labs.formulas.kv_cache import bytes_per_token, largest_batch
from labs.formulas.liveness import Lifetime, live_bytes, naive_bytes, peak_bytes, step_workspace_bytes
from labs.formulas.memory import weight_bytes
from labs.formulas.offloading import prefetched_seconds, serial_seconds
from resources.figures.generate_quantization import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RULE,
    SKY,
    Drawing,
    Words,
)

GIB = 2**30
# Llama-3.1-8B in BF16, 2048 tokens a step, contexts of 8192; 1.3 GiB runtime and 90 % of an 80 GB card.
WEIGHTS = weight_bytes(8_030_261_248, 16)
SEQUENCE = 8192 * bytes_per_token(layers=32, kv_heads=8, head_dim=128, bytes_per_element=2)
WORKSPACE = step_workspace_bytes(2048, 4096, 14336, 2)
RUNTIME, CARD, ROOM = 1.3 * GIB, 80 * GIB, 0.9 * 80 * GIB


def parts(batch: int) -> list[tuple[Words, float, str]]:
    return [
        ({"zh": "权重", "en": "weights"}, WEIGHTS, BLUE),
        ({"zh": "KV 缓存", "en": "KV cache"}, batch * SEQUENCE, ORANGE),
        ({"zh": "激活工作区", "en": "activations"}, WORKSPACE, GREEN),
        ({"zh": "运行时", "en": "runtime"}, RUNTIME, PINK),
    ]


def memory_parts(language: str) -> None:
    d = Drawing(720, 232, language)
    left, scale = 96, 590 / CARD
    free = ROOM - WEIGHTS - WORKSPACE - RUNTIME
    most = largest_batch(free, 8192, SEQUENCE / 8192)
    x = left
    for name, _, color in parts(1):
        d.rect(x, 8, 13, 13, color)
        d.text(x + 19, 19, name, INK, 13, "start")
        x += 120
    for row, batch in enumerate((1, 15, 32, most)):
        y, at = 38 + 38 * row, 0.0
        d.text(left - 10, y + 19, {"zh": f"批 {batch}", "en": f"batch {batch}"}, INK, 13, "end")
        for _, size, color in parts(batch):
            d.rect(left + at * scale, y, size * scale, 28, color, 0.85)
            if color in (BLUE, ORANGE) and size * scale > 70:
                d.text(left + (at + size / 2) * scale, y + 19, f"{size / GIB:.1f} GiB", "#ffffff", 12)
            at += size
        beside = at if abs(at - ROOM) > 2 * GIB else ROOM
        d.text(left + beside * scale + 6, y + 19, f"{at / GIB:.1f}", MUTED, 12, "start")
    for at, words, anchor in (
        (ROOM, {"zh": "引擎可用 72", "en": "room 72"}, "end"),
        (CARD, {"zh": "80 GiB", "en": "80 GiB"}, "end"),
    ):
        d.line(left + at * scale, 32, left + at * scale, 196, INK if at == CARD else MUTED, 1.2, "4 3")
        d.text(left + at * scale, 211, words, MUTED, 12, anchor)
    d.save("memory-parts")


# One MLP half of a block: sizes in units of the width C, with F = 8/3 C as in SmolLM2. Steps are operations.
OPERATIONS = ("norm", "gate", "silu", "up", "mul", "down", "add")
F = 1536 / 576
OUT_OF_PLACE = [
    Lifetime("x", 0, 6, 1),
    Lifetime("norm", 0, 3, 1),
    Lifetime("gate", 1, 2, F),
    Lifetime("silu", 2, 4, F),
    Lifetime("up", 3, 4, F),
    Lifetime("mul", 4, 5, F),
    Lifetime("down", 5, 6, 1),
    Lifetime("out", 6, 6, 1),
]
IN_PLACE = [
    Lifetime("x", 0, 6, 1),
    Lifetime("norm", 0, 3, 1),
    Lifetime("gate", 1, 5, F),
    Lifetime("up", 3, 4, F),
    Lifetime("down", 5, 6, 1),
]


def activation_lifetimes(language: str) -> None:
    d = Drawing(720, 330, language)
    for left, lives, title, color in (
        (70, OUT_OF_PLACE, {"zh": "每步写新张量", "en": "each step writes a new tensor"}, BLUE),
        (420, IN_PLACE, {"zh": "silu、乘、加写回原处", "en": "silu, mul and add in place"}, GREEN),
    ):
        step = 38
        d.text(left, 20, title, INK, 13, "start", bold=True)
        for i, name in enumerate(OPERATIONS):
            d.text(left + (i + 0.5) * step, 40, name, MUTED, 11)
        for row, life in enumerate(lives):
            y = 50 + 18 * row
            d.text(left - 8, y + 11, life.name, INK, 12, "end")
            width = (life.death - life.birth + 1) * step
            d.rect(left + life.birth * step + 1, y, width - 2, 13, color if life.size > 1 else SKY, 0.85)
        base, unit = 300, 8
        peak = peak_bytes(lives)
        for i, size in enumerate(live_bytes(lives)):
            top = size * unit
            d.rect(left + i * step + 3, base - top, step - 6, top, color, 0.35 if size < peak else 0.9)
        d.line(left, base, left + 7 * step, base, RULE)
        words = {
            "zh": f"存活峰值 {peak:.1f} C，合计 {naive_bytes(lives):.1f} C",
            "en": f"live peak {peak:.1f} C, sum {naive_bytes(lives):.1f} C",
        }
        d.text(left, 320, words, INK, 12, "start")
    d.save("activation-lifetimes")


def prefetch_pipeline(language: str) -> None:
    d = Drawing(720, 300, language)
    left, top = 118, 8
    for load, compute, title in (
        (2.0, 3.0, {"zh": "计算比加载长：加载被藏住", "en": "compute is longer: loading is hidden"}),
        (3.0, 1.0, {"zh": "加载比计算长：只藏住计算", "en": "loading is longer: only compute is hidden"}),
    ):
        loads, computes = [load] * 4, [compute] * 4
        serial, ahead = serial_seconds(loads, computes), prefetched_seconds(loads, computes)
        unit = 500 / max(serial_seconds([2.0] * 4, [3.0] * 4), serial)
        d.text(12, top + 16, title, INK, 13, "start", bold=True)
        for row, (name, length) in enumerate(
            (({"zh": "不预取", "en": "serial"}, serial), ({"zh": "预取下一层", "en": "prefetch"}, ahead))
        ):
            y = top + 28 + 52 * row
            d.text(left - 10, y + 26, name, INK, 13, "end")
            at_load = at = 0.0
            for layer in range(4):
                start = at if row == 0 else at_load
                d.rect(left + start * unit, y, load * unit - 1, 18, ORANGE, 0.85)
                d.text(left + (start + load / 2) * unit, y + 13.5, f"L{layer}", "#ffffff", 11)
                begin = max(at, start + load)
                d.rect(left + begin * unit, y + 20, compute * unit - 1, 18, BLUE, 0.85)
                d.text(left + (begin + compute / 2) * unit, y + 33.5, f"{layer}", "#ffffff", 11)
                # Two buffers: the next load starts when this layer's computation does.
                at_load, at = begin, begin + compute
            d.text(left + length * unit + 8, y + 24, f"{length:g}", INK, 13, "start", bold=True)
        top += 136
    d.rect(118, 282, 13, 13, ORANGE)
    d.text(136, 293, {"zh": "加载一层", "en": "load a layer"}, INK, 12, "start")
    d.rect(250, 282, 13, 13, BLUE)
    d.text(268, 293, {"zh": "计算一层", "en": "compute a layer"}, INK, 12, "start")
    d.save("prefetch-pipeline")


def main() -> None:
    for language in ("zh", "en"):
        for draw in (memory_parts, activation_lifetimes, prefetch_pipeline):
            draw(language)


if __name__ == "__main__":
    main()
