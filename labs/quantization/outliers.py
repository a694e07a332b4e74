"""Outlying channels of real activations: how large, where, and what each kind of scale makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.models.activations import capture
from labs.quantization.config import QuantizerConfig
from labs.quantization.fidelity import predicted_sqnr_db, sqnr_db, zeroed_share
from labs.quantization.layer_data import calibration_ids
from labs.quantization.quantizer import quantize_dequantize

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context
    from labs.formulas.quantization import Granularity

MOST_TOKENS = 512
GRANULARITIES: tuple[Granularity, ...] = ("tensor", "token", "channel")


def site_activations(ctx: Context, site: str) -> list[Tensor]:
    """``[MOST_TOKENS, channels]`` of every layer at a site, from one pass, memoised.

    A causal model's activations do not depend on later tokens, so a shorter text is a slice of these.
    """
    layers = range(ctx.model_config().layers)

    def make() -> list[Tensor]:
        found = capture(ctx.model().model, calibration_ids(ctx, MOST_TOKENS), [(n, site) for n in layers])
        return [found[n, site][0] for n in layers]

    return ctx.memo(("site activations", site), make)


@dataclass(frozen=True)
class Peak:
    """The largest magnitude of an activation ``[tokens, channels]``, and the median over channels of each
    channel's own largest."""

    value: float
    token: int
    channel: int
    median: float

    @property
    def ratio(self) -> float:
        """How many times the median channel the peak is."""
        return self.value / self.median if self.median > 0 else float("inf")


def find_peak(x: Tensor) -> Peak:
    """Where the largest magnitude of ``x`` is, and how it compares."""
    magnitude = x.abs()
    token, channel = divmod(int(magnitude.argmax()), x.shape[1])
    median = float(magnitude.amax(dim=0).median())
    return Peak(float(magnitude[token, channel]), token, channel, median)


def peaks_by_layer(ctx: Context, site: str, tokens: int, first: int) -> list[Peak]:
    """The peak of every layer over tokens ``first`` to ``tokens``, memoised."""
    return ctx.memo(
        ("peaks", site, tokens, first),
        lambda: [find_peak(x[first:tokens]) for x in site_activations(ctx, site)],
    )


@dataclass(frozen=True)
class Damage:
    """What one granularity does; ``error`` is ``|x - x'|``, ``zeroed`` the share (0 to 1) that became 0."""

    sqnr_db: float
    predicted_db: float
    zeroed: float
    error: Tensor


def damage(x: Tensor, bits: int, granularity: Granularity) -> Damage:
    """Symmetric round-to-nearest of ``x`` ``[tokens, channels]`` with scales from its own maxima."""
    config = QuantizerConfig(bits=bits, granularity=granularity, matrix="activation", scale_bits=32)
    quantized = quantize_dequantize(x, config)
    return Damage(
        sqnr_db=sqnr_db(x, quantized.values),
        predicted_db=predicted_sqnr_db(x, quantized),
        zeroed=zeroed_share(x, quantized.values),
        error=torch.abs(x - quantized.values),
    )
