"""Draw the figures of notes 1.2.1-01 to 1.2.1-05 with numbers from labs/formulas. Run it from anywhere.

Neutral colours are the four literals that the note view swaps for the theme's; data wears Okabe-Ito colours.
Only plain shapes: QtSvg knows no CSS, no nested svg and no markers.
"""

from __future__ import annotations

import math
import sys
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from labs.formulas import number_formats as nf  # noqa: E402
from labs.formulas.memory import gemm_bytes, gemm_flops, roofline_seconds  # noqa: E402
from labs.formulas.quantization import (  # noqa: E402
    asymmetric_scale_zero_point,
    bits_per_weight,
    level_range,
    symmetric_scale,
)

INK, MUTED, RULE, PAPER = "#1f2328", "#57606a", "#d0d7de", "#ffffff"
BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
FONT = "Noto Sans CJK SC, Noto Sans, sans-serif"
LANGUAGES = {"zh": "", "en": ".en"}


class Drawing:
    """An SVG under construction; coordinates in pixels, y downwards."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.parts = [f'<rect x="0" y="0" width="{width}" height="{height}" fill="{PAPER}"/>']

    def rect(self, x: float, y: float, w: float, h: float, fill: str, **more: float | str) -> None:
        self._add("rect", x=x, y=y, width=w, height=h, fill=fill, **more)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, color: str = RULE, **more: float | str
    ) -> None:
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=color, **({"stroke_width": 1} | more))

    def circle(self, x: float, y: float, r: float, fill: str, **more: float | str) -> None:
        self._add("circle", cx=x, cy=y, r=r, fill=fill, **more)

    def curve(self, points: list[tuple[float, float]], color: str, **more: float | str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._add("polyline", points=path, fill="none", stroke=color, **({"stroke_width": 2.2} | more))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        color: str = INK,
        size: float = 13,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-family="{FONT}" font-size="{size}" fill="{color}" '
            f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def key(self, x: float, y: float, color: str, words: str) -> None:
        """A swatch and its name: words keep the ink colour, which is legible in both themes."""
        self.rect(x, y - 10, 11, 11, color)
        self.text(x + 17, y, words, bold=True)

    def save(self, name: str) -> None:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}">'
        )
        (FOLDER / name).write_text("\n".join([head, *self.parts, "</svg>\n"]), encoding="utf-8")

    def _add(self, tag: str, **attributes: float | str) -> None:
        pairs = [f'{key.replace("_", "-")}="{rounded(value)}"' for key, value in attributes.items()]
        self.parts.append(f"<{tag} {' '.join(pairs)}/>")


def rounded(value: float | str) -> str:
    """Hundredths of a pixel are enough, and make the files differ only where the picture does."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Three significant digits, powers of ten where that is shorter; limits below a million in full."""
    if value >= 1e6 or value < 1e-3:
        exponent = math.floor(math.log10(value))
        return f"{value / 10**exponent:.2f}e{exponent}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def number_formats_fields(language: str) -> None:
    """One box a bit: what each format spends on range (exponent) and on precision (mantissa)."""
    zh = language == "zh"
    rows: list[tuple[str, list[tuple[int, str]], str, str]] = []
    for label, form in [
        ("FP32", nf.FP32),
        ("TF32", nf.TF32),
        ("BF16", nf.BF16),
        ("FP16", nf.FP16),
        ("FP8 E5M2", nf.FP8_E5M2),
        ("FP8 E4M3", nf.FP8_E4M3),
        ("FP4 E2M1", nf.FP4_E2M1),
    ]:
        fields = [(1, MUTED), (form.exponent_bits, RED), (form.mantissa_bits, BLUE)]
        rows.append((label, fields, number(form.max), number(form.epsilon)))
    for bits in (8, 4):
        last = level_range(bits, "symmetric")[1]
        rows.append((f"INT{bits}", [(1, MUTED), (bits - 1, GREEN)], f"{last} s", "s"))
    drawing = Drawing(740, 64 + 30 * len(rows) + 34)
    left, cell, top = 100, 13, 44
    drawing.text(left, 24, "每格 1 bit" if zh else "one box = 1 bit", MUTED)
    drawing.text(622, 24, "最大值" if zh else "largest", MUTED, anchor="end")
    drawing.text(722, 24, "1 旁的间隔" if zh else "gap next to 1", MUTED, anchor="end")
    drawing.line(16, 34, 724, 34)
    for index, (label, fields, largest, gap) in enumerate(rows):
        y = top + 30 * index
        drawing.text(16, y + 14, label, bold=True)
        x = float(left)
        for bits, color in fields:
            for _ in range(bits):
                drawing.rect(x + 0.75, y, cell - 1.5, 18, color)
                x += cell
        drawing.text(622, y + 14, largest, anchor="end")
        drawing.text(722, y + 14, gap, anchor="end")
    y = top + 30 * len(rows) + 6
    drawing.line(16, y, 724, y)
    keys = [
        (MUTED, "符号" if zh else "sign"),
        (RED, "指数：范围" if zh else "exponent: range"),
        (BLUE, "尾数：精度" if zh else "mantissa: precision"),
        (GREEN, "整数：等距，范围由 scale s 决定" if zh else "integer: even steps, range set by the scale s"),
    ]
    x = 16.0
    for color, words in keys:
        drawing.rect(x, y + 14, 12, 12, color)
        drawing.text(x + 18, y + 25, words, MUTED)
        x += 44 + sum(13.0 if ord(letter) > 255 else 6.9 for letter in words)
    drawing.save(f"number-formats-fields{LANGUAGES[language]}.svg")


def bf16_range(language: str) -> None:
    """Ranges on a decimal log axis; BF16 reaches as far as FP32, FP16 stops at 65,504."""
    zh = language == "zh"
    drawing = Drawing(740, 292)
    left, right, low, high = 92, 722, -46.0, 40.0

    def at(value: float) -> float:
        return left + (math.log10(value) - low) / (high - low) * (right - left)

    forms = [
        ("FP32", nf.FP32),
        ("BF16", nf.BF16),
        ("FP16", nf.FP16),
        ("FP8 E5M2", nf.FP8_E5M2),
        ("FP8 E4M3", nf.FP8_E4M3),
    ]
    bottom = 60 + 36 * len(forms)
    for power in range(-40, 41, 10):
        drawing.line(at(10.0**power), 50, at(10.0**power), bottom)
        drawing.text(at(10.0**power), bottom + 18, "1" if power == 0 else f"1e{power}", MUTED, 12, "middle")
    for index, (label, form) in enumerate(forms):
        y = 60 + 36 * index
        drawing.text(16, y + 14, label, bold=True)
        color = BLUE if form is nf.BF16 else MUTED
        drawing.rect(
            at(form.min_subnormal),
            y,
            at(form.min_normal) - at(form.min_subnormal),
            20,
            color,
            fill_opacity=0.4,
        )
        drawing.rect(at(form.min_normal), y, at(form.max) - at(form.min_normal), 20, color)
    peak = 2e4
    for value, color in ((peak, ORANGE), (peak**2, RED)):
        drawing.line(at(value), 42, at(value), bottom, color, stroke_width=2)
    words = "残差峰值 x = 2e4" if zh else "residual peak x = 2e4"
    drawing.text(at(peak) - 8, 24, words, anchor="end", bold=True)
    drawing.text(at(peak**2) + 8, 24, "RMSNorm 里的 x² = 4e8" if zh else "x² = 4e8 inside RMSNorm", bold=True)
    drawing.line(at(peak), 42, at(peak) - 4, 30, ORANGE, stroke_width=2)
    drawing.line(at(peak**2), 42, at(peak**2) + 4, 30, RED, stroke_width=2)
    drawing.rect(92, bottom + 32, 12, 12, MUTED)
    drawing.text(110, bottom + 43, "正规数" if zh else "normal", MUTED)
    drawing.rect(200, bottom + 32, 12, 12, MUTED, fill_opacity=0.4)
    drawing.text(
        218, bottom + 43, "次正规数：越小有效位越少" if zh else "subnormal: fewer significant bits", MUTED
    )
    drawing.save(f"bf16-range{LANGUAGES[language]}.svg")


# NVIDIA H100 SXM: dense BF16 FLOP/s, dense INT8 OP/s, HBM bytes/s (H100 data sheet).
H100_BF16, H100_INT8, H100_BANDWIDTH = 989.4e12, 1978.9e12, 3.35e12


def speedup_bound(tokens: int, weight_bits: float, activation_bits: float, peak: float) -> float:
    """Roofline time in BF16 over roofline time in the format, for Llama-3.1-8B's gate projection."""
    n, k = 14336, 4096
    flops = gemm_flops(tokens, n, k)
    base = roofline_seconds(flops, gemm_bytes(tokens, n, k), H100_BF16, H100_BANDWIDTH)
    moved = gemm_bytes(tokens, n, k, weight_bits, activation_bits)
    return base / roofline_seconds(flops, moved, peak, H100_BANDWIDTH)


def int8_speedup_bound(language: str) -> None:
    """Weight-only quantisation pays while memory is the bound; W8A8 pays on both sides of the ridge."""
    zh = language == "zh"
    drawing = Drawing(740, 350)
    left, right, top, bottom = 64, 560, 44, 290

    def x_of(tokens: float) -> float:
        return left + math.log2(tokens) / 13 * (right - left)

    def y_of(speedup: float) -> float:
        return bottom - (speedup - 0.5) / 3.75 * (bottom - top)

    for value in (1, 2, 3, 4):
        drawing.line(left, y_of(value), right, y_of(value), MUTED if value == 1 else RULE)
        drawing.text(left - 10, y_of(value) + 4, f"{value}×", MUTED, 12, "end")
    for power in range(0, 14, 2):
        drawing.line(x_of(2**power), bottom, x_of(2**power), bottom + 5, MUTED)
        drawing.text(x_of(2**power), bottom + 20, f"{2**power}", MUTED, 12, "middle")
    int4 = bits_per_weight(14336, 4096, 4, "group", 128)
    curves = [
        ("W4A16 g128", GREEN, int4, 16.0, H100_BF16),
        ("W8A8", RED, 8.0, 8.0, H100_INT8),
        ("W8A16", BLUE, 8.0, 16.0, H100_BF16),
    ]
    tokens = sorted({round(2 ** (step / 16)) for step in range(13 * 16 + 1)})
    for name, color, weight_bits, activation_bits, peak in curves:
        values = [(count, speedup_bound(count, weight_bits, activation_bits, peak)) for count in tokens]
        drawing.curve([(x_of(count), y_of(value)) for count, value in values], color)
        # W8A8 and W8A16 coincide at the left end, so each name stands where its curve is alone.
        place = {
            "W4A16 g128": (x_of(128), y_of(3.4)),
            "W8A8": (right + 10, y_of(2) + 4),
            "W8A16": (right + 10, y_of(1) + 4),
        }
        x, y = place[name]
        drawing.key(x, y, color, name)
    drawing.key(right + 10, y_of(1) + 24, GREEN, "W4A16 g128")
    title = (
        "相对 BF16 的加速上界（估算；H100 SXM，4096 × 14336 的线性层）"
        if zh
        else "Upper bound on the speed-up over BF16 (estimated; H100 SXM, one 4096 × 14336 layer)"
    )
    drawing.text(16, 24, title, bold=True)
    axis = (
        "一步里的 token 数（decode：batch；prefill：提示长度）"
        if zh
        else "tokens in one step (decode: batch; prefill: prompt length)"
    )
    drawing.text((left + right) / 2, bottom + 44, axis, MUTED, anchor="middle")
    drawing.save(f"int8-speedup-bound{LANGUAGES[language]}.svg")


def symmetric_asymmetric(language: str) -> None:
    """The 4-bit codes of both schemes over SiLU's output range: half of the symmetric ones stand idle."""
    zh = language == "zh"
    low, high, bits = -0.2785, 6.0, 4  # the minimum of SiLU, x / (1 + exp(-x)), is -0.2785
    drawing = Drawing(740, 268)
    left, right = 40, 700

    def at(value: float) -> float:
        return left + (value + high) / (2 * high) * (right - left)

    drawing.rect(at(low), 40, at(high) - at(low), 172, SKY, fill_opacity=0.22)
    drawing.text(
        (at(low) + at(high)) / 2,
        28,
        f"数据范围 [{low:.2f}, {high:.0f}]" if zh else f"data range [{low:.2f}, {high:.0f}]",
        MUTED,
        anchor="middle",
    )
    scale = symmetric_scale(high, bits)
    first, last = level_range(bits, "symmetric")
    step, zero = asymmetric_scale_zero_point(low, high, bits)
    bottom, top = level_range(bits, "asymmetric")
    rows = [
        (
            84,
            RED,
            "对称" if zh else "symmetric",
            [scale * code for code in range(first, last + 1)],
            f"s = {scale:.3f}, z = 0",
        ),
        (
            168,
            BLUE,
            "非对称" if zh else "asymmetric",
            [step * (code - zero) for code in range(bottom, top + 1)],
            f"s = {step:.3f}, z = {zero}",
        ),
    ]
    for y, color, name, levels, parameters in rows:
        drawing.key(left, y - 22, color, name)
        drawing.text(left + (74 if zh else 116), y - 22, parameters)
        drawing.line(at(-high), y, at(high), y, MUTED)
        for level in levels:
            used = low - 0.5 * step <= level <= high + 0.5 * step
            drawing.circle(at(level), y, 5.5, color if used else PAPER, stroke=color, stroke_width=1.6)
        count = sum(low - 0.5 * step <= level <= high + 0.5 * step for level in levels)
        words = f"用上 {count} / {len(levels)} 个码" if zh else f"{count} of {len(levels)} codes used"
        drawing.text(at(high), y + 30, words, anchor="end")
    drawing.line(at(0), 40, at(0), 222, MUTED, stroke_dasharray="3 3")
    for value in (-6, -3, 0, 3, 6):
        drawing.text(at(value), 240, str(value), MUTED, 12, "middle")
    drawing.save(f"symmetric-asymmetric{LANGUAGES[language]}.svg")


def per_channel_step(language: str) -> None:
    """What one channel's outlier does to the grid of an ordinary one: layer 11's down projection, 4 bits."""
    zh = language == "zh"
    tensor_absmax, channel_absmax, bits = 6.07, 0.79, 4
    drawing = Drawing(740, 230)
    left, right, reach = 40, 700, 1.0

    def at(value: float) -> float:
        return left + (value + reach) / (2 * reach) * (right - left)

    drawing.rect(
        at(-channel_absmax), 40, at(channel_absmax) - at(-channel_absmax), 148, SKY, fill_opacity=0.22
    )
    title = (
        f"一个普通通道的权重 ±{channel_absmax}"
        if zh
        else f"weights of an ordinary channel, ±{channel_absmax}"
    )
    drawing.text(at(0), 28, title, MUTED, anchor="middle")
    last = level_range(bits, "symmetric")[1]
    rows = [
        (84, RED, "per-tensor", symmetric_scale(tensor_absmax, bits)),
        (160, BLUE, "per-channel", symmetric_scale(channel_absmax, bits)),
    ]
    for y, color, name, scale in rows:
        drawing.key(left, y - 22, color, name)
        drawing.text(left + 116, y - 22, f"s = {scale:.3f}")
        drawing.line(at(-reach), y, at(reach), y, MUTED)
        for code in range(-last, last + 1):
            if abs(scale * code) <= reach:
                drawing.circle(at(scale * code), y, 5.5, color)
    for value in (-1, -0.5, 0, 0.5, 1):
        drawing.text(at(value), 212, f"{value:g}", MUTED, 12, "middle")
    drawing.save(f"per-channel-step{LANGUAGES[language]}.svg")


def per_channel_gemm(language: str) -> None:
    """Scales may follow the outer axes of a matrix product, never the summed one."""
    zh = language == "zh"
    drawing = Drawing(740, 304)
    cell, top = 22, 92

    def matrix(x: int, y: int, rows: int, columns: int, name: str, shape: str) -> None:
        for row in range(rows):
            for column in range(columns):
                drawing.rect(x + column * cell + 1, y + row * cell + 1, cell - 2, cell - 2, RULE)
        drawing.text(x + columns * cell / 2, y + rows * cell + 20, name, anchor="middle", bold=True)
        drawing.text(x + columns * cell / 2, y + rows * cell + 38, shape, MUTED, 12, "middle")

    def scales(x: float, y: float, count: int, vertical: bool, color: str) -> None:
        for index in range(count):
            dx, dy = (0, index * cell) if vertical else (index * cell, 0)
            drawing.rect(x + dx + 3, y + dy + 3, cell - 6, cell - 6, color)

    rows, inner, columns = 4, 6, 5
    matrix(70, top, rows, inner, "q(X)", "T × K, INT8")
    matrix(300, top - cell, inner, columns, "q(W)ᵀ", "K × N, INT8")
    matrix(560, top, rows, columns, "Y", "T × N")
    drawing.text(248, top + 52, "×", size=24, anchor="middle")
    drawing.text(488, top + 52, "→", size=24, anchor="middle")
    scales(42, top, rows, True, ORANGE)
    scales(300, top - 2 * cell - 6, columns, False, BLUE)
    scales(532, top, rows, True, ORANGE)
    scales(560, top - cell - 6, columns, False, BLUE)
    drawing.text(42, top - 12, "每 token" if zh else "per token", bold=True)
    drawing.text(300, top - 2 * cell - 14, "每输出通道" if zh else "per output channel", bold=True)
    # The forbidden one: a scale for every position of the summed axis K.
    y = top + rows * cell + 78
    for index in range(inner):
        drawing.rect(70 + index * cell + 3, y + 3, cell - 6, cell - 6, PAPER, stroke=RED, stroke_width=1.5)
    drawing.line(66, y + cell / 2, 70 + inner * cell + 4, y + cell / 2, RED, stroke_width=2)
    words = (
        "沿 K（每输入通道）：留在求和号里，提不出来"
        if zh
        else "along K (per input channel): stays inside the sum"
    )
    drawing.text(70 + inner * cell + 14, y + 16, words, bold=True)
    drawing.save(f"per-channel-gemm{LANGUAGES[language]}.svg")


if __name__ == "__main__":
    for each in LANGUAGES:
        number_formats_fields(each)
        bf16_range(each)
        int8_speedup_bound(each)
        symmetric_asymmetric(each)
        per_channel_step(each)
        per_channel_gemm(each)
