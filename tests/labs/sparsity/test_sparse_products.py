"""Formats hold the matrix, patterns hold their promise, and every native product is right."""

from __future__ import annotations

import pytest
import torch

from labs.ops import sparse_24, spmm
from labs.sparsity.native import Kernels, kernels
from labs.sparsity.patterns import mask_of


def weight(n: int, k: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(n + k))


def compiled() -> Kernels:
    found = kernels()
    if not isinstance(found, Kernels):
        pytest.skip(found.en)
    return found


def test_what_is_compressed_can_be_had_back() -> None:
    dense = weight(48, 64)
    halved = dense * mask_of(dense.abs(), "two_four", 0.5)
    halved[3, :8] = 0  # empty groups
    halved[5, 4:7] = 0  # a group with one value, or none
    assert torch.equal(sparse_24.unfolded(*sparse_24.compress(halved)), halved)
    for block, pattern in ((1, "unstructured"), (16, "block")):
        pruned = dense * mask_of(dense.abs(), pattern, 0.75)  # type: ignore[arg-type]
        assert torch.equal(spmm.expanded(*spmm.compress(pruned, block), 64), pruned)


def test_what_does_not_fit_a_format_is_refused() -> None:
    dense = weight(16, 24)
    with pytest.raises(ValueError, match="not 2:4"):
        sparse_24.compress(dense)
    with pytest.raises(ValueError, match="multiple of 8"):
        sparse_24.compress(dense[:, :12])
    with pytest.raises(ValueError, match="whole blocks of 16"):
        spmm.compress(dense, 16)


def test_patterns_keep_the_largest() -> None:
    scores = weight(32, 64).abs()
    pairs = mask_of(scores, "two_four", 0.9).view(32, 16, 4)
    assert (pairs.sum(dim=2) == 2).all()
    kept, dropped = scores.view(32, 16, 4).where(pairs, torch.inf), scores.view(32, 16, 4).where(~pairs, 0)
    assert (kept.amin(dim=2) >= dropped.amax(dim=2)).all()
    assert (mask_of(scores, "unstructured", 0.75).sum(dim=1) == 16).all()
    blocks = mask_of(scores, "block", 0.75).view(2, 16, 4, 16).sum(dim=(1, 3))
    assert sorted(set(blocks.flatten().tolist())) == [0, 256] and int(blocks.sum()) == 2 * 256


@pytest.mark.parametrize("m", [1, 8, 40])
def test_native_products_are_right_and_write_nothing_else(m: int) -> None:
    dense, x = weight(48, 104), weight(104, m)
    guarded = torch.full((50, m), torch.nan)
    out = guarded[1:-1]

    def check(expected: torch.Tensor) -> None:
        assert torch.allclose(out, expected, atol=1e-4)
        assert guarded[0].isnan().all() and guarded[-1].isnan().all()
        out.fill_(torch.nan)

    pruned = dense * mask_of(dense.abs(), "unstructured", 0.6)
    pruned[7] = 0
    values, columns, starts = spmm.compress(pruned)
    for kind in (torch.int32, torch.uint16):
        compiled().csr(values.flatten(), columns.to(kind), starts, x, out)
        check(pruned @ x)
    blocked = dense * mask_of(dense.abs(), "block", 0.6, block=8)
    compiled().bsr(*spmm.compress(blocked, 8), x, out)
    check(blocked @ x)


def test_only_active_channels_are_read() -> None:
    rows, x, out = weight(104, 48), weight(3, 104), torch.empty(3, 48)
    active = torch.tensor([0, 5, 103], dtype=torch.int32)
    rows[1] = torch.nan  # not active: must not be touched
    compiled().active_rows(rows, active, x, out)
    assert torch.allclose(out, x[:, active.long()] @ rows[active.long()], atol=1e-4)
