"""The model's weights as a step reads them: Q, K and V fused to one projection, gate and up to another.

The numbers are those of ``labs.models.llama`` in one of four types. Fewer and larger products: a decode step
of a small model is held back by the overhead of each call, not by arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.models.llama import Block, RMSNorm, linear
from labs.quantization.speed_modes import MODES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from labs.engine.precision import Weights
    from labs.models.llama import Llama
    from labs.quantization.linear import LowPrecisionLinear


@dataclass(frozen=True)
class LayerWeights:
    """``qkv`` gives Q, K, V behind each other; ``gate_up`` gate, then up."""

    attention_norm: Tensor
    qkv: LowPrecisionLinear
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    o: LowPrecisionLinear
    mlp_norm: Tensor
    gate_up: LowPrecisionLinear
    down: LowPrecisionLinear


@dataclass(frozen=True)
class ModelWeights:
    """``activations`` is the type of the residual stream between the products."""

    embedding: Tensor
    layers: list[LayerWeights]
    norm: Tensor
    head: LowPrecisionLinear
    activations: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of weights that one decode step reads at least: every projection and the head."""
        products = [self.head]
        for layer in self.layers:
            products += [layer.qkv, layer.o, layer.gate_up, layer.down]
        return sum(product.weight_bytes for product in products)


def torch_weights(model: Llama, weights: Weights, device: str) -> ModelWeights:
    """Packed for torch's kernels on ``device``; LabError where it has none for this type."""
    mode = MODES[weights]

    def vector(values: Tensor) -> Tensor:
        return values.detach().to(device, mode.activations)

    layers = []
    for index in range(model.config.layers):
        block = model.layers[index]
        assert isinstance(block, Block)
        bias = fused_bias(model, index)
        q_norm, k_norm = norm_weight(block.self_attn.q_norm), norm_weight(block.self_attn.k_norm)
        layers.append(
            LayerWeights(
                attention_norm=vector(block.input_layernorm.weight),
                qkv=mode.build(fused(model, index, "q_proj", "k_proj", "v_proj"), device),
                qkv_bias=None if bias is None else vector(bias),
                q_norm=None if q_norm is None else vector(q_norm),
                k_norm=None if k_norm is None else vector(k_norm),
                o=mode.build(fused(model, index, "o_proj"), device),
                mlp_norm=vector(block.post_attention_layernorm.weight),
                gate_up=mode.build(fused(model, index, "gate_proj", "up_proj"), device),
                down=mode.build(fused(model, index, "down_proj"), device),
            )
        )
    head = mode.build_head(model.lm_head.weight.detach().cpu(), device)
    return ModelWeights(
        vector(model.embed_tokens.weight), layers, vector(model.norm.weight), head, mode.activations
    )


def fused(model: Llama, layer: int, *names: str) -> Tensor:
    """Projections that read the same input, stacked: ``[sum of outputs, inputs]`` on the CPU."""
    parts = [linear(model, layer, name).weight.detach().cpu() for name in names]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def fused_bias(model: Llama, layer: int) -> Tensor | None:
    """The biases of Q, K and V behind each other, if the model has them."""
    parts = [linear(model, layer, name).bias for name in ("q_proj", "k_proj", "v_proj")]
    return torch.cat([part.detach().cpu() for part in parts]) if model.config.qkv_bias else None


def norm_weight(module: nn.Module) -> Tensor | None:
    """The weight of a Q or K norm; None for the identity that stands in its place."""
    return module.weight.detach() if isinstance(module, RMSNorm) else None
