"""Where cutting a product's epilogue off pays: how much slower the fused product may be, by tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.fusion import epilogue_slack
from labs.results import Axis, Lines, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from typing import Final

    from labs.fusion.chains.outcome import Setting

_CUT: Final = ([0], [1, 2])  # a library's product, then everything else in one kernel
_WHOLE: Final = [0, 1, 2]
_TOKENS: Final = tuple(2**power for power in range(14))


def slack_at(setting: Setting, tokens: int, launch_s: float) -> float:
    """A share of the product's time."""
    product_s = setting.product_s(_CUT[0], tokens) + launch_s
    apart_s = product_s + setting.product_s(_CUT[1], tokens) + launch_s
    return epilogue_slack(product_s, apart_s, setting.product_s(_WHOLE, tokens) + launch_s)


def slack(setting: Setting) -> Lines:
    """With launches and without, from one token on."""
    launch_us = setting.launch_s * 1e6
    series = [
        Series(
            name=Text(zh=f"每次启动 {launch_us:g} µs", en=f"a launch takes {launch_us:g} µs"),
            x=array(_TOKENS),
            y=array([100 * slack_at(setting, tokens, setting.launch_s) for tokens in _TOKENS]),
        ),
        Series(
            name=Text(zh="只看流量", en="traffic alone"),
            x=array(_TOKENS),
            y=array([100 * slack_at(setting, tokens, 0.0) for tokens in _TOKENS]),
        ),
    ]
    return Lines(
        id="slack",
        title=Text(zh="融合的矩阵乘最多可以慢多少", en="How much slower the fused product may be"),
        provenance=Provenance.ESTIMATED,
        unit="%",
        source=Text(
            zh=f"{setting.device.title} 的屋顶：（两个内核的时间 − 一个内核的）÷ 矩阵乘的时间",
            en=f"roofs of {setting.device.title}: (time of two kernels - of one) / the product's time",
        ),
        help=Text(
            zh="切开：库的矩阵乘，再一个内核做 RoPE 与存放。合一：自己的矩阵乘带着尾声。后者比库慢得不到"
            "这条线，合一就划算；慢得更多，就切在矩阵乘之后。",
            en="Cut: a library's product, then one kernel for RoPE and the layout. In one: a product of your "
            "own with the epilogue. While that product is slower than the library's by less than this line, "
            "fusing pays; beyond it, cut behind the product.",
        ),
        x=Axis(title=Text(zh="token 数", en="tokens"), log=True),
        y=Axis(title=Text(zh="可以慢的比例", en="slower by"), unit="%"),
        series=series,
    )
