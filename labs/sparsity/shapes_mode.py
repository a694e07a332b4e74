"""2:4 at the shapes of the model's own layers, from decode to prefill, beside torch's dense product."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from labs.formulas.sparsity import two_four_share
from labs.models.config import linear_shapes
from labs.models.llama import linear
from labs.ops.native_decode import MANY, native_decode
from labs.ops.sparse_24 import compress, fast_sparse_24
from labs.quantization.threads import threads
from labs.results import Axis, Bars, BarSeries, Column, Markdown, Metric, Provenance, Table, array
from labs.sparsity.patterns import mask_of
from labs.sparsity.predictions import SHORT_TWO_FOUR, TWO_FOUR_FORMULA
from labs.sparsity.race import in_turn, raced, right
from labs.text import Text, same
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.models.config import ModelConfig
    from labs.results import Result

TOKENS = (1, 8, 64)
_EVEN = 0.05  # closer than that is neither won nor lost
_MEASURED = Provenance.MEASURED
METHOD = Text(
    zh="真实权重按幅值剪成 2:4，单线程 fp32，与稠密乘积相符才计时；稠密与 2:4 交替测，各取最快的五分之一",
    en="real weights pruned to 2:4 by magnitude, one thread, fp32, timed once it agrees with the dense "
    "product; dense and 2:4 in turn, the fastest fifth of each",
)


@dataclass(frozen=True)
class Shape:
    """A weight ``[n, k]`` that ``modules`` of a block have."""

    modules: tuple[str, ...]
    n: int
    k: int

    @property
    def name(self) -> Text:
        return same(" / ".join(name.removesuffix("_proj") for name in self.modules) + f" {self.n}×{self.k}")


@dataclass
class Shapes:
    """Seconds of dense and 2:4 by shape and tokens; NaN where the product was wrong."""

    every: list[Shape]
    found: dict[tuple[Shape, int], tuple[float, float]] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)

    def speed(self, shape: Shape, tokens: int) -> float:
        dense, sparse = self.found.get((shape, tokens), (math.nan, math.nan))
        return dense / sparse

    def block_speed(self, tokens: int) -> float:
        """Of all seven layers of a block, one after the other."""
        sums = [sum(len(one.modules) * self.found[one, tokens][way] for one in self.every) for way in (0, 1)]
        return sums[0] / sums[1]


def shapes_of(config: ModelConfig) -> list[Shape]:
    """The distinct ones, in the order of the forward pass."""
    modules: dict[tuple[int, int], list[str]] = {}
    for name, shape in linear_shapes(config).items():
        modules.setdefault(shape, []).append(name)
    return [Shape(tuple(names), n, k) for (n, k), names in modules.items()]


def run_shapes(ctx: Context, params: Any) -> Iterator[Result]:
    """A shape at a time, each shown at once."""
    shapes = Shapes([one for one in shapes_of(ctx.model_config()) if one.k % 8 == 0])
    with threads(1), torch.inference_mode():
        for index, shape in enumerate(shapes.every):
            ctx.progress(index / len(shapes.every), shape.name)
            weight = linear(ctx.model().model, params.layer, shape.modules[0]).weight.detach().float()
            _measure(ctx, shapes, shape, weight * mask_of(weight.abs(), "two_four", 0.5), params)
            yield speed_bars(shapes)
    yield block_metric(shapes)
    yield table(shapes)
    yield explanation(shapes)


def _measure(ctx: Context, shapes: Shapes, shape: Shape, pruned: Tensor, params: Any) -> None:
    dense = in_turn(params.source, lambda: (pruned,))
    small = in_turn(params.source, lambda: compress(pruned))
    for tokens in TOKENS:
        x = torch.randn(tokens, shape.k, generator=ctx.generator())
        if not right(fast_sparse_24(x, *small()), x @ pruned.t()):
            shapes.found[shape, tokens] = (math.nan, math.nan)
            continue
        plain = partial(lambda x: F.linear(x, dense()[0]), x)
        halved = partial(lambda x: fast_sparse_24(x, *small()), x)
        dense_s, sparse_s = raced(ctx, shapes.timings, plain, halved)
        shapes.found[shape, tokens] = (dense_s, sparse_s)


def speed_bars(shapes: Shapes) -> Bars:
    return Bars(
        id="shape_speed",
        title=Text(zh="2:4 比稠密快几倍，按真实形状", en="2:4: times as fast as dense, at the real shapes"),
        help=Text(
            zh="1 是打平，低于 1 是输。1 个 token 是解码；64 个是预填充的一块。",
            en="1 is even, below 1 is lost. One token is decode, 64 a piece of a prefill.",
        ),
        provenance=_MEASURED,
        unit="×",
        categories=[one.name for one in shapes.every],
        y=Axis(title=Text(zh="稠密时间 ÷ 2:4 时间", en="dense time / 2:4 time"), unit="×"),
        series=[
            BarSeries(
                name=_tokens(tokens),
                values=array([shapes.speed(one, tokens) for one in shapes.every]),
            )
            for tokens in TOKENS
        ]
        + [
            BarSeries(
                name=Text(zh="按字节至多", en="by bytes at most"),
                values=array([1 / two_four_share(32)] * len(shapes.every)),
                provenance=Provenance.ESTIMATED,
            )
        ],
        source=METHOD,
        wide=True,
    )


def _tokens(count: int) -> Text:
    return Text(zh=f"{count} 个 token", en=f"{count} token{'s' * (count > 1)}")


def block_metric(shapes: Shapes) -> Metric:
    speed = shapes.block_speed(1)
    return Metric(
        id="block_speed",
        title=SHORT_TWO_FOUR,
        help=Text(
            zh="一个 Transformer 块的七个线性层，一个接一个，各一个 token。",
            en="The seven linear layers of a transformer block, one after the other, with one token.",
        ),
        provenance=_MEASURED,
        unit="×",
        value=None if math.isnan(speed) else speed,
        predicted=1 / two_four_share(32),
        formula=TWO_FOUR_FORMULA,
        better="higher",
        source=METHOD,
    )


def table(shapes: Shapes) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for (shape, tokens), (dense, sparse) in shapes.found.items():
        speed, wrong = shapes.speed(shape, tokens), math.isnan(dense)
        rows.append(
            [
                shape.name,
                tokens,
                None if wrong else 1e6 * dense,
                None if wrong else 1e6 * sparse,
                None if wrong else speed,
                _verdict(speed),
            ]
        )
    return Table(
        id="shape_times",
        title=Text(zh="每个形状", en="Shape by shape"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="层", en="layer")),
            Column(title=same("token")),
            Column(title=Text(zh="稠密（torch）", en="dense (torch)"), unit="µs"),
            Column(title=same("2:4"), unit="µs"),
            Column(title=Text(zh="快", en="speed-up"), unit="×"),
            Column(title=Text(zh="判断", en="verdict")),
        ],
        rows=rows,
        source=METHOD,
        wide=True,
    )


def _verdict(speed: float) -> Text:
    if math.isnan(speed):
        return Text(zh="结果不对，不给速度", en="wrong: no speed")
    if abs(speed - 1) <= _EVEN:
        return Text(zh="打平", en="even")
    return Text(zh="赢", en="won") if speed > 1 else Text(zh="输", en="lost")


def explanation(shapes: Shapes) -> Markdown:
    parts = [_decode(shapes), _lost(shapes), _how(shapes)]
    native = native_decode()
    if isinstance(native, Text):
        parts.append(
            Text(
                zh=f"**没有 C++ 内核**：{native.zh}。这里测的是 torch 先展开再乘，读写都比稠密多，解码也会"
                "输。",
                en=f"**No C++ kernel**: {native.en}. What was measured is torch unfolding and then "
                "multiplying: more bytes than dense, which loses in decode too.",
            )
        )
    if warning := noise_warning(shapes.timings):
        parts.append(warning)
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(one.zh for one in parts), en="\n\n".join(one.en for one in parts)),
        wide=True,
    )


def _decode(shapes: Shapes) -> Text:
    speed, most = shapes.block_speed(1), 1 / two_four_share(32)
    return Text(
        zh=f"**解码**：七层合起来是稠密的 {speed:.2f} 倍，按字节至多 {most:.2f} 倍。稠密读每个权重 4 字节；"
        "2:4 读一半的值，加每个值 2 位的位置，在寄存器里按位置展开成八列，再乘加。零照乘：省的是字节，不是"
        "乘法。",
        en=f"**Decode**: {speed:.2f} times dense for the seven layers together; bytes allow {most:.2f}. "
        "Dense reads 4 bytes a weight. 2:4 reads half of the values and 2 bits for the place of each, "
        "unfolds them into eight columns in registers, and multiplies. The zeros are multiplied too: bytes "
        "are saved, not products.",
    )


def _lost(shapes: Shapes) -> Text:
    lost = [(one, tokens) for one, tokens in shapes.found if shapes.speed(one, tokens) < 1 - _EVEN]
    if not lost:
        return Text(zh="**这次没有输的形状。**", en="**No shape was lost this time.**")
    worst = min(lost, key=lambda key: shapes.speed(*key))
    counts = ", ".join(
        f"{tokens}: {sum(at == tokens for _, at in lost)}/{len(shapes.every)}"
        for tokens in TOKENS
        if any(at == tokens for _, at in lost)
    )
    return Text(
        zh=f"**输在哪里**（token 数: 输的形状）：{counts}；最差的是 {worst[0].name.zh}、{worst[1]} 个 "
        f"token，只有 {shapes.speed(*worst):.2f} 倍。token 一多，权重从内存只读一次、却用很多次，字节不再是"
        "瓶颈；CPU 没有按位置取数的矩阵指令，展开是多出来的活。",
        en=f"**Where it loses** (tokens: shapes lost): {counts}; at worst {shapes.speed(*worst):.2f} times, "
        f"{worst[0].name.en} with {worst[1]} tokens. With many tokens a weight is read once and used often: "
        "bytes no longer decide, and a CPU has no matrix instruction that picks by place, so that "
        "unfolding is work on top.",
    )


def _how(shapes: Shapes) -> Text:
    return Text(
        zh=f"少于 {MANY} 个 token 时，展开的八列在寄存器里给 4 个 token 用；再多就整个展开一次，交给 torch "
        "乘。GPU 上由稀疏 Tensor Core 在指令里取数，预填充也能快，那要 CUDA。",
        en=f"Below {MANY} tokens the eight columns serve 4 tokens while they are in registers; with more, "
        "the whole weight is unfolded once and torch multiplies. On a GPU the sparse Tensor Core picks "
        "within the instruction, and prefill can gain as well: that takes CUDA.",
    )
