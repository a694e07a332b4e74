"""The model's step taken apart: each part as a call on real weights, and what it asks of the machine.

A call works on the next layer's weights each time, as a step does: they come from memory, not from a cache
that an earlier repeat has filled. Activations are small and stay warm, as they do in a step.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.caches import copies_beyond_cache
from labs.formulas.decoder_demand import PARTS
from labs.models.llama import causal_attention, rotate, single_query_attention
from labs.roofline.dispatches import dispatches
from labs.roofline.setting import BITS, KV_BITS, count_of, demands
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from torch import Tensor

    from labs.context import Context
    from labs.formulas.roofline import Demand
    from labs.models.config import ModelConfig
    from labs.models.llama import Llama
    from labs.roofline.setting import Precision, Setting


@dataclass(frozen=True)
class Part:
    """A part as it runs once in a layer, ``count`` times a step."""

    name: str
    demand: Demand
    count: int
    call: Callable[[], object]


def model_as(ctx: Context, precision: Precision) -> Llama:
    """The model in this precision on the device; the loaded one itself where that is what it is."""
    loaded = ctx.model().model
    if precision == "fp32" and ctx.device == "cpu":
        return loaded
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    size = sum(parameter.nbytes for parameter in loaded.parameters()) * (1 if precision == "fp32" else 0.5)

    def make() -> Llama:
        ctx.reserve(int(size), Text(zh="模型的一个副本", en="a copy of the model"))
        return copy.deepcopy(loaded).to(device=ctx.device, dtype=dtype)

    return ctx.memo(("roofline model", ctx.device, precision), make)


def make_parts(ctx: Context, model: Llama, setting: Setting) -> list[Part]:
    """All parts by the names of ``PARTS``, in the order of a step; LabError where they do not fit."""
    config, asked = model.config, demands(model.config, setting)
    weight = model.lm_head.weight
    rows = (setting.batch, setting.tokens)
    _reserve(ctx, config, setting)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=ctx.generator()).to(weight)

    x, wide = random(*rows, config.hidden), random(*rows, config.intermediate)
    calls = _linear_calls(model, x, wide, random(*rows, config.heads * config.head_dim))
    calls |= _attention_calls(ctx, config, setting, random)
    gate, up = random(*rows, config.intermediate), random(*rows, config.intermediate)
    other = random(*rows, config.hidden)
    calls["activation"] = lambda: F.silu(gate) * up
    calls["residual"] = lambda: (x + other, other + x)
    return [
        Part(
            name,
            asked[name]._replace(calls=dispatches(calls[name], ctx.device)),
            count_of(config, name),
            calls[name],
        )
        for name in PARTS
    ]


def _linear_calls(model: Llama, x: Tensor, wide: Tensor, mixed: Tensor) -> dict[str, Callable[[], object]]:
    layers: Any = cycle(model.layers)
    last = x[:, -1:]

    def norms() -> object:
        block = next(layers)
        return block.input_layernorm(x), block.post_attention_layernorm(x)

    def qkv() -> object:
        attention = next(layers).self_attn
        return attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)

    def gate_up() -> object:
        mlp = next(layers).mlp
        return mlp.gate_proj(x), mlp.up_proj(x)

    return {
        "norms": norms,
        "qkv": qkv,
        "o": lambda: next(layers).self_attn.o_proj(mixed),
        "gate_up": gate_up,
        "down": lambda: next(layers).mlp.down_proj(wide),
        "head": lambda: model.lm_head(last),
    }


def _attention_calls(
    ctx: Context, config: ModelConfig, setting: Setting, random: Callable[..., Tensor]
) -> dict[str, Callable[[], object]]:
    batch, tokens, size = setting.batch, setting.tokens, config.head_dim
    q, k = random(batch, config.heads, tokens, size), random(batch, config.kv_heads, tokens, size)
    cos, sin = random(1, 1, tokens, size // 2), random(1, 1, tokens, size // 2)
    calls: dict[str, Callable[[], object]] = {"rope": lambda: (rotate(q, cos, sin), rotate(k, cos, sin))}
    if setting.phase == "prefill":
        v = random(batch, config.kv_heads, tokens, size)
        calls["attention"] = lambda: causal_attention(q, k, v)
        return calls
    stored: Any = cycle(
        [
            torch.randn(2, batch, config.kv_heads, setting.context, size, generator=ctx.generator()).to(
                ctx.device
            )
            for _ in range(_kv_copies(ctx, config, setting))
        ]
    )

    def attend() -> Tensor:
        keys, values = next(stored)
        return single_query_attention(q, keys, values)

    calls["attention"] = attend
    return calls


def _kv_bytes(config: ModelConfig, setting: Setting) -> int:
    """Of one layer."""
    numbers: int = 2 * setting.batch * config.kv_heads * setting.context * config.head_dim
    return numbers * KV_BITS // 8


def _kv_copies(ctx: Context, config: ModelConfig, setting: Setting) -> int:
    """Layers' caches to take turns with: as many as the model has, unless fewer overflow the cache."""
    return min(config.layers, copies_beyond_cache(_kv_bytes(config, setting), ctx.device))


def _reserve(ctx: Context, config: ModelConfig, setting: Setting) -> None:
    rows = setting.batch * setting.tokens
    activations = rows * (6 * config.hidden + 8 * config.intermediate) * BITS[setting.precision] // 8
    kv = _kv_bytes(config, setting) * _kv_copies(ctx, config, setting) if setting.phase == "decode" else 0
    ctx.reserve(
        activations + 2 * kv,
        Text(zh="各部分的激活与 KV", en="the parts' activations and KV"),
        Text(zh="把批大小或上下文调小。", en="Use a smaller batch or a shorter context."),
    )
