"""The block as it runs on a GPU: its kernels in the interpreter, and compiled for GPUs that are not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import torch

from labs.formulas.decoder_block import INT8_STEPS, STEPS, block, groups
from labs.formulas.decoder_demand import Decoder
from labs.formulas.fusion import crossing, kernels
from labs.fusion.layers.counted_kernels import compiled_block, count_block
from labs.fusion.layers.counted_views import paired
from labs.fusion.layers.triton_kernels import side_by_side
from labs.inspection.process import HAS_TRITON
from labs.models.config import ModelConfig

if TYPE_CHECKING:
    from labs.formulas.decoder_block import Step
    from labs.inspection.process import KernelProcess

pytestmark = pytest.mark.skipif(not HAS_TRITON, reason="Triton is for Linux only")
SHAPE = Decoder(hidden=96, intermediate=160, heads=3, kv_heads=1, head_dim=32, vocab=1)
CONFIG = msgspec.to_builtins(
    ModelConfig(
        architecture="llama",
        layers=1,
        context=64,
        rms_norm_eps=1e-5,
        rope_theta=1e4,
        **SHAPE._asdict(),
    )
)
# What a GPU's kernel does beyond the graph: V by head in a prefill, read and written; the mask not read.
V_BYTES, MASK_BYTES = 2 * 7 * 32 * 4, 7 * 7 * 4


@pytest.mark.parametrize(
    ("tokens", "steps", "launches"),
    [
        (1, STEPS, 5),
        (7, STEPS, 5),
        (1, INT8_STEPS, 7),
        (7, INT8_STEPS, 7),
        (7, ("qkv", "norm", "scales"), 5),  # gate and up by themselves, and codes of what the norm wrote
    ],
)
def test_its_kernels_are_right_and_move_what_the_graph_says(
    tokens: int, steps: tuple[Step, ...], launches: int, interpreter: KernelProcess
) -> None:
    int8 = "scales" in steps
    flow = block(SHAPE, tokens, 7, int8=int8)
    found = interpreter.ask(
        count_block, config=CONFIG, tokens=tokens, context=7, int8=int8, steps=list(steps)
    )
    assert len(found.kernels) == launches
    assert found.gap < (1e-4 if int8 else 1e-5)
    beyond = {"rope": V_BYTES, "attention": -MASK_BYTES} if tokens > 1 else {}
    for group, kernel in paired(flow, found, steps):
        assert not kernel.outside
        assert kernel.bytes == sum(crossing(flow, group)) + beyond.get(kernel.step, 0), kernel.step


@pytest.mark.parametrize("rows", [1, 3])
@torch.inference_mode()
def test_halves_of_a_matrix_are_read_where_they_lie_and_others_are_copied(rows: int) -> None:
    whole = torch.arange(rows * 8.0).view(rows, 8)
    left, right = whole.split(4, dim=1)
    joined = side_by_side(left, right)
    assert joined.data_ptr() == whole.data_ptr() and torch.equal(joined, whole)
    buffer = torch.arange(2.0 * rows * 4)  # rows of one behind those of the other
    stacked = buffer[: rows * 4].view(rows, 4), buffer[rows * 4 :].view(rows, 4)
    for pair in ((right, left), (left, right.clone()), (left[:, :2], right[:, :2]), stacked):
        joined = side_by_side(*pair)
        assert torch.equal(joined, torch.cat(pair, dim=1))
        assert joined.data_ptr() != pair[0].data_ptr()


def test_it_compiles_for_a_gpu_that_is_not_here(compiler: KernelProcess) -> None:
    """Everything fused, in a decode with INT8 products: no step lacks its kernel. (Each operator is compiled
    for all targets by its own test.)"""
    made = compiler.ask(compiled_block, config=CONFIG, tokens=1, context=16, int8=True, target="sm_90")
    flow = block(SHAPE, 1, 16, int8=True)
    alone = 2  # o and down are the library's
    assert len(made) == len(kernels(flow, groups(flow, frozenset(INT8_STEPS)))) - alone
    for kernel in made:
        assert kernel.fits, f"{kernel.shared_bytes} B of shared memory"
        assert not kernel.spill_bytes, kernel.kernel
