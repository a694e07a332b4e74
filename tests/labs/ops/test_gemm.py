"""What the GEMM operators claim beyond what every operator is held to."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.formulas.gemm import tile_count
from labs.ops.gemm import CONFIGS, HOPPER_CONFIGS, config_for, triton_gemm
from labs.ops.int4_gemm import quantize, unpacked

if TYPE_CHECKING:
    from labs.inspection.compiled import Target

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is for Linux only"
)


@needs_triton
@pytest.mark.parametrize(
    ("config", "target"),
    [(CONFIGS[0], "sm_80"), (CONFIGS[1], "sm_80"), (HOPPER_CONFIGS[0], "sm_90")],
    ids=str,
)
def test_the_largest_tiles_fit_and_spill_nothing(config: object, target: Target) -> None:
    from labs.inspection.compiled import compile_launch
    from labs.inspection.launches import launches_of

    a, b = torch.empty(4096, 4096, dtype=torch.float16), torch.empty(4096, 4096, dtype=torch.float16).t()
    (launch,) = launches_of(functools.partial(triton_gemm, a, b, config))  # type: ignore[arg-type]
    kernel = compile_launch(launch, target)
    assert kernel.fits and not kernel.spill_bytes
    assert kernel.matrix_instructions == ["mma.sync" if target == "sm_80" else "wgmma.mma_async"]


def test_a_sum_is_split_only_where_c_has_few_tiles_and_k_is_long() -> None:
    assert config_for(4096, 4096, 4096, 2).parts == 1
    assert config_for(8, 576, 64, 2).parts == 1
    few = config_for(8, 1024, 8192, 2)
    assert few.parts > 1
    assert few.parts * tile_count(8, 1024, few.tile_m, few.tile_n) <= 96


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 300), st.sampled_from([32, 64, 128]), st.integers(0, 99))
def test_unpacking_is_within_half_a_step_of_the_weight(rows: int, k: int, group: int, seed: int) -> None:
    weight = torch.randn(rows, k, generator=torch.Generator().manual_seed(seed))
    packed, scale, low = quantize(weight, group)
    assert packed.shape == (rows, -(-k // group), group // 2)
    step = scale.repeat_interleave(group, dim=1)[:, :k]
    gap = (unpacked(packed, scale, low, k) - weight).abs()
    assert (gap <= 0.5 * step + 1e-6).all()
