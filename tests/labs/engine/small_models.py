"""Random models of a few thousand weights, with every feature of the family, and NaN where nobody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.models.config import ModelConfig
from labs.models.llama import Llama

if TYPE_CHECKING:
    from labs.engine.model_runner import ModelRunner

VOCAB, CONTEXT = 97, 160

# What the families differ in; odd sizes, so that no kernel can count on a multiple of its width.
VARIANTS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gqa_3": {"heads": 6, "kv_heads": 2, "head_dim": 10, "hidden": 36, "intermediate": 52},
    "qwen2": {"architecture": "qwen2", "qkv_bias": True, "tied_embeddings": True},
    "qwen3": {"architecture": "qwen3", "qk_norm": True, "head_dim": 16, "kv_heads": 4},
}


def small_model(variant: str = "llama") -> Llama:
    config = ModelConfig(
        **{
            "architecture": "llama",
            "layers": 2,
            "hidden": 32,
            "intermediate": 64,
            "heads": 4,
            "kv_heads": 2,
            "head_dim": 8,
            "vocab": VOCAB,
            "context": CONTEXT,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1e4,
            **VARIANTS[variant],
        }
    )
    model = Llama(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(5)
    for name, weight in model.named_parameters():
        # Biases and norms away from zeros and ones, where leaving one out would go unnoticed.
        weight.normal_(1.0 if "norm" in name else 0.0, 0.3, generator=generator)
    model.tie()
    return model


def poison(runner: ModelRunner) -> None:
    """NaN (the largest code where there is none) in every slot: a read of a slot nobody wrote shows."""
    if runner.kv.scales is None:
        runner.kv.data.fill_(torch.nan)
    else:
        runner.kv.data.fill_(127)
        runner.kv.scales.fill_(torch.nan)
