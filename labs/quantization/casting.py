"""Casting tensors to any of the formats and back to fp32: which value each element becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.quantization.formats import BLOCK, FORMATS, NF4_LEVELS

if TYPE_CHECKING:
    from torch import Tensor

    from labs.formulas.number_formats import FloatFormat
    from labs.quantization.formats import NumberFormat


def cast(x: Tensor, name: str, absmax: Tensor | float | None = None) -> Tensor:
    """The values that format ``name`` stores instead of ``x``, as fp32.

    Formats with a scale map ``[-absmax, absmax]`` (a number, or a tensor that broadcasts against ``x``) to
    their codes, and clip what lies beyond; FP8 too if ``absmax`` is given. The others ignore it. Without
    ``absmax`` the scaled formats take the largest magnitude of ``x``.
    """
    form = FORMATS[name]
    if form.sharing == "none" or (absmax is None and not form.scaled):
        assert form.form is not None
        return round_to_format(x, form.form)
    if absmax is None:
        absmax = x.abs().amax()
    scale = _scale(torch.as_tensor(absmax, dtype=torch.float64, device=x.device), form)
    units = x.double() / scale
    if form.name == "nf4":
        levels = torch.tensor(NF4_LEVELS, dtype=torch.float64, device=x.device)
        units = levels[torch.bucketize(units, (levels[1:] + levels[:-1]) / 2)]
    elif form.form is None:
        units = units.round().clamp(-form.unit_max, form.unit_max)
    else:
        # Clipped to the largest value rather than sent to infinity: a scale exists to prevent that.
        units = round_to_format(units.clamp(-form.unit_max, form.unit_max), form.form).double()
    return (units * scale).float()


def cast_matrix(x: Tensor, name: str) -> Tensor:
    """``x`` ``[rows, columns]`` in the format as it is used in practice: FP8 under one scale, INT8 under one
    scale a row, the 4-bit formats under one scale for every 32 neighbours of a row."""
    form = FORMATS[name]
    if form.sharing == "none":
        return cast(x, name)
    if form.sharing == "tensor":
        return cast(x, name, x.abs().amax())
    if form.sharing == "row":
        return cast(x, name, x.abs().amax(dim=1, keepdim=True))
    rows, columns = x.shape
    # Padding with zeros changes no block's largest magnitude.
    padded = torch.nn.functional.pad(x, (0, -columns % BLOCK)).view(rows, -1, BLOCK)
    result = cast(padded, name, padded.abs().amax(dim=-1, keepdim=True))
    return result.view(rows, -1)[:, :columns].contiguous()


def round_to_format(x: Tensor, form: FloatFormat) -> Tensor:
    """``x`` rounded to the nearest value of a binary floating-point format, ties to even.

    Beyond the largest value: infinity where the format has one, else the largest value (saturation), for
    infinite input too. For float8_e4m3fn torch 2.13 does the same; the OFP8 specification also allows NaN.
    In float64 every step of this is exact for fp32 input. ValueError for NaN where the format has none.
    """
    if form.specials == "none" and bool(torch.isnan(x).any()):
        raise ValueError(f"{form.name} has no NaN")
    wide = x.double()
    exponent = torch.frexp(wide).exponent - 1
    step = torch.ldexp(torch.ones_like(wide), exponent.clamp_(min=1 - form.bias) - form.mantissa_bits)
    rounded = torch.where(wide.isinf(), wide, (wide / step).round_() * step)
    beyond = float("inf") if form.specials == "ieee" else form.max
    return torch.where(
        rounded.abs() > form.max, torch.copysign(torch.full_like(wide, beyond), wide), rounded
    ).float()


def _scale(absmax: Tensor, form: NumberFormat) -> Tensor:
    """``NumberFormat.scale`` for a tensor of magnitudes."""
    if form.power_of_two_scale:
        top = torch.frexp(torch.tensor(form.unit_max, dtype=torch.float64)).exponent
        exponent = (torch.frexp(absmax).exponent - top).clamp(-127, 127)
        scale = torch.ldexp(torch.ones_like(absmax), exponent)
    else:
        scale = absmax / form.unit_max
    return torch.where(absmax > 0, scale, torch.ones_like(absmax))
