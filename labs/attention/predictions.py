"""What the formulas say before anything runs; without torch, for a form shows it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.kv_cache import bytes_per_token
from labs.formulas.kv_compression import kept_tokens, quantized_kv_bytes
from labs.spec import Prediction
from labs.text import Text

if TYPE_CHECKING:
    from labs.models.config import ModelConfig

LEAST = 8  # tokens that eviction keeps at the least: StreamingLLM's 4 sinks and some others
KEPT_FORMULA = Text(
    zh="预算 × 2 × 层数 × KV 头数 × 头维度 × 2 B",
    en="budget × 2 × layers × KV heads × head dim × 2 B",
)
QUANTISED_FORMULA = Text(
    zh="量化的 token × 数 × (位宽 + 32/组大小)/8 + 最近的 token × 数 × 2 B",
    en="quantised tokens × numbers × (bits + 32/group)/8 + latest tokens × numbers × 2 B",
)


def evicted_bytes(config: ModelConfig, budget: int) -> float:
    """FP16 bytes of a cache cut to ``budget`` tokens."""
    return budget * bytes_per_token(
        layers=config.layers, kv_heads=config.kv_heads, head_dim=config.head_dim, bytes_per_element=2
    )


def evicted(config: ModelConfig, tokens: int, share: float) -> Prediction:
    return Prediction(
        id="kept_bytes",
        title=Text(zh="留下的 KV（每条提示词，FP16）", en="KV kept (a prompt, FP16)"),
        value=evicted_bytes(config, kept_tokens(tokens, share, LEAST)),
        unit="B",
        formula=KEPT_FORMULA,
    )


def quantised(
    config: ModelConfig, tokens: int, bits: int, keys: str, values: str, residual: int
) -> Prediction:
    return Prediction(
        id="kv_bytes",
        title=Text(zh="一条提示词的 KV", en="KV of one prompt"),
        value=quantized_kv_bytes(
            tokens,
            numbers_a_token=2 * config.layers * config.kv_heads * config.head_dim,
            bits=bits,
            residual=residual,
            keys_by_channel=keys == "channel",
            values_by_channel=values == "channel",
        ),
        unit="B",
        formula=QUANTISED_FORMULA,
    )


def faster(heads: int, kv_heads: int) -> Prediction:
    return Prediction(
        id="speedup",
        title=Text(zh="比 MHA 快", en="Faster than MHA"),
        value=heads / kv_heads,
        unit="×",
        formula=Text(
            zh="查询头数 ÷ KV 头数：要读的 KV 之比", en="query heads / KV heads: ratio of KV to read"
        ),
    )
