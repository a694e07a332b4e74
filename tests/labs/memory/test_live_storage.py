"""Storages are followed as torch allocates them: views, in-place writes and results are told apart."""

from __future__ import annotations

import torch

from labs.memory.live_storage import allocator_peak, reachable_bytes, watch


def chain() -> torch.Tensor:
    a = torch.ones(1000)  # 4,000 bytes
    b = a.neg()
    del a
    c = b.abs()
    del b
    return c.view(10, 100)


def test_peak_and_sum_of_a_chain() -> None:
    record, result = watch(chain)
    assert record.allocated_bytes == 12_000
    assert record.peak_bytes == 8_000
    assert record.live_bytes == 4_000
    assert [one.death is None for one in record.storages] == [False, False, True]
    assert isinstance(result, torch.Tensor)
    assert allocator_peak(chain) == 8_000


def test_in_place_operations_and_views_allocate_nothing() -> None:
    x = torch.ones(1000)
    record, _ = watch(lambda: x.view(10, 100).mul_(2).add_(1).t())
    assert record.storages == [] and len(record.operations) >= 3


def test_a_shared_storage_counts_once() -> None:
    x = torch.ones(1000)
    holder = torch.nn.Linear(10, 10, bias=False)
    assert reachable_bytes([x, x[:10]], {"same": x}) == 4_000
    assert reachable_bytes(holder, (holder.weight,)) == 400
