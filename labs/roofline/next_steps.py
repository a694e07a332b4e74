"""What a change would buy a step: each part's bounds before and after, its share of the bound unchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labs.formulas.decoder_demand import PRODUCTS, SMALL, Bits, part_demands
from labs.roofline.setting import decoder_of, demands
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

    from labs.formulas.roofline import Demand
    from labs.models.config import ModelConfig
    from labs.roofline.placed import Placed, Roof
    from labs.roofline.setting import Setting

# A group of 32 weights of 4 bits with an fp16 scale and minimum: 4 + 32 / 32 bits.
INT4_BITS: Final = 5.0


@dataclass(frozen=True)
class NextStep:
    """``seconds`` of a step after the change, which then computes ``work`` times as many tokens."""

    name: str
    title: Text
    seconds: float
    work: float = 1.0

    def gain(self, before_s: float) -> float:
        """Tokens/s, times what they were."""
        return self.work * before_s / self.seconds


def next_steps(config: ModelConfig, setting: Setting, placed: Sequence[Placed]) -> Iterator[NextStep]:
    """Of a step whose parts have all been measured."""
    if setting.phase == "decode":
        larger = demands(config, replace(setting, batch=2 * setting.batch))
        title = Text(zh="批大小翻倍", en="twice the batch")
        yield NextStep("batch", title, _seconds(placed, larger), 2.0)
    for name, bits, title in (
        ("int8", 8.0, Text(zh="权重 INT8", en="weights in INT8")),
        ("int4", INT4_BITS, Text(zh="权重 INT4（32 一组）", en="weights in INT4 (groups of 32)")),
    ):
        yield NextStep(name, title, _seconds(placed, _with_weights(config, setting, bits)))
    yield NextStep("fused", Text(zh="小算子全部融合", en="all small operators fused"), _fused(placed))
    for name, title, change in (
        ("bandwidth", Text(zh="带宽翻倍", en="twice the bandwidth"), _twice_bandwidth),
        ("compute", Text(zh="算力翻倍", en="twice the FLOP/s"), _twice_peak),
        (
            "overhead",
            Text(zh="没有调用开销（CUDA graph、一次原生调用）", en="no call overhead (a graph)"),
            _no_calls,
        ),
    ):
        yield NextStep(
            name, title, sum(one.count * one.after(one.demand, change(one.roof)) for one in placed)
        )


def _seconds(placed: Sequence[Placed], changed: Mapping[str, Demand]) -> float:
    return sum(one.count * one.after(changed[one.name]._replace(calls=one.demand.calls)) for one in placed)


def _with_weights(config: ModelConfig, setting: Setting, weight: float) -> dict[str, Demand]:
    """Weight-only: activations, KV and the products' precision stay."""
    found = demands(config, setting)
    bits = Bits(weight, setting.bits.activation, setting.bits.kv)
    smaller = part_demands(decoder_of(config), setting.batch, setting.tokens, setting.context, bits)
    return found | {name: smaller[name] for name in PRODUCTS}


def _fused(placed: Sequence[Placed]) -> float:
    """Norms, rotation, activation and additions happen while their neighbours' data is on chip."""
    return sum(one.count * one.seconds for one in placed if one.name not in SMALL)


def _twice_bandwidth(roof: Roof) -> Roof:
    return replace(roof, bandwidth=2 * roof.bandwidth)


def _twice_peak(roof: Roof) -> Roof:
    return replace(roof, peak=2 * roof.peak)


def _no_calls(roof: Roof) -> Roof:
    return replace(roof, call_s=0.0)
