"""The best low-rank form of a weight: for its numbers, or for what it makes of the inputs it really gets.

Shapes: ``weight [n, k]`` as ``nn.Linear`` has it, ``covariance [k, k]`` the mean of ``x x^T`` over tokens.
For the weights the best rank-r matrix is the truncated SVD (Eckart and Young, 1936). For the outputs ``W x``
it is their projection on the r leading eigenvectors of ``W C W^T``: a PCA of the outputs, which is what
whitening the inputs before an SVD gives too (SVD-LLM, 2403.07378, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Of the mean variance of an input: so that directions that no token had are not lost altogether.
_RIDGE = 1e-3


@dataclass(frozen=True)
class Decomposition:
    """``singular_values [q]`` in descending order; ``basis [n, q]``: orthonormal directions of the output."""

    singular_values: list[float]
    basis: Tensor
    weight: Tensor

    def factors(self, rank: int) -> tuple[Tensor, Tensor]:
        """``(down [rank, k], up [n, rank])``: the weight's best form is ``up @ down``."""
        up = self.basis[:, :rank]
        return up.t() @ self.weight, up.contiguous()

    def approximation(self, rank: int) -> Tensor:
        down, up = self.factors(rank)
        return up @ down


class LowRankLinear(nn.Module):
    """A linear layer as two thin ones."""

    def __init__(self, down: Tensor, up: Tensor) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(down, False), nn.Parameter(up, False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.down.t() @ self.up.t()


def covariance(inputs: Tensor) -> Tensor:
    """Mean of ``x x^T`` over ``inputs [tokens, k]``, with a little added on the diagonal, in double."""
    x = inputs.double()
    found = x.t() @ x / len(x)
    return found + _RIDGE * found.diagonal().mean() * torch.eye(len(found), dtype=found.dtype)


def decompose(weight: Tensor, inputs_covariance: Tensor | None = None) -> Decomposition:
    """For the outputs where the inputs' covariance is given, else for the weight's own numbers.

    By the eigenvectors of the smaller Gram matrix, in double: squaring costs half the digits.
    """
    w = weight.detach().double().cpu()
    n, k = w.shape
    if n <= k:
        gram = w @ w.t() if inputs_covariance is None else w @ inputs_covariance @ w.t()
        values, vectors = torch.linalg.eigh(gram)
        basis = vectors.flip(1)
    else:
        root = w if inputs_covariance is None else w @ torch.linalg.cholesky(inputs_covariance)
        values, vectors = torch.linalg.eigh(root.t() @ root)
        basis = torch.linalg.qr(root @ vectors.flip(1))[0]
    singular = values.flip(0).clamp_min(0).sqrt()
    return Decomposition([float(one) for one in singular], basis.float(), weight.detach().float().cpu())
