"""Chains of elementwise and row-wise steps, as an eager framework would run them: one kernel a step.

Shapes: a ``matrix`` is ``[rows, columns]``, a ``row`` one fp32 number a row ``[rows, 1]``, a ``column`` one
number a column ``[columns]``. A step says what it reads and the one tensor it makes, twice: as an expression
of Triton and as a call of torch. Steps are in the order they run, so any cut between two of them is legal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

from labs.formulas.fusion import Dataflow, Op
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

Shape = Literal["matrix", "row", "column"]
ChainName = Literal["residual_norm", "gated", "softmax", "bias_gelu", "rope"]
EPSILON = 1e-5
ROW_BYTES = 4  # what is kept of a row stays in fp32


@dataclass(frozen=True)
class Step:
    """``line`` computes ``writes`` from ``reads`` (fp32, lanes beyond ``columns`` undefined unless masked by
    ``inside``); ``eager`` does the same with torch, given ``reads`` by place."""

    title: Text
    reads: tuple[str, ...]
    writes: str
    line: str
    eager: Callable[..., Tensor]
    reduces: bool = False


@dataclass(frozen=True)
class Chain:
    """``shapes`` of all tensors; those that no step writes are the inputs. ``fused`` is torch's own way with
    as few calls as it has, given the inputs by name: the reference, and what is timed on a CPU."""

    title: Text
    shapes: Mapping[str, Shape]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    fused: Callable[..., tuple[Tensor, ...]]
    call: str  # ``fused``, as one would write it

    @property
    def inputs(self) -> tuple[str, ...]:
        made = {step.writes for step in self.steps}
        return tuple(name for name in self.shapes if name not in made)

    def eager(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Every step a call of torch, every intermediate a tensor."""
        held = dict(tensors)
        for step in self.steps:
            held[step.writes] = step.eager(*(held[name] for name in step.reads))
        return tuple(held[name] for name in self.outputs)

    def flow(self, rows: int, columns: int, element_bytes: int) -> Dataflow:
        """The chain for ``labs.formulas.fusion``: operators, bytes of each tensor, what must exist."""
        size = {
            "matrix": rows * columns * element_bytes,
            "row": rows * ROW_BYTES,
            "column": columns * element_bytes,
        }
        ops = tuple(
            Op(step.writes, "reduction" if step.reduces else "elementwise", step.reads, (step.writes,))
            for step in self.steps
        )
        sizes = {name: size[shape] for name, shape in self.shapes.items()}
        return Dataflow(ops, sizes, frozenset(self.outputs))


def groups(steps: int, joins: tuple[bool, ...]) -> list[list[int]]:
    """Kernels as places of their steps: ``joins[i]`` puts step ``i + 1`` into the kernel of step ``i``."""
    found = [[0]]
    for place in range(1, steps):
        if joins[place - 1]:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def named(chain: Chain, kernels: list[list[int]]) -> list[list[str]]:
    """The same by the steps' names, which are those of what they make."""
    return [[chain.steps[place].writes for place in kernel] for kernel in kernels]


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
}
