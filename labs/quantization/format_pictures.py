"""Behind the pictures of the format lab: which values exist, how far apart, and the errors they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from labs.formulas.number_formats import spacing
from labs.formulas.quantization import uniform_sqnr_db
from labs.quantization.casting import cast, cast_matrix
from labs.quantization.fidelity import float_sqnr_db, sqnr_db, zeroed_share
from labs.quantization.formats import BLOCK, FORMATS

if TYPE_CHECKING:
    from torch import Tensor

    from labs.quantization.formats import NumberFormat
    from labs.results import Array

# From below FP32's smallest subnormal to above its largest value.
DECADES = (-46.0, 39.0)


def levels_within(name: str, absmax: float, points: int = 1600) -> Array:
    """Representable values in ``[-absmax, absmax]``; of formats with more than 8 bits, those nearest to
    ``points`` evenly spaced ones, which is all that a screen can tell apart."""
    form = FORMATS[name]
    if form.bits > 8:
        grid = torch.linspace(-absmax, absmax, points, dtype=torch.float64)
        sample = np.unique(cast(grid, name).double().numpy())
        finite: Array = sample[np.isfinite(sample)]  # FP16 ends at 65504, and absmax may lie beyond
        return finite
    values = np.array(form.unit_levels()) * (form.scale(absmax) if form.scaled else 1.0)
    kept: Array = values[np.abs(values) <= absmax * (1 + 1e-9)]
    return kept


def positive_levels(name: str, absmax: float, points: int = 1200) -> Array:
    """All positive values of a format of at most 8 bits; of wider ones a sample, even on a log axis."""
    form = FORMATS[name]
    if form.bits > 8:
        values = cast(torch.logspace(*DECADES, points, dtype=torch.float64), name).double().numpy()
    else:
        values = np.array(form.unit_levels()) * (form.scale(absmax) if form.scaled else 1.0)
    kept: Array = np.unique(values[(values > 0) & np.isfinite(values)])
    return kept


def worst_relative_error(name: str, absmax: float, magnitudes: Array) -> Array:
    """The largest relative rounding error near each magnitude, in percent: half the local gap over it.

    100 where the value may become 0; NaN beyond the largest value.
    """
    form = FORMATS[name]
    if not form.scaled:
        assert form.form is not None
        float_form = form.form
        gaps = np.array([spacing(m, float_form) if m <= float_form.max else math.nan for m in magnitudes])
    else:
        levels = np.array([level for level in form.unit_levels() if level >= 0]) * form.scale(absmax)
        index = np.clip(np.searchsorted(levels, magnitudes, side="right") - 1, 0, len(levels) - 2)
        gaps = np.where(magnitudes <= levels[-1], np.diff(levels)[index], math.nan)
    errors: Array = np.minimum(100 * gaps / 2 / magnitudes, 100.0)
    return errors


@dataclass(frozen=True)
class FormatError:
    """One format on one matrix. ``predicted_db`` None where theory has no closed form."""

    sqnr_db: float
    predicted_db: float | None
    zeroed: float
    largest: float
    bits: float
    relative: Array


def format_error(x: Tensor, name: str, bins: Array) -> FormatError:
    """Cast ``x [rows, columns]``; ``relative`` counts ``|x' - x| / |x|`` of changed values in ``bins``."""
    form = FORMATS[name]
    stored = cast_matrix(x, name)
    error = (stored - x).abs()
    changed = (error > 0) & (x != 0)
    counts, _ = np.histogram((error[changed] / x[changed].abs()).numpy(), bins)
    return FormatError(
        sqnr_db=sqnr_db(x, stored),
        predicted_db=_predicted_db(x, form),
        zeroed=zeroed_share(x, stored),
        largest=float(error.max()),
        bits=form.bits_per_element(*x.shape),
        relative=counts,
    )


def _predicted_db(x: Tensor, form: NumberFormat) -> float | None:
    if form.form is not None:
        return float_sqnr_db(form.form.mantissa_bits) if form.name != "fp32" else None
    if form.name == "nf4":
        return None
    columns = x.shape[1]
    blocks = x if form.sharing == "row" else x[:, : columns - columns % BLOCK].reshape(-1, BLOCK)
    # Noise power adds up in squares over the blocks, so the crest factor of all is the rms of their absmax.
    absmax = blocks.abs().amax(dim=1).double().square().mean().sqrt()
    rms = blocks.double().square().mean().sqrt()
    return uniform_sqnr_db(form.bits, float(absmax / rms), int(2 * form.unit_max)) if rms > 0 else None
