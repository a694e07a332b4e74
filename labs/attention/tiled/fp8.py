"""Attention with Q, K and V in FP8: one scale a tensor, one a block, and with outliers spread beforehand.

FlashAttention-3 (2407.08608, section 3.3): block quantisation, and incoherent processing (Q and K times the
same random orthogonal matrix, which no product of the two can see). Arithmetic is in fp64 here, so that what
differs is the rounding to E4M3 alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from labs.relative_error import relative_error

if TYPE_CHECKING:
    from torch import Tensor

Method = Literal["tensor", "block", "incoherent"]
METHODS: tuple[Method, ...] = ("tensor", "block", "incoherent")
BLOCK = 64  # rows that share a scale
_LARGEST = torch.finfo(torch.float8_e4m3fn).max


def error(q: Tensor, k: Tensor, v: Tensor, method: Method, generator: torch.Generator) -> float:
    """Root mean square error of attention (no mask) over that of its result, of ``[T, D]`` each."""
    exact = _attention(q.double(), k.double(), v.double())
    if method == "incoherent":
        turn = rotation(q.shape[1], generator)
        q, k = q.double() @ turn, k.double() @ turn
    rows = len(q) if method == "tensor" else BLOCK
    found = _attention(*(rounded(one, rows) for one in (q, k, v)))
    return relative_error(found, exact)


def rounded(x: Tensor, rows: int) -> Tensor:
    """Through E4M3 and back, ``rows`` rows at a time with a scale of their own."""
    parts = []
    for start in range(0, len(x), rows):
        part = x[start : start + rows].double()
        scale = part.abs().max().clamp_min(1e-30) / _LARGEST
        parts.append((part / scale).to(torch.float8_e4m3fn).double() * scale)
    return torch.cat(parts)


def rotation(size: int, generator: torch.Generator) -> Tensor:
    """Random signs, then Hadamard matrices of the largest power of two that divides ``size``: orthogonal."""
    block = size & -size
    hadamard = torch.ones(1, 1, dtype=torch.float64)
    while len(hadamard) < block:
        hadamard = torch.cat((torch.cat((hadamard, hadamard), 1), torch.cat((hadamard, -hadamard), 1)))
    signs = torch.randint(0, 2, (size,), generator=generator).double() * 2 - 1
    whole: Tensor = torch.kron(torch.eye(size // block, dtype=torch.float64), hadamard * block**-0.5)
    return signs[:, None] * whole


def with_outliers(rows: int, dim: int, generator: torch.Generator) -> Tensor:
    """The paper's test (section 4.3): N(0, 1), and in one entry of a thousand N(0, 100) added."""
    plain = torch.randn(rows, dim, generator=generator)
    rare = torch.rand(rows, dim, generator=generator) < 1e-3
    return plain + 10 * torch.randn(rows, dim, generator=generator) * rare


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mixed: Tensor = (q @ k.T * q.shape[1] ** -0.5).softmax(dim=-1) @ v
    return mixed
