"""How much of the real model's time and FLOPs are matrix products with weights, in prefill and in decode."""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from labs.formulas.gemm import amdahl
from labs.formulas.memory import arithmetic_intensity, gemm_bytes, gemm_flops
from labs.gemm.model_clock import KINDS, Spent, forward_spent
from labs.gemm.product_counter import ProductCounter
from labs.measure import NOISY_SPREAD
from labs.models.config import linear_shapes
from labs.quantization.roofs import gemm_peak, read_bandwidth
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Lines,
    Markdown,
    Metric,
    Provenance,
    Series,
    Table,
    array,
)
from labs.simulator.model_cost import decode_flops, head_flops, linear_flops_per_token, prefill_flops
from labs.simulator.models import model as published
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.gemm.model_clock import Kind
    from labs.models.config import ModelConfig
    from labs.models.loading import LoadedModel
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_ROUNDS = 3
_FP32 = 32
_HEAD = "lm_head"
_CONTEXTS = tuple(2**power for power in range(7, 18))
NAMES: dict[Kind, Text] = {
    "linear": Text(zh="线性层（GEMM）", en="linear layers (GEMM)"),
    "head": Text(zh="输出头（GEMM）", en="output head (GEMM)"),
    "attention": Text(zh="注意力本身", en="attention itself"),
    "norm": Text(zh="归一化", en="norms"),
    "rest": Text(
        zh="其余：旋转、SwiGLU、残差、缓存、Python", en="rest: rotation, SwiGLU, residuals, cache, Python"
    ),
}
METHOD = Text(
    zh=f"真实前向里给每个模块计时，{_ROUNDS} 遍取中位的一遍；FP32，权重是随应用的模型",
    en=f"each module timed inside the real forward, the median of {_ROUNDS}; fp32, the model of this app",
)


@dataclass(frozen=True)
class Phase:
    """``tokens`` new ones a sequence behind ``context``; ``rows`` is m of each linear layer; ``spread`` how
    far the rounds lay apart, as a share of the one in the middle."""

    name: Text
    batch: int
    tokens: int
    context: int
    spent: Spent
    spread: float

    @property
    def rows(self) -> int:
        return self.batch * self.tokens

    @property
    def gemm(self) -> float:
        """Share of time in products with weights."""
        return self.spent.share("linear") + self.spent.share("head")


def run_model(ctx: Context, *, tokens: int, batch: int) -> Iterator[Result]:
    """Prefill, decode with one sequence, decode with several; then each projection against the roofs."""
    loaded = ctx.model()
    with _on_device(loaded, ctx.device):
        yield from _run(ctx, loaded, tokens, batch)


def _run(ctx: Context, loaded: LoadedModel, tokens: int, batch: int) -> Iterator[Result]:
    phases: list[Phase] = []
    wanted = [
        (Text(zh=f"预填充 {tokens} token", en=f"prefill, {tokens} tokens"), 1, tokens, 0),
        (Text(zh="解码，1 条", en="decode, 1 sequence"), 1, 1, tokens),
        (Text(zh=f"解码，{batch} 条", en=f"decode, {batch} sequences"), batch, 1, tokens),
    ]
    for index, (name, sequences, new, context) in enumerate(wanted):
        ctx.progress(index / 4, name)
        spent, spread = _median(ctx, loaded, sequences, new, context)
        phases.append(Phase(name, sequences, new, context, spent, spread))
        yield shares(phases)
    yield from figures(loaded, phases, tokens)
    ctx.progress(0.8, Text(zh="测量两条屋顶", en="Measuring the roofs"))
    peak, bandwidth = gemm_peak(ctx, "fp32"), read_bandwidth(ctx)
    yield table(loaded.config, phases, peak, bandwidth)
    yield by_context()
    yield explanation(phases, peak, bandwidth)


@contextlib.contextmanager
def _on_device(loaded: LoadedModel, where: str) -> Iterator[None]:
    """The worker's model lives on the CPU and goes back there, whatever happens."""
    loaded.model.to(where)
    try:
        yield
    finally:
        loaded.model.to("cpu")


def _median(ctx: Context, loaded: LoadedModel, batch: int, tokens: int, context: int) -> tuple[Spent, float]:
    """The round whose total is the median, so that its parts add up, and how far apart they lay."""
    forward_spent(loaded, batch, tokens, context)
    rounds = []
    for _ in range(_ROUNDS):
        ctx.check()
        rounds.append(forward_spent(loaded, batch, tokens, context))
    totals = [one.total_s for one in rounds]
    middle = statistics.median_low(totals)
    spent = next(one for one in rounds if one.total_s == middle)
    return spent, (max(totals) - min(totals)) / middle


def shares(phases: list[Phase]) -> Bars:
    return Bars(
        id="shares",
        title=Text(zh="一次前向的时间花在哪里", en="Where a forward's time goes"),
        provenance=_MEASURED,
        unit="%",
        categories=[phase.name for phase in phases],
        series=[
            BarSeries(name=NAMES[kind], values=array([100 * phase.spent.share(kind) for phase in phases]))
            for kind in KINDS
        ],
        y=Axis(title=Text(zh="占时间", en="of the time"), unit="%"),
        source=METHOD,
        wide=True,
    )


def figures(loaded: LoadedModel, phases: list[Phase], tokens: int) -> Iterator[Metric]:
    counted, linear = counted_flops(loaded, tokens)
    yield Metric(
        id="flop_share",
        title=Text(zh="预填充里 GEMM 占的 FLOP", en="GEMM's share of prefill FLOPs"),
        provenance=_MEASURED,
        unit="%",
        value=100 * linear / counted,
        predicted=100 * expected_share(loaded.config, tokens),
        formula=SHARE_FORMULA,
        source=Text(
            zh="真实前向里每个矩阵乘法逐个数出来；因果注意力按整个矩阵算",
            en="each matrix product of a real forward counted; causal attention as the full matrix",
        ),
    )
    for identity, phase in zip(("prefill_gemm", "decode_gemm"), phases, strict=False):
        yield Metric(
            id=identity,
            title=Text(zh=f"GEMM 的时间：{phase.name.zh}", en=f"GEMM: {phase.name.en}"),
            provenance=_MEASURED,
            unit="%",
            value=100 * phase.gemm,
            help=Text(
                zh="线性层与输出头；注意力里的 QKᵀ 与 PV 也是矩阵乘法，这里算作注意力。",
                en="Linear layers and the output head. QKᵀ and PV are matrix products too, here counted as "
                "attention.",
            ),
            source=METHOD,
        )


SHARE_FORMULA = Text(
    zh="线性层 ÷（线性层 + 注意力），注意力 4 × 层数 × 头数 × 头维度 × token²",
    en="linear / (linear + attention), attention 4 × layers × heads × head dim × tokens²",
)


def linear_flops(config: ModelConfig, rows: int, logits: int) -> int:
    """All projections on ``rows`` tokens, the head on ``logits`` of them."""
    block = sum(gemm_flops(rows, out, depth) for out, depth in linear_shapes(config).values())
    return config.layers * block + gemm_flops(logits, config.vocab, config.hidden)


def expected_share(config: ModelConfig, tokens: int) -> float:
    """Attention as a full matrix: written out, it is computed so."""
    linear = linear_flops(config, tokens, 1)
    return linear / (linear + 4 * config.layers * config.heads * config.head_dim * tokens * tokens)


@torch.no_grad()  # in inference mode a linear layer stays one operator that hides its product
def counted_flops(loaded: LoadedModel, tokens: int) -> tuple[int, int]:
    """FLOPs of all matrix products of a prefill, and of those with weights among them."""
    ids = torch.zeros(1, tokens, dtype=torch.long, device=next(loaded.model.parameters()).device)
    # Written out, attention is products that can be counted; fused, it is one operator.
    with ProductCounter(loaded.model) as counter, sdpa_kernel(SDPBackend.MATH):
        loaded.model(ids, last_only=True)
    return counter.with_weights + counter.others, counter.with_weights


def table(config: ModelConfig, phases: list[Phase], peak: float, bandwidth: float) -> Table:
    """Each projection in each phase: what it reached of the roof that bounds it."""
    shapes = {**linear_shapes(config), _HEAD: (config.vocab, config.hidden)}
    rows: list[list[Text | float | int | None]] = []
    for phase in phases:
        for name, (out, depth) in shapes.items():
            m = phase.batch if name == _HEAD else phase.rows
            seconds = phase.spent.linears[name] / phase.spent.calls[name]
            flops, moved = gemm_flops(m, out, depth), gemm_bytes(m, out, depth, _FP32, _FP32, _FP32)
            by_compute = flops / peak > moved / bandwidth
            roof = max(flops / peak, moved / bandwidth)
            rows.append(
                [
                    phase.name,
                    same(name),
                    same(f"{m} × {out} × {depth}"),
                    arithmetic_intensity(m, out, depth, _FP32, _FP32, _FP32),
                    1e6 * seconds,
                    flops / seconds / 1e9,
                    moved / seconds / 1e9,
                    Text(zh="算力", en="compute") if by_compute else Text(zh="带宽", en="bandwidth"),
                    100 * roof / seconds,
                ]
            )
    return Table(
        id="projections",
        title=Text(zh="每个投影离屋顶多远", en="Each projection against the roofs"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="阶段", en="phase")),
            Column(title=Text(zh="投影", en="projection")),
            Column(title=same("m × n × k")),
            Column(title=Text(zh="每字节 FLOP", en="FLOPs a byte"), provenance=_ESTIMATED),
            Column(title=Text(zh="时间", en="time"), unit="µs"),
            Column(title=Text(zh="速度", en="rate"), unit="GFLOP/s"),
            Column(title=Text(zh="访存", en="traffic"), unit="GB/s"),
            Column(title=Text(zh="受限于", en="bound by"), provenance=_ESTIMATED),
            Column(
                title=Text(zh="占屋顶", en="of the roof"),
                unit="%",
                help=Text(
                    zh="屋顶是实测的 GEMM 峰值与读内存带宽。小权重留在缓存里时会超过 100%。",
                    en="Roofs: the measured peak of GEMM and the read bandwidth of memory. Weights that stay "
                    "in the cache can exceed 100%.",
                ),
            ),
        ],
        rows=rows,
        source=METHOD,
        wide=True,
    )


def by_context() -> Lines:
    """By formula, for published models: where attention's products overtake those with weights."""
    series = []
    for name in ("llama-3-8b", "llama-3-70b"):
        shape = published(name)
        weights = [n * linear_flops_per_token(shape) + head_flops(shape) for n in _CONTEXTS]
        prefill = [100 * w / prefill_flops(shape, n) for w, n in zip(weights, _CONTEXTS, strict=True)]
        token = linear_flops_per_token(shape) + head_flops(shape)
        decode = [100 * token / decode_flops(shape, n) for n in _CONTEXTS]
        for zh, en, values in (("预填充", "prefill", prefill), ("解码", "decode", decode)):
            series.append(
                Series(name=Text(zh=f"{name}，{zh}", en=f"{name}, {en}"), x=array(_CONTEXTS), y=array(values))
            )
    return Lines(
        id="by_context",
        title=Text(zh="权重 GEMM 占 FLOP 的比例随长度下降", en="GEMM's share of FLOPs falls with length"),
        provenance=_ESTIMATED,
        unit="%",
        x=Axis(title=Text(zh="上下文长度", en="context length"), unit="token", log=True),
        y=Axis(title=Text(zh="占 FLOP", en="of the FLOPs"), unit="%"),
        series=series,
        source=Text(
            zh="labs.simulator.model_cost，因果注意力只数一半",
            en="labs.simulator.model_cost; causal attention counts the lower half",
        ),
    )


def explanation(phases: list[Phase], peak: float, bandwidth: float) -> Markdown:
    prefill, one, many = phases
    twice = amdahl(prefill.gemm, 2.0), amdahl(one.gemm, 2.0)
    body = Text(
        zh=f"**预填充 {prefill.gemm:.0%}，解码 {one.gemm:.0%}。** 这是本机实测的 GEMM 时间占比：若线性层快一"
        f"倍，预填充整体快 {twice[0]:.2f} 倍，解码快 {twice[1]:.2f} 倍（Amdahl）。\n\n**同一批权重，两种瓶颈"
        f"。** 预填充 m = {prefill.rows}，每读一个权重算 {2 * prefill.rows} 次；解码 m = 1，只算 2 次，时间"
        f"就是读权重的时间。脊点在 {peak / bandwidth:.0f} FLOP/字节（峰值 {peak / 1e9:.0f} GFLOP/s ÷ 带宽 "
        f"{bandwidth / 1e9:.0f} GB/s）。所以 {many.batch} 条一起解码只花 1 条的 "
        f"{many.spent.total_s / one.spent.total_s:.2f} 倍时间：权重只读一遍。\n\n**其余的时间。** 小模型在 "
        "CPU 上，归一化、旋转与 Python 的固定开销占比不小；模型越宽，GEMM 占比越高。",
        en=f"**{prefill.gemm:.0%} of prefill, {one.gemm:.0%} of decode.** That is GEMM's share of time as "
        f"measured here: with linear layers twice as fast, prefill would be {twice[0]:.2f} times and decode "
        f"{twice[1]:.2f} times as fast (Amdahl).\n\n**The same weights, two bounds.** In prefill m = "
        f"{prefill.rows} and each weight read does {2 * prefill.rows} operations; in decode m = 1 and it "
        f"does 2: its time is that of reading weights. The ridge lies at {peak / bandwidth:.0f} FLOPs a "
        f"byte ({peak / 1e9:.0f} GFLOP/s over {bandwidth / 1e9:.0f} GB/s). So {many.batch} sequences decode "
        f"in {many.spent.total_s / one.spent.total_s:.2f} times the time of one: weights are read "
        "once.\n\n**The rest.** With a small model on a CPU, norms, rotation and Python's fixed costs take "
        "their share; the wider the model, the larger GEMM's.",
    )
    worst = max(phases, key=lambda one: one.spread)
    if worst.spread > NOISY_SPREAD:
        body = Text(
            zh=f"{body.zh}\n\n**有噪声。** {_ROUNDS} 遍之间最多差 {worst.spread:.0%}（{worst.name.zh}）："
            "占比会晃动，关掉别的程序再测。",
            en=f"{body.en}\n\n**Noise.** Rounds lay up to {worst.spread:.0%} apart ({worst.name.en}): "
            "shares will shift; close other programs and measure again.",
        )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=body,
        wide=True,
    )
