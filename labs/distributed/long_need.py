"""What a long context needs of a published model on a published device: bytes, devices, FLOPs, seconds.

Lower bounds throughout: weights and KV divided evenly, every peak reached, nothing but attention and linear
layers. ``MEMORY_SHARE`` of a device's memory may be filled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.formulas.prefill import causal_pairs
from labs.formulas.ring_attention import hidden_block_tokens
from labs.simulator.deployment import MEMORY_SHARE
from labs.simulator.model_cost import (
    kv_bytes,
    linear_flops_per_token,
    pair_flops,
    prefill_flops,
    streamed_parameters,
    window_groups,
)
from labs.simulator.model_shape import parameters

if TYPE_CHECKING:
    from labs.simulator.hardware import Device
    from labs.simulator.model_shape import ModelShape

WEIGHT_BYTES = 2  # BF16


@dataclass(frozen=True)
class Need:
    """One sequence of ``tokens`` with ``kv_bits`` a number of KV (scales not counted)."""

    model: ModelShape
    device: Device
    tokens: int
    kv_bits: int

    @property
    def kv(self) -> float:
        return kv_bytes(self.model, self.tokens, self.kv_bits / 8)

    @property
    def weights(self) -> float:
        return float(parameters(self.model)) * WEIGHT_BYTES

    @property
    def devices(self) -> int:
        """The fewest whose memory holds weights and KV."""
        return math.ceil((self.weights + self.kv) / (MEMORY_SHARE * self.device.memory_bytes))

    @property
    def flops(self) -> float:
        """Of the whole prompt."""
        return float(prefill_flops(self.model, self.tokens))

    @property
    def attention_share(self) -> float:
        """Of the prompt's FLOPs, those of attention's pairs."""
        return attention_flops(self.model, self.tokens) / self.flops

    @property
    def prefill_s(self) -> float:
        return self.flops / (self.devices * self.device.peak("bf16"))

    @property
    def decode_s(self) -> float:
        """A token: weights and KV read once, over all devices."""
        read = float(streamed_parameters(self.model, 1)) * WEIGHT_BYTES + self.kv
        return read / (self.devices * self.device.memory_bandwidth)

    @property
    def hidden_tokens(self) -> float | None:
        """Tokens a rank from which on a ring hides its traffic; None where heads share a latent, or the link
        is not known."""
        if self.model.latent is not None or not self.device.knows("link_bandwidth"):
            return None
        return hidden_block_tokens(
            self.device.peak("bf16"),
            self.device.link_bandwidth,
            heads=self.model.heads,
            kv_heads=self.model.kv_heads,
            bytes_per_element=2,
        )


def attention_flops(model: ModelShape, tokens: int) -> float:
    """FLOPs of attention's pairs in a whole prompt, windows taken into account."""
    pairs = sum(layers * causal_pairs(tokens, 0, window) for window, layers in window_groups(model))
    return float(pairs) * pair_flops(model)


def linear_flops(model: ModelShape, tokens: int) -> float:
    return float(tokens) * linear_flops_per_token(model)


def crossover_tokens(model: ModelShape) -> float | None:
    """Prompt length at which attention costs as many FLOPs as the linear layers; None: never, within 2^40.

    ``2 linear / (layers pair)`` where all layers attend to everything; with windows found by bisection.
    """
    low, high = 1, 2**40
    if attention_flops(model, high) < linear_flops(model, high):
        return None
    while low < high:
        middle = (low + high) // 2
        if attention_flops(model, middle) < linear_flops(model, middle):
            low = middle + 1
        else:
            high = middle
    return float(low)
