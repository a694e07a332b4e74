"""Streaming and tracing on a small model: results stay the same, and bytes are the predicted ones."""

from __future__ import annotations

import pytest
import torch

from labs.engine.weights import torch_weights
from labs.formulas.liveness import peak_bytes
from labs.memory.activation_views import arena_view, traced
from labs.memory.block_variants import BlockInput, block_input, in_place, kept_for_backward, out_of_place
from labs.memory.engine_ledger import engine_weight_bytes, shape_of
from labs.memory.live_storage import reachable_bytes, watch
from labs.memory.offload_views import break_even
from labs.memory.streaming import BlockFile, compute_curve, stream
from tests.labs.engine.small_models import small_model

TOKENS = 24


def given_block() -> BlockInput:
    return block_input(small_model(), torch.arange(1, TOKENS + 1)[None], 1)


def test_streamed_layers_compute_what_resident_ones_do() -> None:
    model = small_model()
    file = BlockFile(model, 2)
    given = block_input(model, torch.arange(1, TOKENS + 1)[None], 0)
    resident, serial, prefetched = stream(file, given.x, given.cos, given.sin, lambda: None)
    assert torch.equal(resident.output, serial.output)
    assert torch.equal(resident.output, prefetched.output)
    assert len(serial.loads) == len(prefetched.loads) == 2
    # A layer is computed only when it has been loaded, in both passes.
    for one in (serial, prefetched):
        assert all(load[1] <= compute[0] for load, compute in zip(one.loads, one.computes, strict=True))


@torch.inference_mode()
def test_in_place_gives_the_same_and_needs_less() -> None:
    given = given_block()
    before = given.x.clone()
    plain, output = watch(lambda: out_of_place(given))
    saving, same = watch(lambda: in_place(given))
    assert isinstance(output, torch.Tensor) and isinstance(same, torch.Tensor)
    torch.testing.assert_close(output, same)
    assert torch.equal(given.x, before)
    assert saving.peak_bytes < plain.peak_bytes < plain.allocated_bytes


@torch.inference_mode()
def test_lifetimes_of_a_trace_have_its_peak_and_the_arena_holds_no_two_at_once() -> None:
    given = given_block()
    record, _ = watch(lambda: out_of_place(given))
    found = traced(record)
    assert peak_bytes(found.lifetimes) == record.peak_bytes
    arena = arena_view(found)
    held: dict[int, int] = {}
    changes = arena.changes
    for event, block, owner in zip(changes.event, changes.block, changes.owner, strict=True):
        if owner >= 0:
            assert held.get(int(block), -1) < 0, f"two tensors at event {event}"
        held[int(block)] = int(owner)


def test_training_keeps_more_than_inference_and_checkpointing_only_the_input() -> None:
    given = given_block()
    kept, checkpointed = kept_for_backward(given), kept_for_backward(given, checkpointing=True)
    assert checkpointed == given.x.nbytes
    assert kept > 4 * checkpointed


def test_weights_of_the_engine_are_predicted_to_the_byte() -> None:
    model = small_model()
    packed = torch_weights(model, "fp32", "cpu")
    assert reachable_bytes(packed) == engine_weight_bytes(shape_of(model.config, "small"), "fp32")


def test_break_even_lies_where_the_measured_curve_crosses_the_load() -> None:
    curve = [(1, 2.0), (4, 2.0), (16, 8.0), (64, 32.0)]
    assert break_even(curve, 8.0) == pytest.approx(16)
    assert break_even(curve, 4.0) == pytest.approx(8)  # half way on log axes
    assert break_even(curve, 1.0) == 1  # one token computes longer than a load takes
    assert break_even(curve, 100.0) is None


def test_the_curve_has_powers_of_four_and_changes_nothing() -> None:
    model = small_model()
    given = block_input(model, torch.arange(1, TOKENS + 1)[None], 0)
    before = given.x.clone()
    curve = compute_curve(BlockFile(model, 2), given.x, given.cos, given.sin, lambda: None)
    assert [tokens for tokens, _ in curve] == [1, 4, 16]
    assert all(seconds > 0 for _, seconds in curve)
    assert torch.equal(given.x, before)
