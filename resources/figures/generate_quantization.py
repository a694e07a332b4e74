"""Draws the figures of notes 1.2.1-06 to 1.2.1-09 from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_quantization``. QtSvg draws little but
plain shapes. The note view replaces the neutral colours by those of the theme, so most words use them.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from labs.formulas.clipping import clipping_mse, gaussian_absmax, optimal_clip, rounding_mse
from labs.formulas.mixed_precision import average_bits, q4_k_m_promoted
from labs.formulas.quantization import (
    Granularity,
    asymmetric_scale_zero_point,
    bits_per_weight,
    dequantize,
    level_range,
    quantize,
    scale_count,
    sqnr_db,
    symmetric_scale,
    uniform_sqnr_db,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

INK, MUTED, RULE = "#1f2328", "#57606a", "#d0d7de"
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
FOLDER = Path(__file__).parent
Words = dict[str, str]


class Drawing:
    """Shapes appended to one SVG; coordinates in pixels, y downwards."""

    def __init__(self, width: int, height: int, language: str) -> None:
        self.width, self.height, self.language = width, height, language
        self.shapes: list[str] = []

    def rect(
        self, x: float, y: float, w: float, h: float, fill: str, opacity: float = 1, line: str = "none"
    ) -> None:
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="3" fill="{fill}" '
            f'fill-opacity="{opacity:g}" stroke="{line}" stroke-width="1.2"/>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, color: str = INK, width: float = 1.2, dash: str = ""
    ) -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.shapes.append(
            f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{color}" '
            f'stroke-width="{width:g}"{dashes}/>'
        )

    def arrow(self, x1: float, y1: float, x2: float, y2: float, color: str = INK, dash: str = "") -> None:
        """Horizontal or vertical, with its own head: QtSvg draws no markers."""
        self.line(x1, y1, x2, y2, color, 1.4, dash)
        back = 6
        if y1 == y2:
            sign = 1 if x2 > x1 else -1
            points = [(x2, y2), (x2 - sign * back, y2 - 4), (x2 - sign * back, y2 + 4)]
        else:
            sign = 1 if y2 > y1 else -1
            points = [(x2, y2), (x2 - 4, y2 - sign * back), (x2 + 4, y2 - sign * back)]
        corners = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.shapes.append(f'<polygon points="{corners}" fill="{color}"/>')

    def curve(
        self, points: Iterable[tuple[float, float]], color: str, width: float = 2, dash: str = ""
    ) -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self.shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}"{dashes}/>'
        )

    def dot(self, x: float, y: float, color: str, radius: float = 4) -> None:
        self.shapes.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}" fill="{color}"/>')

    def text(
        self,
        x: float,
        y: float,
        words: str | Words,
        color: str = INK,
        size: float = 13,
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        shown = words if isinstance(words, str) else words[self.language]
        weight = ' font-weight="bold"' if bold else ""
        self.shapes.append(
            f'<text x="{x:.2f}" y="{y:.2f}" font-family="Noto Sans CJK SC, Noto Sans, sans-serif" '
            f'font-size="{size:g}" fill="{color}" text-anchor="{anchor}"{weight}>{escape(shown)}</text>'
        )

    def box(self, x: float, y: float, w: float, h: float, words: str | Words, color: str) -> None:
        self.rect(x, y, w, h, color, 0.14, color)
        self.text(x + w / 2, y + h / 2 + 4.5, words)

    def save(self, name: str) -> None:
        suffix = "" if self.language == "zh" else f".{self.language}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}">'
        )
        text = "\n".join([head, *self.shapes, "</svg>", ""])
        (FOLDER / f"{name}{suffix}.svg").write_text(text, encoding="utf-8")


def static_and_dynamic_db(factor: float) -> tuple[float, float]:
    """SQNR at 8 bits of a token ``factor`` times as large as calibration saw: static scale, own scale."""
    generator = random.Random(0)
    shape = [generator.gauss(0, 1) for _ in range(576)]
    calibrated = symmetric_scale(max(abs(value) for value in shape), 8)
    token = [factor * value for value in shape]
    own = symmetric_scale(max(abs(value) for value in token), 8)
    low, high = level_range(8, "symmetric")
    static, dynamic = (
        sqnr_db(token, dequantize(quantize(token, scale, 0, low, high), scale)) for scale in (calibrated, own)
    )
    return static, dynamic


def dynamic_static(language: str) -> None:
    d = Drawing(720, 400, language)
    round_words = {"zh": "÷ s，取整", "en": "÷ s, round"}
    for y, title, color in (
        (66, {"zh": "静态", "en": "static"}, BLUE),
        (166, {"zh": "动态", "en": "dynamic"}, ORANGE),
    ):
        d.text(12, y + 22, title, INK, 14, "start", bold=True)
        d.text(92, y + 22, "x")
        d.arrow(102, y + 17, 248, y + 17)
        d.box(250, y, 110, 34, round_words, color)
        d.arrow(360, y + 17, 408, y + 17)
        d.box(410, y, 110, 34, "INT8 GEMM", MUTED)
        d.arrow(520, y + 17, 568, y + 17)
        d.box(570, y, 90, 34, {"zh": "× s · s_w", "en": "× s · s_w"}, color)
        d.arrow(660, y + 17, 694, y + 17)
        d.text(704, y + 22, "y")
    d.box(215, 8, 180, 28, {"zh": "校准集（上线前，一次）", "en": "calibration set, once"}, BLUE)
    d.arrow(305, 36, 305, 64, BLUE, "4 3")
    d.text(313, 55, {"zh": "s 固定", "en": "fixed s"}, INK, 12, "start")
    d.line(130, 183, 130, 140, ORANGE, 1.4)
    d.box(150, 126, 90, 28, "max |x|", ORANGE)
    d.arrow(130, 140, 149, 140, ORANGE)
    d.line(240, 140, 305, 140, ORANGE, 1.4)
    d.arrow(305, 140, 305, 164, ORANGE)
    d.text(
        313,
        146,
        {"zh": "每个词元一个 s（每次前向都算）", "en": "one s a token, in every forward pass"},
        INK,
        12,
        "start",
    )

    left, bottom, unit = 150, 372, 2.5
    d.text(
        12,
        236,
        {"zh": "一个词元的 SQNR（dB，INT8）", "en": "SQNR of one token (dB, INT8)"},
        INK,
        13,
        "start",
        bold=True,
    )
    factors = ((0.25, "0.25×"), (1.0, "1×"), (4.0, "4×"))
    d.text(12, bottom + 18, {"zh": "幅度 / 校准", "en": "size / calibrated"}, MUTED, 12, "start")
    d.line(left - 10, bottom, 700, bottom, RULE)
    for i, (factor, label) in enumerate(factors):
        x = left + 20 + i * 180
        for j, (value, color) in enumerate(zip(static_and_dynamic_db(factor), (BLUE, ORANGE), strict=True)):
            d.rect(x + j * 56, bottom - value * unit, 50, value * unit, color)
            d.text(x + j * 56 + 25, bottom - value * unit - 6, f"{value:.1f}", INK, 13)
        d.text(x + 53, bottom + 18, label, INK, 13)
    d.save("dynamic-static")


def granularity(language: str) -> None:
    d = Drawing(720, 286, language)
    panels: tuple[tuple[Words, Granularity], ...] = (
        ({"zh": "逐层（per-tensor）", "en": "per tensor"}, "tensor"),
        ({"zh": "逐通道（per-channel）", "en": "per channel"}, "channel"),
        ({"zh": "分组（g = 128）", "en": "group (g = 128)"}, "group"),
    )
    colors = (BLUE, YELLOW, GREEN, PINK)
    for panel, (title, kind) in enumerate(panels):
        x0, y0, cell = 44 + panel * 232, 44, 11.5
        d.text(x0 + 8 * cell, 24, title, INK, 14, bold=True)
        for row in range(12):
            for column in range(16):
                index = {"tensor": 0, "channel": row, "group": row + column // 4}[kind]
                x, y = x0 + column * cell, y0 + row * cell
                d.shapes.append(
                    f'<rect x="{x:g}" y="{y:g}" width="10.5" height="10.5" fill="{colors[index % 4]}"/>'
                )
        if panel == 0:
            d.text(24, y0 + 6 * cell + 4, "out", MUTED, 12)
        d.text(x0 + 8 * cell, y0 + 12 * cell + 15, "in", MUTED, 12)
        scales = scale_count(14336, 4096, kind, 128)
        bits = bits_per_weight(14336, 4096, 4, kind, 128)
        unit = {"zh": "个 scale", "en": "scale" if scales == 1 else "scales"}[language]
        d.text(x0 + 8 * cell, y0 + 12 * cell + 42, f"{scales:,} {unit}", INK, 14)
        d.text(
            x0 + 8 * cell,
            y0 + 12 * cell + 64,
            f"{bits:.3f} bit / {'权重' if language == 'zh' else 'weight'}",
            MUTED,
        )
    caption = {
        "zh": "同色相邻的格子共用一个 scale；数字按 14336 × 4096、INT4、FP16 scale 计",
        "en": "Adjacent cells of one colour share a scale; counts for 14336 × 4096, INT4, FP16 scales",
    }
    d.text(360, 274, caption, MUTED, 12)
    d.save("granularity")


def granularity_tradeoff(language: str) -> None:
    d = Drawing(720, 340, language)
    left, right, top, bottom = 70, 690, 24, 284
    x_low, x_high, y_low, y_high = 3.95, 5.1, 15.0, 22.5

    def at(bits: float, db: float) -> tuple[float, float]:
        return (
            left + (bits - x_low) / (x_high - x_low) * (right - left),
            bottom - (db - y_low) / (y_high - y_low) * (bottom - top),
        )

    for level in range(15, 23):
        x, y = at(x_low, level)
        d.line(x, y, right, y, RULE, 1)
        d.text(x - 8, y + 4, str(level), MUTED, 12, "end")
    for tick in (4.0, 4.25, 4.5, 4.75, 5.0):
        x, y = at(tick, y_low)
        d.text(x, y + 18, f"{tick:g}", MUTED, 12)
    d.text(
        (left + right) / 2,
        bottom + 42,
        {"zh": "每个权重的实际比特数（含 FP16 scale）", "en": "bits per weight, FP16 scales included"},
    )
    d.text(
        left + 6,
        top + 12,
        {"zh": "SQNR / dB（4 位，正态权重，理论值）", "en": "SQNR / dB (4 bits, normal weights, theory)"},
        INK,
        13,
        "start",
    )
    sizes = (4096, 1024, 512, 256, 128, 64, 32, 16)
    points = {}
    for size in sizes:
        bits = bits_per_weight(1, 4096, 4, "group", size)
        points[size] = (bits, uniform_sqnr_db(4, gaussian_absmax(size), steps=14))
    best = max(sizes, key=lambda size: points[size][1] - 6.0206 * points[size][0])
    bits, db = points[best]
    d.curve([at(b, db + 6.0206 * (b - bits)) for b in (3.97, 4.86)], MUTED, 1.5, "6 4")
    d.text(
        *at(4.68, 21.3),
        {"zh": "多一位：每比特 6.02 dB", "en": "one more bit: 6.02 dB a bit"},
        MUTED,
        12,
        "start",
    )
    d.curve([at(*points[size]) for size in sizes], BLUE, 2)
    for size in sizes:
        x, y = at(*points[size])
        d.dot(x, y, ORANGE if size == best else BLUE, 5.5 if size == best else 4)
        if size == 4096:
            d.text(x + 12, y + 8, {"zh": "整行 4096", "en": "whole row, 4096"}, INK, 12, "start")
        elif size <= 128:
            d.text(
                x + 10, y + 14, f"g = {size}", ORANGE if size == best else INK, 13, "start", bold=size == best
            )
    d.save("granularity-tradeoff")


def scale_zero_point(language: str) -> None:
    d = Drawing(720, 400, language)
    low, high = -1.0, 3.0
    scale, zero_point = asymmetric_scale_zero_point(low, high, 4)
    left, unit = 110, 135.0

    def real(x: float) -> float:
        return left + (x - low) * unit

    d.text(12, 45, "x", INK, 15, "start", bold=True)
    d.text(12, 125, "q", INK, 15, "start", bold=True)
    d.line(real(low) - 20, 40, real(high) + 20, 40)
    d.line(real(low) - 20, 120, real(high) + 20, 120)
    for code in range(16):
        x = real(dequantize(code, scale, zero_point))
        zero = code == zero_point
        d.line(x, 46, x, 114, ORANGE if zero else RULE, 2 if zero else 1)
        d.line(x, 114, x, 126, ORANGE if zero else BLUE, 2)
        d.text(x, 142, str(code), ORANGE if zero else INK, 13, bold=zero)
    for value in (-1, 0, 1, 2, 3):
        d.line(real(value), 34, real(value), 46, ORANGE if value == 0 else INK, 1.6)
        d.text(real(value), 28, str(value), ORANGE if value == 0 else INK, 13, bold=value == 0)
    d.text(
        390,
        168,
        {
            "zh": f"[-1, 3]，4 位：s = 4/15 = {scale:.4f}，z = round(3.75) = {zero_point}；实数 0 恰好是码 4",
            "en": f"[-1, 3], 4 bits: s = 4/15 = {scale:.4f}, z = round(3.75) = {zero_point}; 0 is code 4",
        },
        MUTED,
        12,
    )

    x0, x1, top, bottom = 70, 690, 206, 356
    y_high = 0.036

    def at(clip: float, error: float) -> tuple[float, float]:
        return x0 + (clip - 1.4) / 2.8 * (x1 - x0), bottom - min(error / y_high, 1) * (bottom - top)

    d.line(x0, bottom, x1, bottom, MUTED)
    d.line(x0, top, x0, bottom, MUTED)
    d.text(
        x0 + 4,
        top - 8,
        {"zh": "均方误差（4 位，正态分布，单位 σ²）", "en": "mean squared error (4 bits, normal, in σ²)"},
        INK,
        13,
        "start",
    )
    for tick in (1.5, 2.0, 2.5, 3.0, 3.5, 4.0):
        d.text(at(tick, 0)[0], bottom + 17, f"{tick:g}σ", MUTED, 12)
    d.text(x1, bottom + 36, {"zh": "截断点 α", "en": "clip α"}, MUTED, 12, "end")
    clips = [1.4 + 0.02 * i for i in range(141)]
    d.curve([at(c, rounding_mse(c, 4)) for c in clips], BLUE, 2, "6 4")
    d.curve([at(c, clipping_mse(c)) for c in clips if clipping_mse(c) < y_high], GREEN, 2, "6 4")
    d.curve(
        [
            at(c, rounding_mse(c, 4) + clipping_mse(c))
            for c in clips
            if rounding_mse(c, 4) + clipping_mse(c) < y_high
        ],
        ORANGE,
        2.5,
    )
    best = optimal_clip(4)
    for clip, label, color in (
        (best, {"zh": f"最优 {best:.2f}σ", "en": f"best {best:.2f}σ"}, ORANGE),
        (gaussian_absmax(128), {"zh": "128 个值的 min-max", "en": "min-max of 128"}, INK),
        (gaussian_absmax(4096), {"zh": "4096 个值的 min-max", "en": "min-max of 4096"}, INK),
    ):
        # A min-max range clips nothing of its own group: rounding is its whole error.
        error = rounding_mse(clip, 4) + (clipping_mse(clip) if clip == best else 0)
        x, y = at(clip, error)
        d.line(x, y, x, bottom, color, 1, "2 3")
        d.dot(x, y, color)
        d.text(x, y - 34 if clip == best else y - 14, label, color, 12)
    d.text(*at(3.12, 0.0075), {"zh": "取整误差", "en": "rounding"}, MUTED, 12, "start")
    d.text(*at(1.5, 0.014), {"zh": "截断误差", "en": "clipping"}, MUTED, 12, "start")
    d.save("scale-zero-point")


def mixed_precision(language: str) -> None:
    d = Drawing(720, 262, language)
    names = ("q", "k", "v", "o", "gate", "up", "down")
    promoted = set(q4_k_m_promoted(32))
    x0, y0, w, h = 112, 52, 15.5, 20
    d.text(x0 + 16 * w, 20, {"zh": "32 层", "en": "32 layers"}, INK, 13, bold=True)
    for tick in (0, 4, 8, 12, 16, 20, 24, 28, 31):
        d.text(x0 + tick * w + w / 2 - 1, 42, str(tick), MUTED, 11)
    for row, name in enumerate(names):
        y = y0 + row * h
        d.text(x0 - 10, y + 14, name, INK, 13, "end")
        for column in range(32):
            more = name in ("v", "down") and column in promoted
            d.shapes.append(
                f'<rect x="{x0 + column * w:g}" y="{y:g}" width="{w - 1.5:g}" height="{h - 2:g}" '
                f'fill="{ORANGE if more else SKY}"/>'
            )
    side = x0 + 32 * w + 12
    d.rect(10, y0, 40, 7 * h - 2, SKY)
    d.rect(side + 14, y0, 40, 7 * h - 2, ORANGE)
    d.text(30, 42, {"zh": "词嵌入", "en": "embed"}, INK, 12)
    d.text(side + 34, 42, {"zh": "输出头", "en": "head"}, INK, 12)
    base = y0 + 7 * h + 26
    low_bits = bits_per_weight(1, 256, 4, "group", 32, scale_bits=6, zero_point_bits=6) + 32 / 256
    high_bits = bits_per_weight(1, 256, 6, "group", 16, scale_bits=8) + 16 / 256
    # Llama-3.1-8B: width 4096, 8 KV heads of 128, FFN 14336, vocabulary 128256, untied, 65 norms in FP32.
    layer = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336
    high = len(promoted) * (4096 * 1024 + 14336 * 4096) + 128256 * 4096
    low = 32 * layer + 2 * 128256 * 4096 - high
    average = average_bits([(low, low_bits), (high, high_bits), (65 * 4096, 32)])
    d.rect(150, base - 11, 14, 14, SKY)
    d.text(172, base + 1, f"Q4_K  {low_bits:g} bit", INK, 13, "start")
    d.rect(310, base - 11, 14, 14, ORANGE)
    d.text(332, base + 1, f"Q6_K  {high_bits:g} bit", INK, 13, "start")
    d.text(
        360,
        base + 28,
        {
            "zh": f"llama.cpp 的 Q4_K_M 用在 Llama-3.1-8B 上：平均 {average:.4f} bit / 权重",
            "en": f"llama.cpp's Q4_K_M on Llama-3.1-8B: {average:.4f} bits per weight on average",
        },
        MUTED,
        12,
    )
    d.save("mixed-precision")


def main() -> None:
    for language in ("zh", "en"):
        for draw in (dynamic_static, granularity, granularity_tradeoff, scale_zero_point, mixed_precision):
            draw(language)


if __name__ == "__main__":
    main()
