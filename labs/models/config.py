"""The shape of a model: everything that can be known of it without reading a weight.

Tensors carry the names that safetensors folders of the Llama family use, without their ``model.`` prefix:
``layers.0.self_attn.q_proj.weight``. The module in ``labs.models.llama`` uses the same names.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

Architecture = Literal["llama", "qwen2", "qwen3"]

# Several times the deepest and the widest published model; a damaged file can claim any number.
_MOST_LAYERS = 1000
_WIDEST_HEAD = 65536

ATTENTION_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_LINEARS = ("gate_proj", "up_proj", "down_proj")
LINEARS = ATTENTION_LINEARS + MLP_LINEARS


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``rope_factors`` divide the rotary frequencies one by one (``head_dim / 2`` of them, or none at all).

    ``context`` is the longest sequence, in tokens, that the checkpoint declares. ValueError on an impossible
    shape.
    """

    architecture: Architecture
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    rms_norm_eps: float
    rope_theta: float
    rope_factors: tuple[float, ...] = ()
    tied_embeddings: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sizes = ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab", "context")
        for name in (*sizes, "rms_norm_eps", "rope_theta"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}, expected a positive number")
        for name, most in (("layers", _MOST_LAYERS), ("head_dim", _WIDEST_HEAD)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} = {getattr(self, name)}, expected at most {most}")
        if self.rope_theta < 1:
            raise ValueError(f"rope_theta = {self.rope_theta}, expected at least 1")
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} KV heads evenly")
        if self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim}, expected an even number (rotary pairs)")
        if self.rope_factors and len(self.rope_factors) != self.head_dim // 2:
            raise ValueError(f"{len(self.rope_factors)} rotary factors, expected {self.head_dim // 2}")
        if not all(0 < factor < math.inf for factor in self.rope_factors):
            raise ValueError("rotary factors that are not all positive numbers")

    @property
    def inverse_frequencies(self) -> tuple[float, ...]:
        """Radians a position of each rotary pair: ``theta^(-2i/D) / factor_i``, ``head_dim / 2`` of them."""
        factors = self.rope_factors or (1.0,) * (self.head_dim // 2)
        return tuple(self.rope_theta ** (-2 * i / self.head_dim) / factor for i, factor in enumerate(factors))

    @property
    def parameters(self) -> int:
        """Weights in all; a tied embedding counts once."""
        total = 0
        for shape in tensor_shapes(self).values():
            total += shape[0] * (shape[1] if len(shape) == 2 else 1)
        return total


def linear_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """``{module_name: (out_features, in_features)}`` of a block's seven linear layers, in forward order."""
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    return {
        "q_proj": (q, config.hidden),
        "k_proj": (kv, config.hidden),
        "v_proj": (kv, config.hidden),
        "o_proj": (config.hidden, q),
        "gate_proj": (config.intermediate, config.hidden),
        "up_proj": (config.intermediate, config.hidden),
        "down_proj": (config.hidden, config.intermediate),
    }


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a checkpoint of this config must hold, and no other."""
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (config.vocab, config.hidden)}
    for layer in range(config.layers):
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in _block_shapes(config).items()}
    shapes["norm.weight"] = (config.hidden,)
    if not config.tied_embeddings:
        shapes["lm_head.weight"] = (config.vocab, config.hidden)
    return shapes


def _block_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (config.hidden,),
        "post_attention_layernorm.weight": (config.hidden,),
    }
    for name, shape in linear_shapes(config).items():
        parent = "self_attn" if name in ATTENTION_LINEARS else "mlp"
        shapes[f"{parent}.{name}.weight"] = shape
        if config.qkv_bias and name in ("q_proj", "k_proj", "v_proj"):
            shapes[f"{parent}.{name}.bias"] = shape[:1]
    if config.qk_norm:
        shapes["self_attn.q_norm.weight"] = shapes["self_attn.k_norm.weight"] = (config.head_dim,)
    return shapes
