"""What the papers report of each version on hardware that need not be here."""

from __future__ import annotations

from labs.results import Axis, Bars, BarSeries, Provenance, array
from labs.text import Text, same

# Highest share of the chip's FP16/BF16 peak, forward. The abstracts of the papers.
SHARES: list[tuple[Text, float]] = [
    (same("v1, A100"), 40.0),
    (same("v2, A100"), 73.0),
    (same("v2, H100"), 35.0),
    (same("v3, H100"), 75.0),
    (same("v4, B200"), 71.0),
]
SHARES_SOURCE = Text(
    zh="v1 25–40%、v2 50–73%：FlashAttention-2（2307.08691）摘要；H100 上 v2 35%、v3 75%"
    "（FP16，740 TFLOP/s）：FlashAttention-3 的 arXiv 版（2407.08608）摘要，NeurIPS 2024 版"
    "摘要写 85%（BF16，840 TFLOP/s）；v4 71%（1613 TFLOP/s）：FlashAttention-4 摘要",
    en="v1 25-40%, v2 50-73%: FlashAttention-2 (2307.08691), abstract; on H100 v2 35% and v3 75% (FP16, 740 "
    "TFLOP/s): FlashAttention-3, abstract of the arXiv version (2407.08608), where that of the NeurIPS 2024 "
    "version has 85% (BF16, 840 TFLOP/s); v4 71% (1613 TFLOP/s): FlashAttention-4, abstract",
)
# FlashAttention-3 (2407.08608), figure 5: FP16 forward on an H100 80GB SXM5, heads of 128, 16K tokens
# (standard attention: 8K, for it runs out of memory), TFLOP/s; without and with a causal mask.
H100_SPEEDS: list[tuple[Text, float, float]] = [
    (Text(zh="标准", en="standard"), 139.0, 35.0),
    (same("v2"), 370.0, 335.0),
    (same("Triton"), 395.0, 378.0),
    (same("cuDNN"), 595.0, 539.0),
    (same("v3"), 648.0, 616.0),
]


def shares() -> Bars:
    """Of the peak, as the papers report."""
    return Bars(
        id="shares",
        title=Text(
            zh="论文报告的峰值利用率（前向，最高）", en="Share of the peak, as reported (forward, best)"
        ),
        provenance=Provenance.REPORTED,
        unit="%",
        categories=[name for name, _ in SHARES],
        series=[
            BarSeries(
                name=Text(zh="FP16/BF16 峰值的份额", en="share of the FP16/BF16 peak"),
                values=array([share for _, share in SHARES]),
            )
        ],
        y=Axis(title=Text(zh="峰值份额", en="share of the peak"), unit="%"),
        source=SHARES_SOURCE,
    )


def speeds() -> Bars:
    """On one card, as version 3's paper reports."""
    masks = (Text(zh="无掩码", en="no mask"), Text(zh="因果", en="causal"))
    return Bars(
        id="h100_speeds",
        title=Text(zh="H100 上的前向，头维度 128，FP16", en="Forward on H100, heads of 128, FP16"),
        help=Text(
            zh="16K 个 token；标准实现 16K 爆显存，取 8K。因果时 FLOP 按一半算。",
            en="16K tokens; standard attention runs out of memory there: 8K. Causal: half the FLOPs count.",
        ),
        provenance=Provenance.REPORTED,
        unit="TFLOP/s",
        categories=[name for name, _, _ in H100_SPEEDS],
        series=[
            BarSeries(name=mask, values=array([row[1 + place] for row in H100_SPEEDS]))
            for place, mask in enumerate(masks)
        ],
        y=Axis(title=Text(zh="速度", en="speed"), unit="TFLOP/s"),
        source=Text(
            zh="FlashAttention-3（2407.08608）图 5，H100 80GB SXM5",
            en="FlashAttention-3 (2407.08608), figure 5, H100 80GB SXM5",
        ),
    )
