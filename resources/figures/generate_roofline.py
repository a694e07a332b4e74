"""Draws the figures of section 2.4.3, their numbers from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_roofline``.
"""

from __future__ import annotations

import math

from labs.formulas.decoder_demand import Bits, Decoder, part_demands
from labs.formulas.memory import ridge_point
from labs.formulas.roofline import attainable
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

LANGUAGES = ("zh", "en")
# NVIDIA H100 SXM5: dense BF16 of the architecture whitepaper, bandwidth of the data sheet.
PEAK, BANDWIDTH = 989.4e12, 3.35e12
# Llama-3.1-8B's config.json.
LLAMA = Decoder(hidden=4096, intermediate=14336, heads=32, kv_heads=8, head_dim=128, vocab=128256)


def h100(language: str) -> None:
    """Parts of Llama-3.1-8B where they can be at best, on the roof of an H100."""
    d = Drawing(720, 380, language)
    left, right, top, bottom = 92, 700, 34, 320
    x_low, x_high, y_low, y_high = 0.125, 8192.0, 2e11, 6e15

    def at(intensity: float, rate: float) -> tuple[float, float]:
        x = left + (right - left) * math.log(intensity / x_low) / math.log(x_high / x_low)
        return x, bottom - (bottom - top) * math.log(rate / y_low) / math.log(y_high / y_low)

    ridge = ridge_point(PEAK, BANDWIDTH)
    ridge_x = at(ridge, PEAK)[0]
    d.rect(left, top, ridge_x - left, bottom - top, BLUE, 0.05)
    d.rect(ridge_x, top, right - ridge_x, bottom - top, ORANGE, 0.05)
    for power in range(12, 16):
        y = at(1, 10.0**power)[1]
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, f"{10 ** (power - 12):g} TFLOP/s", MUTED, 12, "end")
    for intensity in (0.25, 1, 4, 16, 64, 256, 1024, 4096):
        x = at(intensity, y_low)[0]
        d.line(x, bottom, x, bottom + 4, MUTED, 1)
        d.text(x, bottom + 18, f"{intensity:g}", MUTED, 12)
    d.line(left, bottom, right, bottom, MUTED, 1.2)
    d.text(
        (left + right) / 2,
        bottom + 40,
        {"zh": "算术强度（FLOP/B）", "en": "arithmetic intensity (FLOP/B)"},
        MUTED,
        12,
    )
    start = max(x_low, y_low / BANDWIDTH)
    d.curve([at(start, start * BANDWIDTH), at(ridge, PEAK), at(x_high, PEAK)], INK, 2.4)
    d.line(ridge_x, at(ridge, PEAK)[1], ridge_x, bottom, MUTED, 1, "4 3")
    words = {"zh": f"拐点 {ridge:.0f}", "en": f"ridge {ridge:.0f}"}
    d.text(ridge_x + 6, bottom - 8, words, INK, 12, "start", bold=True)
    d.text(left + 10, top + 18, {"zh": "访存受限", "en": "bandwidth-bound"}, BLUE, 13, "start", bold=True)
    d.text(right - 10, top + 18, {"zh": "计算受限", "en": "compute-bound"}, ORANGE, 13, "end", bold=True)
    d.text(
        at(14, 0.8 * 14 * BANDWIDTH)[0] + 34, at(14, 14 * BANDWIDTH)[1] + 26, "3.35 TB/s", MUTED, 12, "start"
    )
    d.text(
        right - 10,
        at(1, PEAK)[1] - 8,
        {"zh": "989 TFLOP/s（BF16 稠密）", "en": "989 TFLOP/s (BF16, dense)"},
        MUTED,
        12,
        "end",
    )
    one, many = (part_demands(LLAMA, batch, 1, 2048, Bits()) for batch in (1, 64))
    prompt = part_demands(LLAMA, 1, 2048, 2048, Bits())
    points: tuple[tuple[float, Words, str, str, float], ...] = (
        (
            one["down"].intensity,
            {"zh": "解码矩阵乘，批 1", "en": "decode products, batch 1"},
            BLUE,
            "start",
            18,
        ),
        (one["attention"].intensity, {"zh": "解码注意力", "en": "decode attention"}, GREEN, "start", 18),
        (
            many["down"].intensity,
            {"zh": "解码矩阵乘，批 64", "en": "decode products, batch 64"},
            BLUE,
            "end",
            -4,
        ),
        (
            prompt["down"].intensity,
            {"zh": "预填充 2048 的矩阵乘", "en": "products of a 2048 prefill"},
            ORANGE,
            "middle",
            24,
        ),
    )
    for intensity, name, color, anchor, below in points:
        x, y = at(intensity, attainable(intensity, PEAK, BANDWIDTH))
        d.dot(x, y, color, 5)
        shift = {"end": -10, "start": 10, "middle": 0}[anchor]
        d.text(x + shift, y + below, name, INK, 12, anchor)
    d.save("roofline-h100")


def verdict(language: str) -> None:
    """From a measured time and three bounds to what limits an operator."""
    d = Drawing(720, 330, language)
    d.box(20, 20, 200, 44, {"zh": "实测时间 t（热身、中位数）", "en": "measured time t (median)"}, SKY)
    bounds: tuple[tuple[Words, str], ...] = (
        ({"zh": "字节 ÷ 带宽", "en": "bytes / bandwidth"}, BLUE),
        ({"zh": "运算 ÷ 峰值", "en": "FLOPs / peak"}, ORANGE),
        ({"zh": "调用数 × 空调用", "en": "calls × empty call"}, PINK),
    )
    for place, (words, color) in enumerate(bounds):
        d.box(20, 92 + place * 56, 200, 40, words, color)
        d.arrow(220, 112 + place * 56, 282, 112 + place * 56, MUTED)
    d.box(284, 92, 150, 152, {"zh": "取最大：下界", "en": "the largest: the bound"}, MUTED)
    d.line(120, 64, 120, 76, MUTED)
    d.line(120, 76, 359, 76, MUTED)
    d.arrow(359, 76, 359, 91, MUTED)
    outcomes: tuple[tuple[Words, Words, str], ...] = (
        (
            {"zh": "访存受限", "en": "bandwidth-bound"},
            {"zh": "少搬：融合、量化、批", "en": "move less: fuse, quantise, batch"},
            BLUE,
        ),
        (
            {"zh": "计算受限", "en": "compute-bound"},
            {"zh": "少算或换低精度单元", "en": "compute less, lower precision"},
            ORANGE,
        ),
        (
            {"zh": "开销受限", "en": "overhead-bound"},
            {"zh": "少调用：融合、CUDA graph", "en": "fewer calls: fuse, CUDA graphs"},
            PINK,
        ),
        (
            {"zh": "离哪个都远", "en": "far from all"},
            {"zh": "看内核：延迟、并行度、访存模式", "en": "the kernel: latency, access, tails"},
            MUTED,
        ),
    )
    for place, (name, what, color) in enumerate(outcomes):
        y = 40 + place * 68
        d.box(500, y, 200, 30, name, color)
        d.text(600, y + 48, what, MUTED, 12)
        d.line(434, 168, 466, 168, MUTED)
        d.line(466, min(168, y + 15), 466, max(168, y + 15), MUTED)
        d.arrow(466, y + 15, 498, y + 15, MUTED)
    d.text(
        20,
        300,
        {"zh": "t 不到下界的 3 倍：受最大的那个限制", "en": "t below 3 bounds: limited by the largest"},
        MUTED,
        12,
        "start",
    )
    d.text(
        20,
        318,
        {"zh": "t 更长：没有一个上限解释得了", "en": "t longer: no bound explains it"},
        MUTED,
        12,
        "start",
    )
    d.save("roofline-verdict")


def tools(language: str) -> None:
    """What a system timeline shows, and what is asked of one kernel of it."""
    d = Drawing(720, 330, language)
    d.text(
        12,
        24,
        {"zh": "Nsight Systems：整个程序的时间线", "en": "Nsight Systems: the program's timeline"},
        INK,
        14,
        "start",
        bold=True,
    )
    lanes: tuple[tuple[Words, int], ...] = (
        ({"zh": "NVTX 区间", "en": "NVTX ranges"}, 42),
        ({"zh": "CPU：CUDA 调用", "en": "CPU: CUDA calls"}, 78),
        ({"zh": "GPU：内核", "en": "GPU: kernels"}, 114),
    )
    for name, y in lanes:
        d.text(12, y + 17, name, MUTED, 12, "start")
        d.line(130, y + 28, 700, y + 28, RULE, 1)
    d.box(140, 42, 240, 24, {"zh": "预填充", "en": "prefill"}, SKY)
    d.box(400, 42, 290, 24, {"zh": "解码一步", "en": "a decode step"}, SKY)
    for x in (140, 152, 164, 176):
        d.rect(x, 78, 8, 24, BLUE, 0.7)
    for start, width in ((160, 90), (252, 60), (314, 66)):
        d.rect(start, 114, width, 24, ORANGE, 0.75)
    for place in range(7):
        d.rect(402 + place * 40, 78, 26, 24, BLUE, 0.7)
        d.rect(424 + place * 40, 114, 12, 24, ORANGE, 0.75)
    d.text(
        545, 158, {"zh": "空隙：GPU 在等 CPU 启动内核", "en": "gaps: the GPU waits for launches"}, PINK, 12
    )
    d.text(
        12,
        196,
        {
            "zh": "Nsight Compute：其中一个内核，重放多遍",
            "en": "Nsight Compute: one of the kernels, replayed",
        },
        INK,
        14,
        "start",
        bold=True,
    )
    d.rect(252, 114, 60, 24, "none", 1, INK)
    d.arrow(282, 140, 282, 178, MUTED, "4 3")
    bars: tuple[tuple[Words, float, str], ...] = (
        ({"zh": "计算吞吐（占峰值）", "en": "compute throughput"}, 0.28, ORANGE),
        ({"zh": "访存吞吐（占峰值）", "en": "memory throughput"}, 0.86, BLUE),
        ({"zh": "达到的占用率", "en": "achieved occupancy"}, 0.55, GREEN),
        ({"zh": "停顿：等访存", "en": "stalled on memory"}, 0.7, PINK),
    )
    for place, (name, share, color) in enumerate(bars):
        y = 214 + place * 28
        d.text(200, y + 15, name, MUTED, 12, "end")
        d.rect(212, y, 480, 20, RULE, 0.4)
        d.rect(212, y, 480 * share, 20, color, 0.75)
    d.save("roofline-tools")


def main() -> None:
    for language in LANGUAGES:
        for draw in (h100, verdict, tools):
            draw(language)


if __name__ == "__main__":
    main()
