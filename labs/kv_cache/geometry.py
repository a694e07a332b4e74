"""The sizes of one token: bytes of its KV in the model at hand, and FLOPs with the cache and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.kv_cache import bytes_per_token
from labs.formulas.memory import decoder_linear_parameters, gemm_flops
from labs.formulas.prefill import prefill_flops, token_flops_ratio

if TYPE_CHECKING:
    from labs.engine.precision import KVType
    from labs.models.config import ModelConfig

_BYTES: dict[KVType, float] = {"fp32": 4, "bf16": 2, "int8": 1}
_SCALE_BYTES = 4  # INT8 stores an fp32 scale for each token and head


def bytes_per_element(config: ModelConfig, kind: KVType) -> float:
    """Of one number of K or V, its share of the scale included."""
    return _BYTES[kind] + (_SCALE_BYTES / config.head_dim if kind == "int8" else 0)


def token_bytes(config: ModelConfig, kind: KVType) -> float:
    return bytes_per_token(
        layers=config.layers,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        bytes_per_element=bytes_per_element(config, kind),
    )


def flops_ratio(config: ModelConfig, tokens: int) -> float:
    """How many times more FLOPs a token costs without a cache, ``tokens - 1`` others before it."""
    return token_flops_ratio(tokens, *_flops(config))


def recomputed_flops(config: ModelConfig, tokens: int) -> float:
    """FLOPs of the whole text, which a token costs without a cache."""
    linear, pair, head = _flops(config)
    return prefill_flops(tokens, linear, pair) + head


def _flops(config: ModelConfig) -> tuple[float, float, float]:
    """Of the linear layers a token, of attention a pair of tokens, of the output head a token."""
    kv_width = config.kv_heads * config.head_dim
    linear = decoder_linear_parameters(config.layers, config.hidden, kv_width, config.intermediate)
    pair = 4 * config.layers * config.heads * config.head_dim
    return 2 * linear, pair, gemm_flops(1, config.vocab, config.hidden)
