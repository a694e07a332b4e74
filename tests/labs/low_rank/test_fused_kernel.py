"""What the lab says of its kernels is what the interpreter counts: one launch, and no product in between."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from labs.low_rank import kernel_probe
from labs.low_rank.kernel_mode import expected_memory

if TYPE_CHECKING:
    from labs.inspection.process import KernelProcess

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is for Linux only"
)


@needs_triton
@pytest.mark.parametrize("sizes", [(16, 128, 64, 16), (5, 70, 200, 20)])
def test_bytes_across_memory_are_those_predicted(
    sizes: tuple[int, int, int, int], interpreter: KernelProcess
) -> None:
    named = dict(zip(("m", "n", "k", "rank"), sizes, strict=True))
    fused, split = (interpreter.ask(kernel_probe.counted, way=way, sizes=named) for way in ("fused", "split"))
    assert fused.launches == 1 < split.launches
    assert fused.memory == expected_memory(named, fused=True)
    assert split.memory == expected_memory(named, fused=False)
    assert max(fused.difference, split.difference) < 1e-5 and not fused.outside + split.outside
