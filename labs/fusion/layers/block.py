"""A decoder block that runs operator by operator, as ``labs.formulas.decoder_block`` lists them, or fused.

Each step of fusion is switched by itself. Shapes as in ``labs.fusion.layers.kernels``; one sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

from labs.fusion.layers.int8 import Codes, Projection, quantised, quantised_projection, scaled
from labs.models.llama import Block

if TYPE_CHECKING:
    from torch import Tensor, nn

    from labs.formulas.decoder_block import Step
    from labs.fusion.layers.kernels import FusedKernels
    from labs.models.config import ModelConfig


class Weights(NamedTuple):
    """A block's, with QKV and gate-up side by side; one projection alone is a view of its rows."""

    norms: tuple[Tensor, Tensor]
    qkv: Projection  # [(H + 2 K) D, C]
    o: Tensor
    gate_up: Projection  # [2 F, C]
    down: Tensor

    @property
    def nbytes(self) -> int:
        """Of the products."""
        tensors = (*self.qkv, self.o, *self.gate_up, self.down)
        return sum(one.nbytes for one in tensors if one is not None)


class Inputs(NamedTuple):
    """What enters the block: the residual before the last block's output, that output, angles, the cache.

    ``keys, values [K, S, D]`` hold the tokens before; in a prefill they are as long as the new ones and
    unwritten. ``causal [T, S]`` is 0 or minus infinity, None for a single token.
    """

    residual: Tensor
    delta: Tensor
    cosine: Tensor
    sine: Tensor
    keys: Tensor
    values: Tensor
    causal: Tensor | None


def weights_of(block: nn.Module, *, int8: bool = False) -> Weights:
    """Copies of QKV and gate-up, which were not side by side; the others themselves."""
    assert isinstance(block, Block)
    attention, mlp = block.self_attn, block.mlp
    norms = block.input_layernorm.weight, block.post_attention_layernorm.weight
    qkv = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    make = quantised_projection if int8 else Projection
    joined = make(torch.cat(qkv)), make(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]))
    return Weights(norms, joined[0], attention.o_proj.weight, joined[1], mlp.down_proj.weight)


@dataclass(frozen=True)
class FusibleBlock:
    """``steps`` are fused, the rest runs as one call of torch an operator. The products after a norm are of
    integers where their weights are."""

    config: ModelConfig
    kernels: FusedKernels
    steps: frozenset[Step]

    def __call__(self, w: Weights, x: Inputs) -> tuple[Tensor, Tensor]:
        """The residual ``[T, C]`` after attention, and what the MLP adds to it."""
        total, normed = self._normed(x.residual, x.delta, w.norms[0], w.qkv)
        q, keys, values = self._turn(self._project(normed, w.qkv, "qkv", self._qkv_widths), x)
        attended = self._attend(q, keys, values, x.causal) @ w.o.t()
        total, normed = self._normed(total, attended, w.norms[1], w.gate_up)
        ffn = self.config.intermediate
        inner = self._activate(*self._project(normed, w.gate_up, "gate_up", [ffn, ffn]))
        return total, inner @ w.down.t()

    @property
    def _qkv_widths(self) -> list[int]:
        kv = self.config.kv_heads * self.config.head_dim
        return [self.config.heads * self.config.head_dim, kv, kv]

    def _normed(
        self, residual: Tensor, delta: Tensor, weight: Tensor, reader: Projection
    ) -> tuple[Tensor, Tensor | Codes]:
        """The sum, and its norm as ``reader`` takes it."""
        int8 = reader.scale is not None
        if int8 and "quantise" in self.steps:
            return self.kernels.add_norm_quantise(residual, delta, weight, self.config.rms_norm_eps)
        total, normed = self._add_norm(residual, delta, weight)
        return total, quantised(normed) if int8 else normed

    def _add_norm(self, residual: Tensor, delta: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        epsilon = self.config.rms_norm_eps
        if "norm" in self.steps:
            return self.kernels.add_norm(residual, delta, weight, epsilon)
        total = residual + delta
        mean = total.square().sum(dim=1, keepdim=True) / total.shape[1]
        return total, total * (mean + epsilon).rsqrt() * weight

    def _project(
        self, x: Tensor | Codes, projection: Projection, step: Step, widths: list[int]
    ) -> tuple[Tensor, ...]:
        """Columns of one product, or a product each: the same numbers."""
        if step in self.steps:
            return torch.split(self._product(x, projection), widths, dim=1)
        return tuple(self._product(x, rows) for rows in projection.split(widths))

    def _product(self, x: Tensor | Codes, projection: Projection) -> Tensor:
        if not isinstance(x, Codes):
            return x @ projection.weight.t()
        if "scales" in self.steps:
            return self.kernels.int8_product(x, projection)
        return scaled(self.kernels.int8_sums(x.numbers, projection.weight), x, projection)

    def _turn(self, parts: tuple[Tensor, ...], x: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Turned queries by head, and all keys and values; a decode's new ones are written into the cache."""
        tokens, size = len(parts[0]), self.config.head_dim
        decode = x.causal is None
        q, k, v = (part.view(tokens, -1, size).transpose(0, 1) for part in parts)
        if "rope" in self.steps:
            return self.kernels.rope(parts, (x.cosine, x.sine), x.keys, x.values)
        q, k = _rotated(q, x), _rotated(k, x)
        if not decode:
            return q, k, v
        x.keys[:, -1:].copy_(k)
        x.values[:, -1:].copy_(v)
        return q, x.keys, x.values

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, causal: Tensor | None) -> Tensor:
        """``[T, H D]``. The queries that share a KV head are rows of one product."""
        heads, tokens, size = q.shape
        if "attention" in self.steps:
            mixed = self.kernels.attention(q, keys, values, causal is not None)
        else:
            scores = torch.bmm(q.view(len(keys), -1, size), keys.transpose(1, 2)) * size**-0.5
            if causal is not None:
                scores = (scores.view(heads, tokens, -1) + causal).view(scores.shape)
            mixed = torch.bmm(scores.softmax(dim=-1), values).view(heads, tokens, size)
        return mixed.transpose(0, 1).reshape(tokens, heads * size)

    def _activate(self, gate: Tensor, up: Tensor) -> Tensor:
        if "activation" in self.steps:
            return self.kernels.swiglu(gate, up)
        return F.silu(gate) * up


def _rotated(x: Tensor, angles: Inputs) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    c, s = angles.cosine, angles.sine
    return torch.cat((a * c - b * s, b * c + a * s), dim=-1)
