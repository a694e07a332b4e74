"""QKV's product and what follows it, RoPE and the layout by head: a chain that begins with a matrix product.

Shapes: C ``columns``, H query and K KV heads of D numbers. ``x [rows, C]``, ``weight [C, (H + 2 K) D]``; the
product's columns are ``qk [rows, (H + K) D]``, which are ``turned``, and ``v [rows, K D]``; at the end all
``heads [H + 2 K, rows, D]``, a head's tokens behind each other, as attention reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from labs.formulas.memory import gemm_flops
from labs.fusion.chains.elementwise_chains import Chain, Step
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.ops.operator import Tensors

_WIDE = 4096  # from here on heads have 128 numbers, as in Llama-3-8B; below 64, as in SmolLM2


class Heads(NamedTuple):
    """Of a model as wide as ``columns``: SmolLM2's three KV heads for 576, else a KV head for four."""

    queries: int
    kv: int
    size: int

    @classmethod
    def of(cls, columns: int) -> Heads:
        size = 128 if columns >= _WIDE else 64
        queries = columns // size
        return cls(queries, queries // (4 if queries % 4 == 0 else 3), size)

    @property
    def turned(self) -> int:
        return self.queries + self.kv

    @property
    def all(self) -> int:
        return self.queries + 2 * self.kv


@dataclass(frozen=True)
class ProductChain(Chain):
    """``shapes`` are only names here."""

    @property
    def in_fp32(self) -> frozenset[str]:
        return frozenset(("cosine", "sine"))

    def size(self, name: str, rows: int, columns: int) -> tuple[int, ...]:
        heads = Heads.of(columns)
        return {
            "x": (rows, columns),
            "weight": (columns, heads.all * heads.size),
            **dict.fromkeys(("cosine", "sine"), (rows, heads.size // 2)),
            "qk": (rows, heads.turned * heads.size),
            "turned": (rows, heads.turned, heads.size),
            "v": (rows, heads.kv * heads.size),
            "heads": (heads.all, rows, heads.size),
        }[name]

    def given(self, make: Tensors, rows: int, columns: int) -> dict[str, Tensor]:
        from labs.ops.rope import angles

        cosine, sine = angles(rows, Heads.of(columns).size)
        return {
            "x": make.normal(rows, columns),
            "weight": make.normal(*self.size("weight", rows, columns), scale=columns**-0.5),
            "cosine": make.placed(cosine),
            "sine": make.placed(sine),
        }

    def matrix_flops(self, kernel: list[int], rows: int, columns: int) -> int:
        width = self.size("weight", rows, columns)[1]
        return int(gemm_flops(rows, width, columns)) if 0 in kernel else 0


def _product(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    heads = Heads.of(x.shape[1])
    return torch.split(x @ weight, [heads.turned * heads.size, heads.kv * heads.size], dim=1)


def _by_head(columns: Tensor, size: int) -> Tensor:
    return columns.view(len(columns), -1, size)


def _turn(qk: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    turned = torch.empty(len(qk), qk.shape[1] // (2 * cosine.shape[1]), 2 * cosine.shape[1], device=qk.device)
    _rotate(_by_head(qk, turned.shape[2]), turned, cosine[:, None], sine[:, None])
    return turned


def _rotate(x: Tensor, out: Tensor, cosine: Tensor, sine: Tensor) -> None:
    """Each half written once, its second product added in place."""
    (first, second), (left, right) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(first, cosine, out=left).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=right).addcmul_(first, sine)


def _place(turned: Tensor, v: Tensor) -> Tensor:
    return torch.cat([turned, _by_head(v, turned.shape[2])], dim=1).transpose(0, 1).contiguous()


def _fused(x: Tensor, weight: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, ...]:
    """Turned straight into its place: the product, four calls of the rotation, a copy of V."""
    heads = Heads.of(x.shape[1])
    joined = _by_head(x @ weight, heads.size).transpose(0, 1)
    out = torch.empty_like(joined, memory_format=torch.contiguous_format)
    _rotate(joined[: heads.turned], out[: heads.turned], cosine, sine)
    out[heads.turned :] = joined[heads.turned :]
    return (out,)


QKV_ROPE = ProductChain(
    title=Text(zh="QKV 投影 + RoPE + 按头存放", en="QKV product + RoPE + layout by head"),
    shapes=dict.fromkeys(("x", "weight", "cosine", "sine", "qk", "v", "turned", "heads"), "product"),
    steps=(
        Step(Text(zh="QKV 矩阵乘", en="QKV product"), ("x", "weight"), "qk", "", _product, also=("v",)),
        Step(Text(zh="转动 Q、K", en="turn Q and K"), ("qk", "cosine", "sine"), "turned", "", _turn),
        Step(Text(zh="按头存放", en="place by head"), ("turned", "v"), "heads", "", _place),
    ),
    outputs=("heads",),
    fused=_fused,
    call="x @ weight; mul + addcmul_",
)
