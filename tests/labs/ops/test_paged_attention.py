"""Paged attention's kernels against the formula: the native one on odd shapes, Triton's interpreted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest
import torch

from labs.engine.kv_store import KVStore
from labs.formulas.paged_attention import decode_traffic
from labs.models.config import ModelConfig
from labs.ops import interpreted
from labs.ops.compiled import CHIPS, Precision, Target, compile_attention
from labs.ops.native_attention import NativeAttention, native_attention
from labs.ops.paged_attention import HAS_TRITON, naive_paged_attention, parts_for
from labs.text import Text

ROOT = Path(__file__).parents[3]
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is for Linux only")
TINY = ModelConfig(
    architecture="llama",
    layers=2,
    hidden=64,
    intermediate=64,
    heads=6,
    kv_heads=2,
    head_dim=20,
    vocab=8,
    context=512,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
)


@pytest.fixture(scope="module")
def outcomes() -> list[interpreted.Outcome]:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "labs.ops.interpreted"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return interpreted.read_outcomes(done.stdout)


@needs_triton
def test_the_triton_kernel_equals_the_formula_and_reads_no_slot_that_is_not_its_own(
    outcomes: list[interpreted.Outcome],
) -> None:
    assert [one.case for one in outcomes] == list(interpreted.CASES)
    assert all(one.case.poisoned for one in outcomes)  # a read of a foreign slot would be NaN
    for one in outcomes:
        assert one.passed, one


@needs_triton
def test_the_bytes_it_loads_are_those_that_the_formula_counts(outcomes: list[interpreted.Outcome]) -> None:
    for one in outcomes:
        case = one.case
        traffic = decode_traffic(
            case.lengths,
            heads=case.heads,
            kv_heads=case.kv_heads,
            head_dim=case.head_dim,
            kv_element_bytes={"fp32": 4, "fp16": 2}[case.dtype],
            block_size=case.block_size,
        )
        assert (one.kv_bytes, one.table_bytes) == (traffic.kv_bytes, traffic.table_bytes)


def test_outcomes_come_back_from_json() -> None:
    one = interpreted.Outcome(interpreted.CASES[1], 1e-7, 12, 4)
    assert interpreted.read_outcomes(json.dumps([asdict(one)])) == [one]


def test_a_nan_is_no_pass() -> None:
    assert not interpreted.Outcome(interpreted.CASES[0], float("nan"), 1, 1).passed


@needs_triton
@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_compiled_for_a_gpu_it_spills_nothing_and_fits(target: Target, precision: Precision) -> None:
    found = compile_attention(target, precision, head_dim=128, group=4, block_size=16)
    assert found.spill_bytes == 0
    assert 0 < found.shared_bytes <= CHIPS[target].shared_a_block
    assert found.fits and found.resident >= 2


def native() -> NativeAttention:
    library = native_attention()
    if isinstance(library, Text):
        pytest.skip(library.en)
    return NativeAttention(library, 2)


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("block_size", [1, 7, 16, 100])
def test_the_native_kernel_equals_the_formula(kind: str, block_size: int) -> None:
    attention, generator = native(), torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 63, 100], dtype=torch.int32)
    width = -(-100 // block_size)
    store = KVStore(TINY, 3 * width + 2, block_size, kind, "cpu")  # type: ignore[arg-type]
    slots = torch.arange(store.blocks * block_size)
    for layer in range(TINY.layers):
        k, v = (torch.randn(len(slots), TINY.kv_heads, TINY.head_dim, generator=generator) for _ in range(2))
        store.write(layer, slots, k, v)
    tables = torch.randperm(store.blocks, generator=generator)[: 3 * width].view(3, width).int()
    q = torch.randn(3, TINY.heads, TINY.head_dim, generator=generator)
    keys, values = store.read(1, slots, torch.float32)
    expected = naive_paged_attention(q, keys, values, tables, lengths, block_size)
    torch.testing.assert_close(attention.decode(q, store, 1, tables, lengths), expected, rtol=1e-4, atol=1e-5)


def test_where_the_blocks_lie_changes_no_bit() -> None:
    """Paging moves data and leaves the arithmetic alone: any block size gives what contiguous memory does."""
    attention, generator = native(), torch.Generator().manual_seed(1)
    length, config = 96, msgspec.structs.replace(TINY, head_dim=64)
    k, v = (torch.randn(length, config.kv_heads, 64, generator=generator) for _ in range(2))
    q = torch.randn(1, config.heads, 64, generator=generator)
    results = []
    for size in (96, 16, 4, 1):
        store = KVStore(config, length // size + 1, size, "fp32", "cpu")
        store.data.fill_(torch.nan)  # a slot that nobody wrote may hold anything
        table = torch.randperm(length // size + 1, generator=generator)[: length // size].view(1, -1).int()
        positions = torch.arange(length)
        slots = table[0, positions // size].long() * size + positions % size
        store.write(0, slots, k, v)
        results.append(attention.decode(q, store, 0, table, torch.tensor([length], dtype=torch.int32)))
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_a_lone_long_sequence_is_cut_into_parts_and_many_are_not() -> None:
    assert parts_for(items=8, longest=8192, processors=108) == 16
    assert parts_for(items=512, longest=8192, processors=108) == 1
    assert parts_for(items=1, longest=64, processors=108) == 1


def test_without_triton_the_file_is_imported_and_says_so() -> None:
    """As on Windows or macOS, where there is no such package."""
    program = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "triton" else real(name, *more)
from labs.ops import paged_attention
assert not paged_attention.HAS_TRITON and "triton" not in sys.modules
from labs.ops.compiled import compile_attention
from labs.spec import LabError
try:
    compile_attention("sm_80", "bf16", head_dim=64, group=1, block_size=16)
except LabError as error:
    print(error.text.en)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("no Triton here")
