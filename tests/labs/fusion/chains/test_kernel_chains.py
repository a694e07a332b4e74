"""Chains cut into kernels: right however they are cut, and their bytes those of the formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs.formulas.fusion import crossing, moved_bytes
from labs.formulas.operators import gated_bytes, rms_norm_bytes, softmax_bytes
from labs.fusion.chains import kernel_runs
from labs.fusion.chains.catalogue import CHAINS
from labs.fusion.chains.elementwise_chains import ChainName, groups, named
from labs.fusion.chains.kernel_source import kernels
from labs.fusion.chains.outcome import Setting
from labs.fusion.chains.run import _too_long
from labs.inspection.process import HAS_TRITON
from labs.ops import qkv_projection
from labs.ops.operator import Case

if TYPE_CHECKING:
    from labs.inspection.process import KernelProcess
    from labs.text import Text

needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is for Linux only")
# A width that is no power of two; of a product, three heads of 64.
COLUMNS = {name: 192 if name == "qkv_rope" else 77 for name in CHAINS}
every_chain = pytest.mark.parametrize("name", CHAINS)


@every_chain
def test_the_steps_make_what_torch_makes_in_one_call(name: ChainName) -> None:
    from labs.relative_error import relative_error

    chain, given = CHAINS[name], kernel_runs.inputs(CHAINS[name], 5, COLUMNS[name], "fp32")
    assert relative_error(chain.eager(given), chain.fused(**given)) < 1e-6


@needs_triton
@every_chain
@pytest.mark.parametrize("joined", [False, True])
def test_kernels_are_right_and_move_what_the_formula_says(
    name: ChainName, joined: bool, interpreter: KernelProcess
) -> None:
    """With NaN around every input."""
    chain, rows, columns = CHAINS[name], 2, COLUMNS[name]
    cut = groups(len(chain.steps), (joined,) * len(chain.steps))
    found = interpreter.ask(
        kernel_runs.count, name=name, groups=cut, rows=rows, columns=columns, dtype="fp16"
    )
    assert found.passed, found
    assert found.bytes == moved_bytes(chain.flow(rows, columns, 2), named(chain, cut))


@needs_triton
def test_cuts_in_between_are_right(interpreter: KernelProcess) -> None:
    chain = CHAINS["softmax"]
    for joins in ((True, False, True), (False, True, False)):
        cut = groups(4, joins)
        found = interpreter.ask(
            kernel_runs.count, name="softmax", groups=cut, rows=2, columns=33, dtype="fp32"
        )
        assert found.passed, joins
        assert found.bytes == moved_bytes(chain.flow(2, 33, 4), named(chain, cut))


@needs_triton
@pytest.mark.parametrize("joins", [(True, False), (False, True)])
def test_a_product_is_right_with_its_epilogue_cut_in_two(
    joins: tuple[bool, ...], interpreter: KernelProcess
) -> None:
    """At more rows than the small tile has, the last tile ragged."""
    chain, cut = CHAINS["qkv_rope"], groups(3, joins)
    found = interpreter.ask(
        kernel_runs.count, name="qkv_rope", groups=cut, rows=70, columns=192, dtype="fp32"
    )
    assert found.passed, found
    assert found.bytes == moved_bytes(chain.flow(70, 192, 4), named(chain, cut))


@needs_triton
def test_a_product_with_its_epilogue_spills_nothing(compiler: KernelProcess) -> None:
    """RoPE turns the accumulators where they are."""
    (made,) = compiler.ask(
        kernel_runs.build,
        name="qkv_rope",
        groups=[[0, 1, 2]],
        columns=576,
        dtype="fp16",
        warps=4,
        target="sm_90",
        rows=64,
    )
    assert not made.spill_bytes and made.fits
    flow = CHAINS["qkv_rope"].flow(64, 576, 2)
    written = crossing(flow, ["qk", "turned", "heads"])[1]
    assert written == 64 * 960 * 2, "only what attention reads"


def test_all_in_one_moves_what_the_hand_written_operators_do() -> None:
    everything = {name: groups(len(chain.steps), (True,) * 5) for name, chain in CHAINS.items()}

    def moved(name: ChainName) -> int:
        return moved_bytes(CHAINS[name].flow(8, 256, 2), named(CHAINS[name], everything[name]))

    assert moved("residual_norm") == sum(rms_norm_bytes(8, 256, 2, residual=True))
    assert moved("gated") == sum(gated_bytes(8, 256, 2))
    assert moved("softmax") == sum(softmax_bytes(8, 256, 2))


def test_a_product_in_one_kernel_moves_what_the_hand_written_operator_does() -> None:
    """Three heads of 64 and a KV head; the operator's angles are fp32 as well."""
    chain = CHAINS["qkv_rope"]
    case = Case({"tokens": 8, "k": 192, "heads": 3, "kv_heads": 1, "head_dim": 64}, "fp16")
    assert moved_bytes(chain.flow(8, 192, 2), named(chain, [[0, 1, 2]])) == qkv_projection.work(case).bytes


def test_a_fused_kernel_stores_only_what_is_needed_outside() -> None:
    chain = CHAINS["residual_norm"]
    first, second = kernels(chain, groups(5, (True, True, False, True)))
    assert (first.loads, first.stores) == (("x", "residual"), ("total", "factor"))
    assert (second.loads, second.stores) == (("total", "factor", "weight"), ("out",))


@needs_triton
def test_kernels_are_timed_only_as_they_are_right(interpreter: KernelProcess) -> None:
    """As on a GPU, with the interpreter in its place."""
    timed = interpreter.ask(
        kernel_runs.time,
        name="gated",
        groups=[[0, 1], [2]],
        rows=2,
        columns=33,
        dtype="fp32",
        warps=1,
        device="cpu",
    )
    assert timed.gap < 1e-6
    assert timed.timing is not None


@needs_triton
def test_a_fused_kernel_spills_where_a_thread_has_too_much_of_a_row(compiler: KernelProcess) -> None:
    def spilled(warps: int) -> int:
        (made,) = compiler.ask(
            kernel_runs.build,
            name="rope",
            groups=[[0, 1, 2, 3, 4, 5]],
            columns=4096,
            dtype="fp16",
            warps=warps,
            target="sm_90",
        )
        return made.spill_bytes

    assert spilled(8) == 0 < spilled(1)


def test_a_product_of_minutes_is_not_timed_on_a_cpu() -> None:
    def reason(columns: int, tokens: int, device: str = "cpu") -> Text | None:
        sizes = {"tokens": tokens, "columns": columns, "dtype": "fp16", "warps": 4, "target": "sm_90"}
        return _too_long(device, Setting("qkv_rope", (True,) * 5, launch_s=0.0, **sizes))  # type: ignore[arg-type]

    refused = reason(16384, 4096)
    assert refused is not None and "GFLOP" in refused.en
    assert reason(576, 4096) is None and reason(16384, 4096, "cuda") is None
