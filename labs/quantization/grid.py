"""The uniform grid of a block: scale and zero point from a range, and rounding to it without allocating.

Three forms, ``L`` being the largest code: symmetric ``y = s q``; asymmetric with an integer zero point
``y = s (q - z)``; asymmetric with a float minimum ``y = s q + m``. ``labs.formulas.quantization`` is the twin
for single numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from labs.quantization.config import QuantizerConfig

_HALF = torch.finfo(torch.float16)


def grid(low: Tensor, high: Tensor, config: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """``(scale, zero_point)`` for the range ``[low, high]`` of each block; the zero point is an integer held
    in a float, or the float minimum, or 0 for the symmetric scheme. An all-zero block gets the scale 1."""
    first, last = config.codes
    if config.scheme == "symmetric":
        scale = _stored(_positive(torch.maximum(high, -low) / last), config)
        return scale, torch.zeros_like(scale)
    if config.zero_point == "float":
        minimum = low.half().float() if config.scale_bits == 16 else low
        return _stored(_positive(high / last - low / last), config), minimum
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = _stored(_positive(high / last - low / last), config)
    return scale, (first - low / scale).round_().clamp_(first, last)


def round_to_grid(
    block: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    config: QuantizerConfig,
    *,
    out: Tensor,
    codes: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Quantise and dequantise ``block`` ``[..., length]`` into ``out``; the codes go to ``codes`` if given.

    Seven passes over memory at most, none of which allocates: a whole model must be requantised in a fraction
    of the time of its forward pass.
    """
    first, last = config.codes
    if config.has_float_minimum:
        torch.sub(block, zero_point, out=out)
        out.div_(scale)
    else:
        torch.div(block, scale, out=out)
    _round(out, config, generator)
    shifted = config.scheme == "asymmetric" and not config.has_float_minimum
    if shifted:
        out.add_(zero_point)
    out.clamp_(first, last)
    if codes is not None:
        codes.copy_(out)
    if shifted:
        out.sub_(zero_point)
    out.mul_(scale)
    if config.has_float_minimum:
        out.add_(zero_point)
    return out


def _round(steps: Tensor, config: QuantizerConfig, generator: Generator | None) -> None:
    if config.rounding == "nearest":
        steps.round_()  # ties to even
    elif config.rounding == "truncate":
        steps.trunc_()
    else:
        # floor(x + u) rounds up with the probability of the fraction: right on average, noisier each time.
        noise = torch.rand(steps.shape, generator=generator, dtype=steps.dtype)
        steps.add_(noise.to(steps.device)).floor_()


def _positive(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, 1.0)


def _stored(scale: Tensor, config: QuantizerConfig) -> Tensor:
    """The scale as it is read back from where it is stored; kept off 0 and infinity, where fp16 ends."""
    if config.scale_bits == 32:
        return scale
    return scale.half().float().clamp_(_HALF.smallest_normal * 2**-10, _HALF.max)
