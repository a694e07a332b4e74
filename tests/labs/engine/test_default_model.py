"""The default model through the runner: exact in fp32, and INT4 is the file's own grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.engine.fast_path import fast_path
from labs.engine.model_runner import ModelRunner
from labs.engine.native_matrix import stored_weight
from labs.engine.work import Work
from labs.models.llama import iter_linears
from labs.models.loading import load_model

if TYPE_CHECKING:
    from labs.engine.precision import Weights
    from labs.models.loading import LoadedModel

pytestmark = pytest.mark.model

TEXT = "A cache keeps what is asked for often. Paging lets many sequences share it without gaps; 17 blocks."


@pytest.fixture(scope="module")
def smollm() -> LoadedModel:
    return load_model()


@torch.inference_mode()
def test_fp32_logits_in_chunks_and_beside_another_sequence(smollm: LoadedModel) -> None:
    ids = smollm.tokenizer.encode(TEXT)
    right = smollm.model(torch.tensor([ids]))[0]
    runner = ModelRunner(smollm.model, blocks=16, block_size=5)
    runner.kv.data.fill_(torch.nan)
    table, other = [9, 2, 11, 4, 7], [0, 1, 3, 5, 6]
    runner.step([Work(ids[:7], 0, table, False)])
    runner.step([Work(ids[7:9], 7, table, False), Work(ids[:9], 0, other, False)])
    for i in range(9, len(ids)):
        rows = runner.step([Work([ids[i]], i, table, True), Work([ids[i]], i, other, True)])
        for row in rows:
            assert (row - right[i]).abs().max() < 1e-3
            assert row.argmax() == right[i].argmax()


def test_int4_loses_nothing_of_the_file(smollm: LoadedModel) -> None:
    """Q4_1: codes, FP16 steps and minima are found again from the dequantised weights, bit by bit."""
    for _, _, linear in iter_linears(smollm.model):
        assert torch.equal(stored_weight(linear.weight, "int4"), linear.weight)


# Stated for the reader: what rounding weights or activations changes in the logits of real text.
@pytest.mark.parametrize(("weights", "most"), [("bf16", 0.03), ("int8", 0.05), ("int4", 0.10)])
@torch.inference_mode()
def test_smaller_weights_stay_near(smollm: LoadedModel, weights: Weights, most: float) -> None:
    if fast_path(weights).path is None:
        pytest.skip(str(fast_path(weights).text))
    ids = smollm.tokenizer.encode(TEXT)
    right = smollm.model(torch.tensor([ids]))[0, -1]
    runner = ModelRunner(smollm.model, blocks=2, block_size=32, weights=weights)
    row = runner.step([Work(ids, 0, [1, 0], True)])[0]
    difference = (row - right).norm() / right.norm()
    assert 0 < difference < most
