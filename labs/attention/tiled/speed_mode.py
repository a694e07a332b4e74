"""Time and extra memory against length, measured here: what is linear, and what stays quadratic."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from labs.attention.tiled.predictions import NAIVE_MEMORY, naive_bytes
from labs.attention.tiled.ways import COMPILED, WAYS, Measured, Way, measure
from labs.formulas.flash_attention import Shape
from labs.ops.flash_attention import naive_flash_attention
from labs.results import Axis, Column, Lines, Markdown, Metric, Provenance, Series, Table, array
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.models.config import ModelConfig
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
SHORTEST = 256
BUDGET_S = 0.25
_MIB = 2**20
MEMORY_METHOD = Text(
    zh="torch 分配器在一次调用中发出的最大字节数，减去结果自己的",
    en="the most that torch's allocator handed out during a call, less the result's own bytes",
)


@dataclass
class Study:
    """``found[way, length]``; one sequence, causal, the heads of the model, fp32."""

    config: ModelConfig
    device: str
    longest: int
    ways: list[Way]
    found: dict[tuple[str, int], Measured] = field(default_factory=dict)

    @property
    def lengths(self) -> list[int]:
        return [SHORTEST << power for power in range((self.longest // SHORTEST).bit_length())]

    @property
    def here(self) -> list[Way]:
        """Ways that gave a time at some length."""
        return [way for way in self.ways if any(one.timing for one in self.column(way.name))]

    def column(self, name: str) -> list[Measured]:
        return [self.found[name, length] for length in self.lengths if (name, length) in self.found]

    def predicted_bytes(self, length: int) -> float:
        """Naive's: the scores and the weights, alive together, and a mask of a byte an entry."""
        shape = Shape(1, self.config.heads, self.config.kv_heads, length, length, self.config.head_dim)
        return naive_bytes(shape)

    @property
    def method(self) -> Text:
        heads = f"{self.config.heads} / {self.config.kv_heads} × {self.config.head_dim}"
        return Text(
            zh=f"{self.device}，FP32，1 条序列，{heads}（查询头 / KV 头 × 维度），因果；预热后的中位数",
            en=f"{self.device}, FP32, one sequence, {heads} (query heads / KV heads × dim), causal; median "
            "after warming up",
        )


def run_speed(ctx: Context, *, longest: int, compiled: bool) -> Iterator[Result]:
    """Lengths from short to long, all ways at each."""
    ways = [*WAYS, COMPILED] if compiled else list(WAYS)
    study = Study(ctx.model_config(), ctx.device, longest, ways)
    if ctx.preview:
        return
    generator = ctx.generator()
    for number, length in enumerate(study.lengths):
        less = Text(zh="请缩短最大长度", en="Lower the longest length")
        what = Text(zh="注意力分数", en="the attention scores")
        ctx.reserve(int(1.2 * study.predicted_bytes(length)), what, less)
        config = study.config
        sizes = [(config.heads, length), (config.kv_heads, length), (config.kv_heads, length)]
        q, k, v = (
            torch.randn(1, heads, tokens, config.head_dim, generator=generator).to(ctx.device)
            for heads, tokens in sizes
        )
        ctx.progress(number / len(study.lengths), Text(zh="算出参照", en="computing the reference"))
        expected = naive_flash_attention(q, k, v, causal=True)
        for place, way in enumerate(ways):
            ctx.progress(
                (number + place / len(ways)) / len(study.lengths),
                Text(zh=f"{length} 个 token：{way.title.zh}", en=f"{length} tokens: {way.title.en}"),
            )
            study.found[way.name, length] = measure(ctx, way, (q, k, v), expected, BUDGET_S)
        yield memory_curve(study)
        yield time_curve(study)
    yield from figures(study)
    if len(study.lengths) > 1:
        yield table(study)
    yield explanation(study)


def memory_curve(study: Study) -> Lines:
    series = [
        Series(
            name=way.title,
            x=array([one.length for one in study.column(way.name)]),
            y=array([_mib(one.extra_bytes) for one in study.column(way.name)]),
        )
        for way in study.here
    ]
    expected = [study.predicted_bytes(length) / _MIB for length in study.lengths]
    series.append(
        Series(
            name=Text(zh="公式：两个 N × N", en="formula: two N × N"),
            x=array(study.lengths),
            y=array(expected),
            provenance=_ESTIMATED,
            reference=True,
        )
    )
    return Lines(
        id="memory",
        title=Text(zh="额外内存随长度", en="Extra memory against length"),
        help=Text(
            zh="除输入和结果外，一次调用最多占多少。它几乎不受机器忙闲影响，比时间可靠。",
            en="The most a call takes beside its inputs and result. Hardly disturbed by a busy machine.",
        ),
        provenance=_MEASURED,
        unit="MiB",
        x=_LENGTH,
        y=Axis(title=Text(zh="额外内存", en="extra memory"), unit="MiB", log=True),
        series=series,
        source=MEMORY_METHOD,
    )


_LENGTH = Axis(title=Text(zh="序列长度", en="sequence length"), unit="token", log=True)


def time_curve(study: Study) -> Lines:
    def ms(values: list[float]) -> list[float]:
        return [1e3 * value for value in values]

    series = []
    for way in study.here:
        timed = [one for one in study.column(way.name) if one.timing]
        series.append(
            Series(
                name=way.title,
                x=array([one.length for one in timed]),
                y=array(ms([one.seconds for one in timed])),
                low=array(ms([one.timing.low_s for one in timed if one.timing])),
                high=array(ms([one.timing.high_s for one in timed if one.timing])),
            )
        )
    return Lines(
        id="time",
        title=Text(zh="时间随长度", en="Time against length"),
        provenance=_MEASURED,
        unit="ms",
        x=_LENGTH,
        y=Axis(title=Text(zh="一次前向", en="a forward pass"), unit="ms", log=True),
        series=series,
        source=study.method,
    )


def figures(study: Study) -> Iterator[Metric]:
    last = study.lengths[-1]
    naive, fused = study.found["eager", last], study.found["sdpa", last]
    yield Metric(
        id="naive_memory",
        title=Text(zh=f"朴素的额外内存（{last} token）", en=f"Naive's extra memory ({last} tokens)"),
        provenance=_MEASURED,
        unit="B",
        value=naive.extra_bytes,
        predicted=study.predicted_bytes(last),
        formula=NAIVE_MEMORY,
        better="lower",
        source=MEMORY_METHOD,
    )
    yield Metric(
        id="sdpa_memory",
        title=Text(zh="SDPA 的额外内存", en="SDPA's extra memory"),
        provenance=_MEASURED,
        unit="B",
        value=fused.extra_bytes,
        better="lower",
        source=MEMORY_METHOD,
    )
    if naive.timing and fused.timing:
        yield Metric(
            id="speedup",
            title=Text(zh="SDPA 比朴素快", en="SDPA against naive"),
            provenance=_MEASURED,
            unit="×",
            value=naive.seconds / fused.seconds,
            better="higher",
            source=study.method,
        )


def table(study: Study) -> Table:
    """A row a length; what doubling the length multiplies. The figures themselves are the curves'."""
    rows: list[list[Text | float | int | None]] = []
    for length in study.lengths[1:]:
        row: list[Text | float | int | None] = [length]
        for way in study.here:
            one, half = study.found[way.name, length], study.found[way.name, length // 2]
            row += [_ratio(one.seconds, half.seconds), _ratio(one.extra_bytes or 0, half.extra_bytes or 0)]
        rows.append(row)
    columns = [Column(title=Text(zh="长度", en="length"), unit="token")]
    for way in study.here:
        columns += [
            Column(title=Text(zh=f"{way.short.zh}：时间", en=f"{way.short.en}: time"), unit="×"),
            Column(title=Text(zh=f"{way.short.zh}：内存", en=f"{way.short.en}: memory"), unit="×"),
        ]
    return Table(
        id="doubling",
        title=Text(zh="长度翻倍，时间和内存各乘几", en="What doubling the length multiplies"),
        provenance=_MEASURED,
        columns=columns,
        rows=rows,
        source=study.method,
        wide=True,
    )


def explanation(study: Study) -> Markdown:
    last = study.lengths[-1]
    naive, fused = study.found["eager", last], study.found["sdpa", last]
    looped = study.found["looped", last]
    zh, en = [], []
    if naive.extra_bytes and fused.extra_bytes:
        share = naive.extra_bytes / max(1, fused.extra_bytes)
        zh.append(
            f"**内存换了阶。** {last} 个 token 时，朴素额外占 {_mib(naive.extra_bytes):.0f} MiB，公式 "
            f"{study.predicted_bytes(last) / _MIB:.0f} MiB；SDPA 只占 {_mib(fused.extra_bytes):.1f} MiB，"
            f"是它的 1/{share:.0f}。长度翻倍，前者乘 4；后者只有每个线程的一块和每行的统计量，跳变处是 "
            "torch 换了"
            "更大的块，之后就几乎不动。"
        )
        en.append(
            f"**Memory changes its order.** At {last} tokens naive takes {_mib(naive.extra_bytes):.0f} MiB "
            f"more ({study.predicted_bytes(last) / _MIB:.0f} by the formula), SDPA "
            f"{_mib(fused.extra_bytes):.1f} MiB, 1/{share:.0f} of it. Doubling the length multiplies the "
            "former by 4; the latter is a tile a thread and statistics a row, and jumps only where torch "
            "goes "
            "over to larger tiles."
        )
    if naive.timing and fused.timing:
        zh.append(
            f"**时间没有换阶。** 两者都还是 N²：乘法一次没少（因果掩码能跳过的块除外）。快 "
            f"{naive.seconds / fused.seconds:.1f} 倍来自不写不读那两个矩阵，也来自少算被遮住的一半。"
        )
        en.append(
            "**Time does not.** Both stay quadratic: no product is spared but those of tiles that the causal "
            f"mask hides. The factor of {naive.seconds / fused.seconds:.1f} comes from two matrices not "
            "written and read, and from skipping the hidden half."
        )
    if looped.timing and fused.timing:
        zh.append(
            f"**同样的算法，用 torch 一步步写，** 内存也省下来了（{_mib(looped.extra_bytes):.1f} MiB），时间"
            "是 "
            f"SDPA 的 {looped.seconds / fused.seconds:.1f} 倍：每一步都是一次独立的调用，中间结果在缓存与"
            "内存之间来回。省内存靠算法，省时间还要靠融合成一个内核。"
        )
        en.append(
            "**The same algorithm step by step in torch** saves the memory too "
            f"({_mib(looped.extra_bytes):.1f}"
            f" MiB) and takes {looped.seconds / fused.seconds:.1f} times SDPA's time: every step is a call "
            "of "
            "its own. The algorithm saves memory; to save time it must also be one kernel."
        )
    for way in study.ways:
        reasons = [one.reason for one in study.column(way.name) if one.reason]
        if reasons:
            zh.append(f"{way.title.zh}：{reasons[0].zh}。")
            en.append(f"{way.title.en}: {reasons[0].en}.")
    if warning := noise_warning([one.timing for one in study.found.values() if one.timing]):
        zh.append(warning.zh)
        en.append(warning.en)
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(zh), en="\n\n".join(en)),
        wide=True,
    )


def _mib(size: int | None) -> float:
    return math.nan if size is None else max(0, size) / _MIB


def _ratio(one: float, half: float) -> float | None:
    return one / half if half > 0 and math.isfinite(one / half) else None
