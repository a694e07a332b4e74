"""What the lab of GPU memory access claims: counts equal formulas, texts are refused or run, races told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from labs.context import Context
from labs.edited_source import TAG, chosen_source
from labs.formulas.warp_access import strided_passes, strided_sectors
from labs.gpu import kernel_mode
from labs.gpu.counts import barrier_times, counted
from labs.gpu.library import KERNELS
from labs.gpu.machine import run_program
from labs.gpu.pattern import index_pattern
from labs.gpu.program import parse_program
from labs.gpu.stride_mode import STRIDES, expected_share, reader
from labs.gpu.triton_mode import by_line
from labs.inspection.interpreted import RecordedTensor, Recording
from labs.registry import load_catalog
from labs.results import Code, Metric, Result, Table, Tiles, Trace
from labs.runner import execute
from labs.spec import LabError

if TYPE_CHECKING:
    from labs.spec import LabParams

LAB = load_catalog().labs["operator/gpu_memory_access"]


def shown(params: LabParams, *, preview: bool = True) -> dict[str, Result]:
    """The last result of each id; a preview compiles nothing."""
    return {result.id: result for result in execute(LAB, params, Context(preview=preview))}


def metric(results: dict[str, Result], name: str) -> Metric:
    found = results[name]
    assert isinstance(found, Metric)
    return found


def presets(*modes: str) -> list[str]:
    return [one.id for one in LAB.presets if one.values.get("mode", "pattern") in modes]


@pytest.mark.parametrize("name", presets("pattern", "kernel"))
def test_what_is_counted_is_what_the_formula_says(name: str) -> None:
    results = shown(LAB.preset(name))
    compared = [one for one in results.values() if isinstance(one, Metric) and one.predicted is not None]
    for one in compared:
        assert one.value == pytest.approx(one.predicted), one.id
    assert compared or name in ("gather", "missing_barrier", "swizzle")


@pytest.mark.parametrize("program", KERNELS)
def test_every_kernel_of_the_library_has_a_choice_and_runs(program: str) -> None:
    results = shown(LAB.params(mode="kernel", program=program))
    trace, code = results["steps"], results["code"]
    assert isinstance(trace, Trace) and isinstance(code, Code)
    lines = code.panes[0].text.splitlines()
    assert lines[0] == f"{TAG}{program}" and code.panes[0].edits == "source"
    assert all(lines[line - 1].strip() for line in trace.columns["line"])
    assert [one for one in results.values() if isinstance(one, Tiles)]


def test_the_story_of_the_transposes() -> None:
    def of(name: str) -> tuple[float, float]:
        results = shown(LAB.params(mode="kernel", program=name))
        passes = results.get("passes")
        return metric(results, "sectors").value or 0, passes.value if isinstance(passes, Metric) else 0

    assert of("transpose_naive") == (32 * 4 + 32 * 32, 0)
    assert of("transpose_shared") == (2 * 32 * 4, 32 + 32 * 32)
    assert of("transpose_padded") == of("transpose_swizzled") == (2 * 32 * 4, 64)


def test_an_edited_text_counts_while_its_kernel_is_chosen() -> None:
    text, own = chosen_source("divergence", "", KERNELS["divergence"].source)
    assert own and text.startswith(f"{TAG}divergence\n")
    edited = text.replace("2.0", "4.0")
    assert chosen_source("divergence", edited, KERNELS["divergence"].source) == (edited, False)
    assert chosen_source("reduce_shuffle", edited, KERNELS["reduce_shuffle"].source) == chosen_source(
        "reduce_shuffle", "", KERNELS["reduce_shuffle"].source
    )
    assert chosen_source("divergence", "x = lane", KERNELS["divergence"].source) == ("x = lane", False)


def test_putting_the_barrier_in_mends_the_kernel() -> None:
    broken = shown(LAB.preset("missing_barrier"))
    assert metric(broken, "races").value == 1
    code = broken["code"]
    assert isinstance(code, Code) and [mark.role for mark in code.panes[0].marks].count("error") == 1
    text = code.panes[0].text.replace(
        "        s[t] += s[t + d]\n", "        s[t] += s[t + d]\n    syncthreads()\n"
    )
    mended = shown(LAB.params(mode="kernel", program="missing_barrier", source=text))
    assert metric(mended, "races").value == 0


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("threadIdx.x *", "syntax error"),
        ("open('x')", "no function `open`; there are min"),
        ("threadIdx.x - 1", "thread 0 has index -1"),
        ("blah", "there is no `blah`; names: lane, warp, stride, offset"),
        ("threadIdx.x * 1.5", "an index is an integer"),
        ("shfl(lane, 0)", "an index reads no memory"),
        ("", "syntax error"),
        ("x = 3", "one index expression"),
    ],
)
def test_what_is_no_index_is_refused_with_what_is_allowed(index: str, says: str) -> None:
    with pytest.raises(LabError) as caught:
        shown(LAB.params(index=index))
    assert says in caught.value.text.en


@pytest.mark.parametrize("element_bytes", [1, 2, 4, 8, 16])
def test_patterns_of_whole_blocks_are_the_mean_of_their_warps(element_bytes: int) -> None:
    names: dict[str, int] = {"stride": 3, "offset": 5}
    made: dict[str, Any] = {"block": (256, 1), "element_bytes": element_bytes, "names": names}
    pattern = index_pattern("threadIdx.x * stride + offset", **made)
    expected = [strided_sectors(3, element_bytes, offset=5 + 96 * warp) for warp in range(8)]
    assert [len(request.sectors) for request in pattern.global_requests()] == expected
    if element_bytes >= 4:
        assert {one.passes for one in pattern.shared_requests()} == {strided_passes(3, element_bytes)}


def test_a_slow_warp_is_waited_for() -> None:
    source = (
        "launch(block=96)\nd = 0\nif warp == 1:\n    for i in range(10):\n        d += 1\nsyncthreads()\nd "
        "= lane\n"
    )
    stays = barrier_times(counted(run_program(parse_program(source))))
    waits = {stay.warp: stay.end - stay.start for stay in stays if stay.waits}
    assert set(waits) == {0, 2} and waits[0] == waits[2] > 10
    ends = {stay.end for stay in stays if stay.start == 0 or stay.waits}
    assert max(ends) in {stay.start for stay in stays if stay.warp == 0}


def test_strides_read_every_element_that_they_say() -> None:
    count = 1000
    read, _ = reader(Context(), count)
    for stride in STRIDES:
        total = read(stride)()
        assert float(np.asarray(total)) == -(-count // stride)
    assert [expected_share(stride, 64) for stride in (1, 2, 16, 64)] == [1, 1 / 2, 1 / 16, 1 / 16]


def test_a_racing_text_of_ones_own_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_mode, "nvcc_path", lambda: None)
    source = (
        "s = shared_memory(int, 32)\nout = global_memory(int, 32)\ns[lane / 2] = lane\nout[lane] = s[0]\n"
    )
    results = shown(LAB.params(mode="kernel", source=source), preview=False)
    assert metric(results, "races").value == 2
    native, compiled = metric(results, "native"), results["nvcc"]
    assert native.value is None and native.source is not None and "is not run" in native.source.en
    assert isinstance(compiled, Table) and compiled.source is not None and "no nvcc" in compiled.source.en


def _recorded(elements: list[list[int]], lines: list[int]) -> Recording:
    """Loads of a tensor of floats, one a list of elements."""
    count = np.array([len(one) for one in elements], np.int32)
    whole = np.concatenate([np.array(one, np.int64) for one in elements])
    zeros = np.zeros(len(elements), np.int32)
    tensor = RecordedTensor("x_ptr", [64, 64], [64, 1], 4)
    return Recording(
        *(["kernel"], [[1, 1, 1]], [tensor], zeros, np.zeros((len(elements), 3), np.int32)),
        *(np.array(lines, np.int32), zeros.astype(np.int8), zeros, np.cumsum(count) - count, count),
        *(zeros, whole, 0, 0, 0, False),
    )


def test_a_transposed_tile_coalesces_only_in_the_order_of_addresses() -> None:
    tile = np.arange(64 * 64).reshape(64, 64)
    recording = _recorded([tile[:32, :32].T.ravel().tolist(), tile[0].tolist(), [7]], [3, 5, 5])
    transposed, row = by_line(recording)
    assert (transposed.line, transposed.tile, transposed.address, transposed.requests) == (3, 32, 4, 32)
    assert (row.line, row.tile, row.address, row.requests, row.least) == (5, 4, 4, 2, 4)


def test_occupancy_on_every_chip() -> None:
    results = shown(LAB.preset("occupancy_steps"))
    assert metric(results, "occupancy").value == 37.5
    table = results["everywhere"]
    assert isinstance(table, Table) and len(table.rows) == 7 and table.highlight == 3
