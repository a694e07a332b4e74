"""Strassen's recursion over torch's product, with the FLOPs it does counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Count:
    """FLOPs of products and of sums, and the products at the leaves."""

    products: int = 0
    sums: int = 0
    leaves: int = 0

    @property
    def flops(self) -> int:
        return self.products + self.sums


def strassen(a: Tensor, b: Tensor, levels: int, count: Count | None = None) -> Tensor:
    """``a @ b`` of square matrices by ``levels`` of the recursion, torch's product below.

    ValueError for a size that cannot be halved so often. Strassen, Numerische Mathematik 13 (1969).
    """
    n = len(a)
    if a.shape != (n, n) or b.shape != (n, n) or n % 2**levels:
        raise ValueError(f"{tuple(a.shape)} @ {tuple(b.shape)}: expected squares divisible by {2**levels}")
    return _product(a, b, levels, count or Count())


def _product(a: Tensor, b: Tensor, levels: int, count: Count) -> Tensor:
    n = len(a)
    if levels == 0:
        count.products += 2 * n**3
        count.leaves += 1
        return a @ b
    half = n // 2
    (a11, a12), (a21, a22) = _quarters(a, half)
    (b11, b12), (b21, b22) = _quarters(b, half)
    count.sums += 18 * half * half

    def times(left: Tensor, right: Tensor) -> Tensor:
        return _product(left, right, levels - 1, count)

    m1 = times(a11 + a22, b11 + b22)
    m2 = times(a21 + a22, b11)
    m3 = times(a11, b12 - b22)
    m4 = times(a22, b21 - b11)
    m5 = times(a11 + a12, b22)
    m6 = times(a21 - a11, b11 + b12)
    m7 = times(a12 - a22, b21 + b22)
    out = torch.empty_like(a)
    (c11, c12), (c21, c22) = _quarters(out, half)
    torch.add(m1, m4, out=c11).sub_(m5).add_(m7)
    torch.add(m3, m5, out=c12)
    torch.add(m2, m4, out=c21)
    torch.sub(m1, m2, out=c22).add_(m3).add_(m6)
    return out


def _quarters(x: Tensor, half: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (x[:half, :half], x[:half, half:]), (x[half:, :half], x[half:, half:])
