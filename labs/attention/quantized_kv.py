"""Keys and values in few bits: which numbers share a scale, and which tokens are still in full precision.

KIVI (Liu et al., 2402.02750, algorithm 1): asymmetric, groups of 32; keys per channel, a group being 32
tokens of one channel; values per token, a group being 32 channels of one token. The latest tokens stay as
they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from labs.attention.model_pass import causal, mix, scores_of
from labs.attention.prompt import joined
from labs.quantization.config import QuantizerConfig
from labs.quantization.quantizer import round_matrix

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.model_pass import Attend
    from labs.attention.prompt import Prompt

Along = Literal["channel", "token"]

GROUP = 32


@dataclass(frozen=True)
class KVFormat:
    """``keys`` and ``values`` say along what a group of ``GROUP`` numbers runs: ``channel`` groups tokens of
    one channel, ``token`` channels of one token. ``residual``: latest tokens in full precision."""

    bits: int
    keys: Along
    values: Along
    residual: int = 32

    @property
    def name(self) -> str:
        if self.bits == 16:
            return "FP16"
        return f"INT{self.bits} K/{self.keys} V/{self.values}"


FULL = KVFormat(16, "channel", "token")  # nothing quantised
LAYOUTS: tuple[tuple[Along, Along], ...] = (
    ("channel", "token"),
    ("token", "token"),
    ("channel", "channel"),
    ("token", "channel"),
)


def quantized(x: Tensor, bits: int, along: Along) -> Tensor:
    """``x [..., T, D]`` as it is read back, a scale and a minimum in FP16 for each group.

    ValueError for NaN or infinity.
    """
    config = QuantizerConfig(bits, "asymmetric", "group", GROUP, "float")
    if along == "channel":
        return quantized(x.transpose(-1, -2), bits, "token").transpose(-1, -2)
    rows = x.contiguous().view(-1, x.shape[-1])
    return round_matrix(rows, config, torch.empty_like(rows)).view(x.shape)


def quantized_attention(prompt: Prompt, kv: KVFormat) -> Attend:
    """An ``Attend`` behind ``prompt`` that reads old tokens from their few bits and late ones in full.

    With keys per channel a group is sealed when its ``GROUP`` tokens are all older than the residual ones;
    per token, each token as soon as it is. What a query reads is what it would read token by token.
    """

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = joined(prompt, layer, k, v)
        if kv.bits == 16:
            weights = _softmax(scores_of(q, keys), keys.shape[2])
            return mix(weights, values)
        new, seen = k.shape[2], keys.shape[2]
        old_keys = _sealed(new, seen, kv.residual, kv.keys).to(q.device)
        old_values = _sealed(new, seen, kv.residual, kv.values).to(q.device)
        scores = torch.where(old_keys, scores_of(q, quantized(keys, kv.bits, kv.keys)), scores_of(q, keys))
        weights = _softmax(scores, seen)
        return mix(weights * old_values, quantized(values, kv.bits, kv.values)) + mix(
            weights * ~old_values, values
        )

    return attend


def _sealed(new: int, seen: int, residual: int, along: Along) -> Tensor:
    """``[C, S]``: whether each query finds a position quantised."""
    tokens = torch.arange(seen - new, seen)[:, None] + 1  # in the cache when the query attends
    ends = (tokens - residual).clamp(min=0)
    if along == "channel":
        ends = ends // GROUP * GROUP
    return torch.arange(seen) < ends


def _softmax(scores: Tensor, seen: int) -> Tensor:
    mask = causal(scores.shape[-2], seen - scores.shape[-2], scores.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
