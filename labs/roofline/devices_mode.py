"""Roofs of devices that one does not have, from their data sheets, and a model's step under them.

Everything here is a data sheet's figure or a formula of it: dense peaks only, and no overhead at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from labs.formulas.decoder_demand import PARTS, SMALL, Bits, Decoder, part_demands, step_demand
from labs.formulas.memory import ridge_point
from labs.results import Axis, Bars, BarSeries, Column, Metric, Provenance, Series, Table, array
from labs.roofline import roof_views
from labs.roofline.explanation import prose
from labs.roofline.placed import Placed, Roof
from labs.roofline.setting import TITLES
from labs.simulator.hardware import device, devices
from labs.simulator.model_cost import kv_bytes
from labs.simulator.model_shape import parameters
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from labs.context import Context
    from labs.results import Result
    from labs.simulator.hardware import Compute, Device
    from labs.simulator.model_shape import ModelShape

Weights = Literal["bf16", "fp8", "int8", "int4"]
# Bits of a weight, of an activation and of KV, and the peak that products run at.
_FORMATS: Final[dict[Weights, tuple[Bits, Compute]]] = {
    "bf16": (Bits(16, 16, 16), "bf16"),
    "fp8": (Bits(8, 8, 8), "fp8"),
    "int8": (Bits(8, 8, 16), "int8"),
    "int4": (Bits(4.5, 16, 16), "bf16"),  # groups of 64 with a scale and a minimum in fp16
}
_BATCHES: Final = tuple(2**power for power in range(9))
_REPORTED, _ESTIMATED = Provenance.REPORTED, Provenance.ESTIMATED
_RIDGES: Final = Text(
    zh="各厂商数据手册的稠密峰值 ÷ 显存带宽（labs/simulator/hardware.toml 逐项列出处）",
    en="dense peaks over memory bandwidth, by the makers' data sheets (each named in "
    "labs/simulator/hardware.toml)",
)
_BOUND: Final = Text(
    zh="数据手册的稠密峰值与带宽；矩阵乘与注意力各取访存与计算中较大的，相加；小算子算作已融合，没有任何开"
    "销：是下界",
    en="dense peaks and bandwidths of data sheets; the larger of traffic and computing of each part, added "
    "up. No overhead: a lower bound",
)


@dataclass(frozen=True)
class Case:
    """What is computed: a decode step of ``batch`` sequences, or a prompt of ``context`` tokens each."""

    shape: ModelShape
    weights: Weights
    batch: int
    context: int

    @property
    def decoder(self) -> Decoder:
        shape = self.shape
        return Decoder(
            shape.hidden, shape.intermediate, shape.heads, shape.kv_heads, shape.head_dim, shape.vocab
        )

    def placed(self, one: Device, *, prefill: bool) -> list[Placed] | None:
        """Products and attention under a device's roof, all else fused into them; None without its peak."""
        bits, compute = _FORMATS[self.weights]
        if not (one.knows(f"peak.{compute}") and one.knows("memory_bandwidth")):
            return None
        roof = Roof(one.peak(compute), one.memory_bandwidth, 0.0)
        tokens = self.context if prefill else 1
        found = part_demands(self.decoder, self.batch, tokens, self.context, bits)
        return [
            Placed(name, TITLES[name], found[name], roof, count=1 if name == "head" else self.shape.layers)
            for name in PARTS
            if name not in SMALL
        ]

    @property
    def bytes_needed(self) -> float:
        """Weights and KV."""
        bits = _FORMATS[self.weights][0]
        weights = parameters(self.shape) * bits.weight / 8
        return weights + self.batch * kv_bytes(self.shape, self.context, bits.kv / 8)


def run_devices(ctx: Context, case: Case, chosen: str) -> Iterator[Result]:
    """All of it is arithmetic: the same while a slider is dragged."""
    one = device(chosen)
    yield from _metrics(case, one)
    yield _roofline(case, one)
    yield _ridges(case, chosen)
    yield from _tables(case, chosen)
    if not ctx.preview:
        yield _explanation(case, one)


def _least(placed: list[Placed]) -> float:
    return sum(part.count * part.bounds.least for part in placed)


def _metrics(case: Case, one: Device) -> Iterator[Metric]:
    decode, prefill = case.placed(one, prefill=False), case.placed(one, prefill=True)
    if decode is None or prefill is None:
        one.peak(_FORMATS[case.weights][1])  # refuses with what is known
        return
    ridge = decode[0].roof.ridge
    figures = (
        ("ridge", Text(zh="拐点", en="Ridge point"), ridge, "FLOP/B"),
        ("decode_s", Text(zh="解码一步的下界", en="Least time of a decode step"), _least(decode), "s"),
        (
            "rate",
            Text(zh="解码吞吐的上界", en="Most tokens/s of decode"),
            case.batch / _least(decode),
            "token/s",
        ),
        ("prefill_s", Text(zh="预填充的下界", en="Least time of the prefill"), _least(prefill), "s"),
    )
    for name, title, value, unit in figures:
        yield Metric(id=name, title=title, provenance=_ESTIMATED, unit=unit, value=value, source=_BOUND)


def _roofline(case: Case, one: Device) -> Result:
    """All known dense peaks of the device, and both phases' parts on the roof that holds for them."""
    decode, prefill = case.placed(one, prefill=False), case.placed(one, prefill=True)
    assert decode is not None and prefill is not None
    span = roof_views.span_of([part.demand.intensity for part in [*decode, *prefill]])
    memory = {Text(zh=f"显存 {_terabytes(one)}", en=f"memory {_terabytes(one)}"): one.memory_bandwidth}
    known: dict[str, float] = {compute: one.peak(compute) for compute in one.computes}
    peaks = roof_views.peak_lines(known, "TFLOP/s", 1e12)
    roofs = roof_views.roofs(memory, peaks, _REPORTED, span)
    points = [
        _points(Text(zh="预填充的各部分", en="parts of the prefill"), prefill),
        _points(Text(zh="解码的各部分", en="parts of decode"), decode),
        _batches(case, one),
    ]
    sources = dict.fromkeys(figure.source for figure in one.figures.values())
    return roof_views.roofline(
        [*roofs, *points],
        title=same(f"{one.title}, {_terabytes(one)}"),
        source=Text(
            zh=f"屋顶：{'；'.join(sources)}。只取稠密峰值。点：{_BOUND.zh}",
            en=f"Roofs: {'; '.join(sources)}. Dense peaks only. Points: {_BOUND.en}",
        ),
        provenance=_ESTIMATED,
    )


def _terabytes(one: Device) -> str:
    return f"{one.memory_bandwidth / 1e12:.4g} TB/s"


def _batches(case: Case, one: Device) -> Series:
    """Whole decode steps, small operators fused, at growing batch sizes: the way along the roof."""
    bits = _FORMATS[case.weights][0]
    shape, decoder = case.shape, case.decoder
    demands = [step_demand(decoder, shape.layers, batch, 1, case.context, bits) for batch in _BATCHES]
    least = []
    for batch in _BATCHES:
        parts = replace(case, batch=batch).placed(one, prefill=False) or []
        least.append(_least(parts))
    return Series(
        name=Text(
            zh=f"整步解码，批 1 到 {_BATCHES[-1]}", en=f"whole decode steps, batch 1 to {_BATCHES[-1]}"
        ),
        x=array([demand.intensity for demand in demands]),
        y=array([demand.flops / seconds for demand, seconds in zip(demands, least, strict=True)]),
        labels=[Text(zh=f"批 {batch}", en=f"batch {batch}") for batch in _BATCHES],
        provenance=_ESTIMATED,
    )


def _points(name: Text, placed: list[Placed]) -> Series:
    return Series(
        name=name,
        x=array([part.demand.intensity for part in placed]),
        y=array([part.demand.flops / part.bounds.least for part in placed]),
        labels=[part.title for part in placed],
        provenance=_ESTIMATED,
    )


def _ridges(case: Case, chosen: str) -> Bars:
    """How much intensity it takes to keep each device busy, least first."""
    compute = _FORMATS[case.weights][1]
    ridges = [
        (ridge_point(one.peak(compute), one.memory_bandwidth), one)
        for one in map(device, devices())
        if one.knows(f"peak.{compute}") and one.knows("memory_bandwidth")
    ]
    ridges.sort(key=lambda pair: pair[0])
    return Bars(
        id="ridges",
        title=Text(
            zh=f"各设备的拐点（{compute.upper()} 稠密）",
            en=f"Ridges of the devices ({compute.upper()}, dense)",
        ),
        help=Text(
            zh="稠密峰值 ÷ 显存带宽：强度低于它就喂不饱计算单元。算力涨得比带宽快，拐点就越来越高。",
            en="Dense peak over memory bandwidth: with less intensity the units starve. Where peaks grow "
            "faster "
            "than bandwidth, the ridge moves up.",
        ),
        provenance=_REPORTED,
        unit="FLOP/B",
        categories=[_marked(one, chosen) for _, one in ridges],
        y=Axis(title=Text(zh="拐点", en="ridge"), unit="FLOP/B"),
        series=[BarSeries(name=Text(zh="拐点", en="ridge"), values=array([ridge for ridge, _ in ridges]))],
        source=_RIDGES,
        wide=True,
    )


def _marked(one: Device, chosen: str) -> Text:
    if one.name != chosen:
        return same(one.title)
    return Text(zh=f"▶ {one.title}", en=f"▶ {one.title}")


def _tables(case: Case, chosen: str) -> Iterator[Table]:
    """What each device could do, then what that follows from: one table would scroll sideways."""
    compute = _FORMATS[case.weights][1]
    names = [name for name in devices() if device(name).knows(f"peak.{compute}")]
    cards, highlight = [device(name) for name in names], names.index(chosen)
    yield Table(
        id="devices",
        title=Text(zh="同一个模型，各设备的上限", en="One model, every device's bounds"),
        provenance=_ESTIMATED,
        columns=_bound_columns(),
        rows=[_bound_row(case, one) for one in cards],
        highlight=highlight,
        source=_BOUND,
        wide=True,
    )
    yield Table(
        id="device_figures",
        title=Text(zh="各设备的带宽与峰值", en="Every device's bandwidth and peak"),
        provenance=_REPORTED,
        columns=_figure_columns(),
        rows=[_figure_row(one, one.peak(compute)) for one in cards],
        highlight=highlight,
        source=_RIDGES,
        wide=True,
    )


_Cells = list[Text | float | int | None]


def _bound_columns() -> list[Column]:
    return [
        Column(title=Text(zh="设备", en="device"), provenance=_REPORTED),
        Column(title=Text(zh="解码一步 ≥", en="decode step ≥"), unit="ms"),
        Column(title=Text(zh="解码 ≤", en="decode ≤"), unit="token/s"),
        Column(title=Text(zh="预填充 ≥", en="prefill ≥"), unit="ms"),
        Column(
            title=Text(zh="装得下", en="fits"),
            help=Text(
                zh="权重加全部序列的 KV 不超过显存容量。",
                en="Weights and all KV do not exceed its memory.",
            ),
        ),
    ]


def _bound_row(case: Case, one: Device) -> _Cells:
    decode, prefill = case.placed(one, prefill=False), case.placed(one, prefill=True)
    fits = case.bytes_needed <= one.memory_bytes
    return [
        same(one.title),
        1e3 * _least(decode) if decode and fits else None,
        case.batch / _least(decode) if decode and fits else None,
        1e3 * _least(prefill) if prefill and fits else None,
        _fits(fits),
    ]


def _figure_columns() -> list[Column]:
    return [
        Column(title=Text(zh="设备", en="device")),
        Column(title=Text(zh="带宽", en="bandwidth"), unit="TB/s"),
        Column(title=Text(zh="稠密峰值", en="dense peak"), unit="TFLOP/s"),
        Column(title=Text(zh="拐点", en="ridge"), unit="FLOP/B", provenance=_ESTIMATED),
    ]


def _figure_row(one: Device, peak: float) -> _Cells:
    bandwidth = one.memory_bandwidth
    return [same(one.title), bandwidth / 1e12, peak / 1e12, ridge_point(peak, bandwidth)]


def _fits(fits: bool) -> Text:
    return Text(zh="是", en="yes") if fits else Text(zh="否", en="no")


def _explanation(case: Case, one: Device) -> Result:
    decode, prefill = case.placed(one, prefill=False), case.placed(one, prefill=True)
    assert decode is not None and prefill is not None
    texts = []
    for name, placed in (
        (Text(zh="解码", en="Decode"), decode),
        (Text(zh="预填充", en="Prefill"), prefill),
    ):
        total = _least(placed)
        memory = sum(part.count * part.bounds.least for part in placed if part.verdict == "bandwidth") / total
        largest = max(placed, key=lambda part: part.count * part.bounds.least)
        share = largest.count * largest.bounds.least / total
        texts.append(
            Text(
                zh=f"**{name.zh}。** 下界 {1e3 * total:.2f} ms，其中 {memory:.0%} 的时间受访存限制；最大的是"
                f"{largest.title.zh}（{share:.0%}），强度 {largest.demand.intensity:.1f}，拐点 "
                f"{largest.roof.ridge:.0f}。",
                en=f"**{name.en}.** At least {1e3 * total:.2f} ms, {memory:.0%} of it bound by memory; the "
                f"largest part is {largest.title.en} ({share:.0%}) with an intensity of "
                f"{largest.demand.intensity:.1f} against a ridge at {largest.roof.ridge:.0f}.",
            )
        )
    texts.append(
        Text(
            zh="**数据手册不是实测。** 峰值按最高频率算，矩阵要够大、够整齐；真实的内核到不了。带稀疏的峰值"
            "是稠密的两倍，"
            "只对 2:4 的权重成立，这里一概不用。",
            en="**A data sheet is no measurement.** Peaks assume the highest clock and large, aligned "
            "matrices; "
            "real kernels stay below. Peaks with sparsity are twice the dense ones and hold for 2:4 weights "
            "only: "
            "none is used here.",
        )
    )
    return prose(texts)
