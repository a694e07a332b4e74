"""What the million-token mode shows: figures of the chosen model and device, curves, models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.distributed.long_need import Need, attention_flops, crossover_tokens, linear_flops
from labs.results import Axis, Column, Lines, Mark, Markdown, Metric, Provenance, Series, Table, array
from labs.simulator.deployment import MEMORY_SHARE
from labs.simulator.model_cost import kv_bytes
from labs.simulator.models import model
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.results import Result

_ESTIMATED = Provenance.ESTIMATED
MODELS = (
    "llama-2-7b",
    "llama-3.1-8b",
    "llama-3.1-70b",
    "llama-3.1-405b",
    "qwen2.5-7b",
    "qwen3-30b-a3b",
    "mistral-7b",
    "gpt-oss-120b",
    "deepseek-v3",
)
_SIZES = [2**power for power in range(12, 25, 2)]
BITS = (16, 8, 4, 2)
_TOKENS = Axis(title=Text(zh="上下文长度", en="context length"), unit="token", log=True)
KV_FORMULA = Text(
    zh="Σ 层 2 × min(token, 窗口) × KV 头数 × 头维度 × 位宽/8；MLA：token × (隐变量 + RoPE 键) × 位宽/8",
    en="sum over layers of 2 × min(tokens, window) × KV heads × head dim × bits/8; MLA: tokens × (latent + "
    "RoPE key) × bits/8",
)
DEVICES_FORMULA = Text(
    zh=f"⌈(BF16 权重 + KV) ÷ ({MEMORY_SHARE} × 显存)⌉，均匀切分",
    en=f"weights in BF16 + KV, over {MEMORY_SHARE} × device memory, rounded up; divided evenly",
)
FLOPS_FORMULA = Text(
    zh="线性层 FLOPs + 每个因果对 4 × 头数 × 头维度 × 层数；除以所有设备的 BF16 稠密峰值",
    en="linear layers' FLOPs + 4 × heads × head dim × layers a causal pair; over all devices' dense BF16 "
    "peak",
)


def results(need: Need) -> Iterator[Result]:
    yield from figures(need)
    yield kv_curve(need)
    yield flops_curve(need)
    yield models_table(need)
    yield explanation(need)


def figures(need: Need) -> Iterator[Metric]:
    yield _metric("kv", "KV Cache", "KV cache", "B", need.kv, KV_FORMULA)
    yield _metric(
        "devices", "至少几块卡装得下", "Fewest devices that hold it", "", need.devices, DEVICES_FORMULA
    )
    yield _metric("prefill", "预填充至少", "Prefill at the least", "s", need.prefill_s, FLOPS_FORMULA)
    yield _metric(
        "decode",
        "解码一个 token 至少",
        "A decoded token at the least",
        "s",
        need.decode_s,
        Text(zh="(激活的权重 + KV) ÷ 全部带宽", en="(weights in use + KV) / all bandwidth"),
    )
    if need.hidden_tokens is not None:
        yield _metric(
            "hidden",
            "每卡多少 token 藏得住通信",
            "Tokens a device to hide traffic",
            "token",
            need.hidden_tokens,
            Text(
                zh="峰值 ÷ 单向互连带宽 × KV 头数/头数 × 字节/2（整块；因果平均要两倍）",
                en="peak / link bandwidth one way × KV heads/heads × bytes/2 (full blocks; twice that if "
                "causal)",
            ),
        )


def _metric(name: str, zh: str, en: str, unit: str, value: float, formula: Text) -> Metric:
    return Metric(
        id=name,
        title=Text(zh=zh, en=en),
        provenance=_ESTIMATED,
        unit=unit,
        value=float(value),
        formula=formula,
        source=formula,
    )


def kv_curve(need: Need) -> Lines:
    series = [
        Series(
            name=Text(zh=f"KV，{bits} 位", en=f"KV, {bits} bits"),
            x=array(_SIZES),
            y=array([kv_bytes(need.model, tokens, bits / 8) for tokens in _SIZES]),
        )
        for bits in BITS
    ]
    for count in (1, 8, 64):
        free = MEMORY_SHARE * need.device.memory_bytes * count - need.weights
        if free > 0:
            devices = "1 device" if count == 1 else f"{count} devices"
            name = Text(zh=f"{count} 卡除去权重", en=f"{devices}, less weights")
            ends = array([_SIZES[0], _SIZES[-1]])
            series.append(Series(name=name, x=ends, y=array([free, free]), reference=True))
    return Lines(
        id="kv_by_length",
        title=Text(zh="KV 与显存", en="KV and memory"),
        help=Text(
            zh="斜线是 KV，水平线是装完权重后剩下的显存：交点就是能放下的最长上下文（一条序列）。",
            en="The slopes are KV, the level lines what memory is left beside the weights: where they meet "
            "is the longest context that fits (one sequence).",
        ),
        provenance=_ESTIMATED,
        unit="B",
        x=_TOKENS,
        y=Axis(title=Text(zh="字节", en="bytes"), unit="B", log=True),
        series=series,
        marks=[Mark(x=float(need.tokens))],
        markers=False,
        source=KV_FORMULA,
    )


def flops_curve(need: Need) -> Lines:
    return Lines(
        id="flops_by_length",
        title=Text(zh="预填充的计算量：谁占大头", en="FLOPs of prefill: which part rules"),
        help=Text(
            zh="线性层与长度成正比，注意力与长度的平方成正比；过了交点，再长一倍就要四倍的时间。",
            en="Linear layers grow with the length, attention with its square; beyond the crossing twice the "
            "length takes four times as long.",
        ),
        provenance=_ESTIMATED,
        unit="FLOP",
        x=_TOKENS,
        y=Axis(title=same("FLOPs"), unit="FLOP", log=True),
        series=[
            Series(
                name=Text(zh="线性层", en="linear layers"),
                x=array(_SIZES),
                y=array([linear_flops(need.model, tokens) for tokens in _SIZES]),
            ),
            Series(
                name=Text(zh="注意力", en="attention"),
                x=array(_SIZES),
                y=array([attention_flops(need.model, tokens) for tokens in _SIZES]),
            ),
        ],
        marks=[Mark(x=float(need.tokens))],
        markers=False,
        source=FLOPS_FORMULA,
    )


def models_table(need: Need) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for name in MODELS:
        other = Need(model(name), need.device, need.tokens, need.kv_bits)
        rows.append(
            [
                same(name),
                other.weights,
                other.kv,
                other.devices,
                100 * other.attention_share,
                crossover_tokens(other.model),
                other.prefill_s,
                other.decode_s,
            ]
        )
    return Table(
        id="models",
        title=Text(
            zh=f"{need.tokens:,} 个 token，{need.device.title}",
            en=f"{need.tokens:,} tokens on {need.device.title}",
        ),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="模型", en="model")),
            Column(title=Text(zh="权重", en="weights"), unit="B"),
            Column(title=same("KV"), unit="B"),
            Column(title=Text(zh="卡数", en="devices")),
            Column(
                title=Text(zh="注意力", en="attention"),
                unit="%",
                help=Text(zh="占预填充的 FLOPs。", en="Of prefill's FLOPs."),
            ),
            Column(
                title=Text(zh="交点", en="equal at"),
                unit="token",
                help=Text(
                    zh="注意力与线性层的 FLOPs 相等的提示词长度。",
                    en="Prompt length at which attention and linear layers cost the same FLOPs.",
                ),
            ),
            Column(title=Text(zh="预填充", en="prefill"), unit="s"),
            Column(title=Text(zh="解码", en="decode"), unit="s"),
        ],
        rows=rows,
        highlight=MODELS.index(need.model.name),
        help=Text(
            zh="有的模型并不支持这么长：这里只算账，位置编码的外推与质量是另一回事。",
            en="Some of these models do not go so far: this is bookkeeping only; positions and quality "
            "beyond the trained length are another matter.",
        ),
        source=Text(
            zh=f"{DEVICES_FORMULA.zh}；{need.device.figure('memory_bytes').source}；{need.model.source}",
            en=f"{DEVICES_FORMULA.en}; {need.device.figure('memory_bytes').source}; {need.model.source}",
        ),
        wide=True,
    )


def explanation(need: Need) -> Markdown:
    each, meets = need.kv / need.tokens, crossover_tokens(need.model)
    share = need.tokens / need.devices
    zh = (
        f"**装下。** {need.model.name} 每个 token 的 KV 平均 {each / 2**10:.1f} KiB，{need.tokens:,} 个就是 "
        f"{need.kv / 2**30:.1f} GiB，加上权重 {need.weights / 2**30:.0f} GiB，至少 {need.devices} 块 "
        f"{need.device.title}。\n\n**算完。** 预填充 {need.flops / 1e15:,.1f} PFLOP，"
        f"{need.attention_share:.0%} 在注意力上；峰值全达到也要 {need.prefill_s:,.0f} s。"
    )
    en = (
        f"**To hold it.** A token of {need.model.name} has {each / 2**10:.1f} KiB of KV on average, "
        f"{need.tokens:,} of them {need.kv / 2**30:.1f} GiB; with {need.weights / 2**30:.0f} GiB of weights "
        f"that is {need.devices} × {need.device.title} at the least.\n\n**To compute it.** Prefill takes "
        f"{need.flops / 1e15:,.1f} PFLOP, {need.attention_share:.0%} of them attention: "
        f"{need.prefill_s:,.0f} s if every peak is reached."
    )
    if meets is not None:
        zh += f"注意力从 {meets:,.0f} 个 token 起超过线性层。"
        en += f" Attention overtakes the linear layers at {meets:,.0f} tokens."
    zh += f"\n\n**生成。** 每个 token 要把 KV 读一遍：至少 {need.decode_s * 1e3:.1f} ms。"
    en += f"\n\n**To generate.** Each token reads all KV: {need.decode_s * 1e3:.1f} ms at the least."
    if need.hidden_tokens is not None:
        enough = share >= 2 * need.hidden_tokens
        zh += (
            f"\n\n**环藏得住吗。** 每卡 {share:,.0f} 个 token，因果块要 {2 * need.hidden_tokens:,.0f} "
            f"个才能让计算盖过传输：{'够' if enough else '不够，通信会露出来'}。"
        )
        en += (
            f"\n\n**Does a ring hide its traffic?** {share:,.0f} tokens a device; with causal blocks it "
            f"takes {2 * need.hidden_tokens:,.0f} for computing to cover sending: "
            f"{'enough' if enough else 'too few, and traffic shows'}."
        )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_ESTIMATED,
        body=Text(zh=zh, en=en),
        source=FLOPS_FORMULA,
        wide=True,
    )
