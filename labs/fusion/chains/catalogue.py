"""The chains that the kernel fusion lab cuts, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from labs.fusion.chains.elementwise_chains import EPSILON, Chain, ChainName, Step
from labs.fusion.chains.product_chain import QKV_ROPE
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor


def _rms(x: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    total = x + residual
    return total, functional.rms_norm(total, total.shape[1:], weight, EPSILON)


def _rope(first: Tensor, second: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, ...]:
    left = torch.mul(first, cosine).addcmul_(second, sine, value=-1)
    return left, torch.mul(second, cosine).addcmul_(first, sine)


_MASKED_MAX = 'tl.max(tl.where(inside, x, float("-inf")), 0)'
_ADD = Text(zh="相加", en="add")

CHAINS: dict[ChainName, Chain] = {
    "residual_norm": Chain(
        title=Text(zh="残差 + RMSNorm", en="Residual + RMSNorm"),
        shapes={
            **{"x": "matrix", "residual": "matrix", "weight": "column", "total": "matrix"},
            **{"square": "matrix", "factor": "row", "scaled": "matrix", "out": "matrix"},
        },
        steps=(
            Step(Text(zh="加残差", en="add residual"), ("x", "residual"), "total", "x + residual", torch.add),
            Step(Text(zh="平方", en="square"), ("total",), "square", "total * total", torch.square),
            Step(
                Text(zh="均方根的倒数", en="1 / root mean square"),
                ("square",),
                "factor",
                f"1.0 / tl.sqrt(tl.sum(tl.where(inside, square, 0.0), 0) / columns + {EPSILON})",
                lambda square: (square.mean(dim=1, keepdim=True) + EPSILON).rsqrt(),
                reduces=True,
            ),
            Step(Text(zh="归一", en="scale"), ("total", "factor"), "scaled", "total * factor", torch.mul),
            Step(
                Text(zh="乘权重", en="times weight"),
                ("scaled", "weight"),
                "out",
                "scaled * weight",
                torch.mul,
            ),
        ),
        outputs=("total", "out"),
        fused=_rms,
        call="x + residual; F.rms_norm",
    ),
    "gated": Chain(
        title=Text(zh="SwiGLU：SiLU(gate) × up", en="SwiGLU: SiLU(gate) × up"),
        shapes={
            **{"gate": "matrix", "up": "matrix", "sigmoid": "matrix"},
            **{"activated": "matrix", "out": "matrix"},
        },
        steps=(
            Step(
                Text(zh="sigmoid", en="sigmoid"),
                ("gate",),
                "sigmoid",
                "1.0 / (1.0 + tl.exp(0.0 - gate))",
                torch.sigmoid,
            ),
            Step(
                Text(zh="乘 gate", en="times gate"),
                ("gate", "sigmoid"),
                "activated",
                "gate * sigmoid",
                torch.mul,
            ),
            Step(Text(zh="乘 up", en="times up"), ("activated", "up"), "out", "activated * up", torch.mul),
        ),
        outputs=("out",),
        fused=lambda gate, up: (functional.silu(gate) * up,),
        call="F.silu(gate) * up",
    ),
    "softmax": Chain(
        title=Text(zh="Softmax（按行）", en="Softmax (row-wise)"),
        shapes={"x": "matrix", "most": "row", "powers": "matrix", "total": "row", "out": "matrix"},
        steps=(
            Step(
                Text(zh="行最大值", en="row maximum"),
                ("x",),
                "most",
                _MASKED_MAX,
                lambda x: x.amax(dim=1, keepdim=True),
                reduces=True,
            ),
            Step(
                Text(zh="减最大值再 exp", en="exp(x - maximum)"),
                ("x", "most"),
                "powers",
                "tl.exp(x - most)",
                lambda x, most: (x - most).exp_(),
            ),
            Step(
                Text(zh="行和", en="row sum"),
                ("powers",),
                "total",
                "tl.sum(tl.where(inside, powers, 0.0), 0)",
                lambda powers: powers.sum(dim=1, keepdim=True),
                reduces=True,
            ),
            Step(Text(zh="除以和", en="divide"), ("powers", "total"), "out", "powers / total", torch.div),
        ),
        outputs=("out",),
        fused=lambda x: (x.softmax(dim=1),),
        call="torch.softmax",
    ),
    "bias_gelu": Chain(
        title=Text(zh="偏置 + GELU", en="Bias + GELU"),
        shapes={
            **{"x": "matrix", "bias": "column", "shifted": "matrix", "error": "matrix"},
            **{"share": "matrix", "out": "matrix"},
        },
        steps=(
            Step(Text(zh="加偏置", en="add bias"), ("x", "bias"), "shifted", "x + bias", torch.add),
            Step(
                Text(zh="erf(y/√2)", en="erf(y/√2)"),
                ("shifted",),
                "error",
                "tl.erf(shifted * 0.7071067811865476)",
                lambda shifted: torch.mul(shifted, 0.5**0.5).erf_(),
            ),
            Step(
                Text(zh="½(1 + erf)", en="½(1 + erf)"),
                ("error",),
                "share",
                "0.5 * (1.0 + error)",
                lambda error: torch.add(error, 1).mul_(0.5),
            ),
            Step(Text(zh="乘 y", en="times y"), ("shifted", "share"), "out", "shifted * share", torch.mul),
        ),
        outputs=("out",),
        fused=lambda x, bias: (functional.gelu(x + bias),),
        call="F.gelu(x + bias)",
    ),
    "rope": Chain(
        title=Text(zh="RoPE：一对半头的旋转", en="RoPE: halves of heads, turned"),
        shapes={
            **{"first": "matrix", "second": "matrix", "cosine": "matrix", "sine": "matrix"},
            **{"fc": "matrix", "ss": "matrix", "left": "matrix"},
            **{"sc": "matrix", "fs": "matrix", "right": "matrix"},
        },
        steps=(
            Step(Text(zh="a·cos", en="a·cos"), ("first", "cosine"), "fc", "first * cosine", torch.mul),
            Step(Text(zh="b·sin", en="b·sin"), ("second", "sine"), "ss", "second * sine", torch.mul),
            Step(Text(zh="相减", en="subtract"), ("fc", "ss"), "left", "fc - ss", torch.sub),
            Step(Text(zh="b·cos", en="b·cos"), ("second", "cosine"), "sc", "second * cosine", torch.mul),
            Step(Text(zh="a·sin", en="a·sin"), ("first", "sine"), "fs", "first * sine", torch.mul),
            Step(_ADD, ("sc", "fs"), "right", "sc + fs", torch.add),
        ),
        outputs=("left", "right"),
        fused=_rope,
        call="mul + addcmul_",
    ),
    "qkv_rope": QKV_ROPE,
}
