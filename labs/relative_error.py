"""How far a result is from what it should be, as a share of it: the one measure of every check and view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def relative_error(found: Tensor | Iterable[Tensor], expected: Tensor | Iterable[Tensor]) -> float:
    """``|found - expected| / |expected|`` by Euclidean (Frobenius) norms: 0.1 is an SQNR of 20 dB.

    Of several tensors the greatest. 0 where both are all zero, ``inf`` where only what was expected is. NaN
    where any element is, so that a check written ``error <= tolerance`` fails. Shapes must be the same.
    """
    import torch

    if isinstance(expected, torch.Tensor):
        assert isinstance(found, torch.Tensor)
        return _of_one(found, expected)
    errors = [_of_one(*pair) for pair in zip(found, expected, strict=True)]
    return math.nan if any(map(math.isnan, errors)) else max(errors)


def _of_one(found: Tensor, expected: Tensor) -> float:
    import torch

    assert found.shape == expected.shape, (found.shape, expected.shape)
    # Widened before they are subtracted. fp32 stays: only its sums need fp64 (torch's own norm of 16 million
    # numbers in fp32 is off by 7e-4), and a copy in fp64 would cost twice the memory.
    wide = torch.float64 if expected.dtype == torch.float64 else torch.float32
    wanted = expected.to(wide)
    gap, norm = _norm(found.to(wide) - wanted), _norm(wanted)
    if norm == 0:
        return math.inf if gap > 0 else gap
    return gap / norm


def _norm(x: Tensor) -> float:
    import torch

    return float(torch.linalg.vector_norm(x, dtype=torch.float64))
