"""The roofline: what is streamed and counted, where a measurement is placed, what a change would buy."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F

from labs.caches import Cache
from labs.context import Context
from labs.formulas.decoder_demand import PARTS, PRODUCTS
from labs.formulas.roofline import Demand
from labs.inspection.process import HAS_TRITON
from labs.measure import Timing
from labs.models.config import ModelConfig
from labs.models.llama import Llama, rotate
from labs.ops import softmax
from labs.ops.operator import Case as OperatorCase
from labs.results import Provenance, Scatter
from labs.roofline import bandwidths, operators_mode, profile
from labs.roofline import dispatches as dispatching
from labs.roofline.bandwidths import Streamed, levels, working_sets
from labs.roofline.ceilings import Ceiling
from labs.roofline.devices_mode import Case, run_devices
from labs.roofline.dispatches import dispatches
from labs.roofline.explanation import above_roof
from labs.roofline.machine import Machine
from labs.roofline.next_steps import next_steps
from labs.roofline.parts import make_parts
from labs.roofline.placed import Placed, Roof
from labs.roofline.profile import group_of, profile_step
from labs.roofline.setting import TITLES, Setting, count_of, demands
from labs.roofline.streams import ARRAYS, KINDS, Streams, library
from labs.roofline.whole import counted_flops, step_call
from labs.simulator.hardware import device
from labs.simulator.models import model
from labs.spec import LabError
from labs.text import Text, same
from tests.labs.fake_cuda import fake_cuda

if TYPE_CHECKING:
    from pathlib import Path

    from labs.formulas.roofline import Limit
    from labs.roofline.streams import Kind

needs_native = pytest.mark.skipif(isinstance(library(), Text), reason="no compiler or no AVX2 here")

CONFIG = ModelConfig(
    architecture="llama",
    layers=3,
    hidden=64,
    intermediate=96,
    heads=4,
    kv_heads=2,
    head_dim=16,
    vocab=128,
    context=256,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
)
ONE_SECOND = Timing(1.0, 1.0, 1.0, 9)


@pytest.fixture(scope="module")
def small() -> Llama:
    torch.manual_seed(0)
    made = Llama(CONFIG)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made.eval().requires_grad_(False)


def timed(seconds: float) -> Timing:
    return Timing(seconds, seconds, seconds, 9)


@needs_native
@pytest.mark.parametrize("threads", [1, 2])
def test_the_native_kernels_do_what_their_names_say(threads: int) -> None:
    streams = Streams(64 * 1024, "cpu")
    a, b, c = streams._arrays
    b.copy_(torch.arange(len(b)))
    c.copy_(torch.arange(len(c)) * 0.5)
    for kind, expected in (("copy", b), ("triad", b + 3 * c)):
        a.zero_()
        call, moved = streams.call(kind, 64 * 1024, threads)  # type: ignore[arg-type]
        call()
        covered = int((a != 0).sum()) + 1  # the first is zero
        assert torch.equal(a[:covered], expected[:covered])
        assert moved % (covered * 4 * ARRAYS[kind]) == 0  # type: ignore[index]
        assert covered * 4 * ARRAYS[kind] <= 64 * 1024  # type: ignore[index]


@pytest.mark.parametrize("kind", KINDS)
def test_torch_streams_as_many_bytes_as_it_says(kind: Kind) -> None:
    streams = Streams(12288, "cpu")
    streams.native = False
    a, b, c = streams._arrays
    b.fill_(2.0), c.fill_(1.0)
    call, moved = streams.call(kind, 12288, 1)
    call()
    touched = 12288 // ARRAYS[kind] // 4
    assert moved == 12288
    assert a[touched - 1] == {"read": 1.0, "copy": 2.0, "triad": 5.0}[kind]
    assert bool((a[touched:] == 1.0).all())


def test_a_level_is_read_where_data_fits_it_and_not_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    caches = (Cache(1, 32 * 2**10), Cache(2, 2**20), Cache(3, 2**25, 2))
    monkeypatch.setattr(bandwidths, "cpu_caches", lambda: caches)
    monkeypatch.setattr(bandwidths, "last_level_cache_bytes", lambda device: 2**25)
    rate = {1: 200e9, 2: 100e9, 3: 50e9, 4: 20e9}

    def streamed(size: int) -> Streamed:
        level = next((n for n, room in enumerate((2**16, 2**21, 2**25), 1) if size <= room), 4)
        return Streamed("read", 2, size, size, timed(size / rate[level]))

    points = [streamed(size) for size in working_sets("cpu", 2)]
    found = levels(points, "read", 2, "cpu")
    assert [one.name for one in found] == ["L1", "L2", "L3", "DRAM"]
    assert [one.bandwidth for one in found] == pytest.approx(list(rate.values()))
    # Two threads have two private first- and second-level caches, and share the third.
    assert [one.capacity for one in found] == [64 * 2**10, 2**21, 2**25, 0]
    quick = levels([streamed(size) for size in working_sets("cpu", 2, quick=True)], "read", 2, "cpu")
    assert [one.name for one in quick] == ["L1", "L2", "L3", "DRAM"]


def test_operators_that_only_look_at_shapes_do_not_count() -> None:
    x, weight = torch.randn(2, 8), torch.randn(4, 8)
    q, cos = torch.randn(1, 4, 1, 16), torch.randn(1, 1, 1, 8)
    assert dispatches(lambda: F.silu(x) * x) == 2
    assert dispatches(lambda: x.view(4, 4).transpose(0, 1)) == 0
    assert dispatches(lambda: F.linear(x, weight)) == 1
    assert dispatches(lambda: rotate(q, cos, cos)) == 7  # four products, a sum, a difference, a concatenation


@pytest.mark.parametrize("setting", [Setting("decode", 3, 40), Setting("prefill", 2, 24)])
def test_torch_counts_the_flops_of_the_formula(small: Llama, setting: Setting) -> None:
    asked = demands(CONFIG, setting)
    names = (*PRODUCTS, "attention") if setting.phase == "decode" else PRODUCTS
    expected = sum(asked[name].flops * count_of(CONFIG, name) for name in names)
    assert counted_flops(step_call(Context(), small, setting), "cpu") == expected


@pytest.mark.parametrize("setting", [Setting("decode", 3, 40), Setting("prefill", 2, 24)])
def test_every_part_runs_as_in_a_step(small: Llama, setting: Setting) -> None:
    with torch.inference_mode():
        parts = {part.name: part for part in make_parts(Context(), small, setting)}
        assert list(parts) == list(PARTS)
        outputs: dict[str, Any] = {name: one.call() for name, one in parts.items()}
    rows = (setting.batch, setting.tokens)
    assert [tuple(one.shape) for one in outputs["qkv"]] == [(*rows, 64), (*rows, 32), (*rows, 32)]
    assert tuple(outputs["attention"].shape) == (setting.batch, 4, setting.tokens, 16)
    assert tuple(outputs["gate_up"][1].shape) == tuple(outputs["activation"].shape) == (*rows, 96)
    assert tuple(outputs["head"].shape) == (setting.batch, 1, 128)
    assert parts["qkv"].demand.calls == 3 and parts["o"].demand.calls == 1 and parts["head"].count == 1


def placed(name: str, limit: Limit, seconds: float) -> Placed:
    roof = {
        "bandwidth": Roof(1e15, 1e9, 1e-9),
        "compute": Roof(1e9, 1e15, 1e-9),
        "overhead": Roof(1e15, 1e15, 0.1),
    }[limit]
    one = Placed(name, TITLES[name], demands(CONFIG, Setting("decode", 8, 64))[name], roof, timed(seconds))
    assert one.bounds.limit == limit
    return one


@pytest.mark.parametrize(
    ("limit", "gains"),
    [
        ("bandwidth", {"int8", "int4", "bandwidth", "batch"}),
        ("compute", {"compute"}),
        ("overhead", {"overhead", "batch"}),
    ],
)
def test_a_next_step_buys_something_only_where_it_touches_the_limit(limit: Limit, gains: set[str]) -> None:
    parts = [placed(name, limit, 1.0) for name in PRODUCTS]
    before = sum(one.count * one.seconds for one in parts)
    found = {step.name: step.gain(before) for step in next_steps(CONFIG, Setting("decode", 8, 64), parts)}
    assert {name for name, gain in found.items() if gain > 1.01} == gains
    assert all(gain > 0.999 for gain in found.values())


def test_a_verdict_names_the_limit_unless_the_time_is_far_from_it() -> None:
    roof, demand = Roof(1e12, 1e10, 1e-6), Demand(1e6, 1e6)
    least = demand.moved_bytes / roof.bandwidth
    near, far = (Placed("o", same("o"), demand, roof, timed(times * least)) for times in (2, 4))
    assert (near.verdict, far.verdict) == ("bandwidth", "below")
    assert near.share == pytest.approx(0.5) and near.rate == pytest.approx(1e6 / (2 * least))
    unmeasured = Placed("o", same("o"), demand, roof)
    assert unmeasured.verdict == "bandwidth" and math.isnan(unmeasured.share)


def test_a_profile_has_every_layer_and_operator_and_leaves_the_model_as_it_was(
    small: Llama, tmp_path: Path
) -> None:
    with torch.inference_mode():
        step = step_call(Context(), small, Setting("decode", 1, 16))
        found = profile_step(small, step, "cpu", tmp_path / "traces" / "one.json")
    assert [one.name for one in found.in_lane("layer")] == ["layer 0", "layer 1", "layer 2"]
    assert sum(one.name == "q_proj" for one in found.in_lane("part")) == CONFIG.layers
    products = found.operators["aten::mm"][0] + found.operators["aten::bmm"][0]
    assert products == CONFIG.layers * (7 + 2) + 1
    assert 0 < found.working_s < found.step_s
    assert found.working_s + found.idle_s + found.between_s == pytest.approx(found.step_s)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in small.modules())
    trace = json.loads((tmp_path / "traces" / "one.json").read_text())
    assert sum(event.get("name") == "aten::mm" for event in trace["traceEvents"]) == CONFIG.layers * 7 + 1


def test_operators_are_sorted_into_groups() -> None:
    assert group_of("aten::mm") == "product" and group_of("aten::view") == "idle"
    assert group_of("aten::_scaled_dot_product_flash_attention_for_cpu") == "attention"
    assert group_of("aten::silu") == "elementwise" and group_of("aten::cat") == "copy"


def test_a_devices_roofs_are_its_dense_peaks_and_said_to_be_reported() -> None:
    case = Case(model("llama-3.1-8b"), "bf16", batch=1, context=1024)
    results = {one.id: one for one in run_devices(Context(), case, "h100-sxm")}
    roofline = results["roofline"]
    assert isinstance(roofline, Scatter)
    roofs = [series for series in roofline.series if series.reference]
    card = device("h100-sxm")
    slope, *levels = roofs
    peaks = dict.fromkeys(card.peak(one) for one in card.computes)
    assert [series.y.tolist() for series in levels] == [[peak] * 2 for peak in peaks]
    assert "FP8, INT8 1979 TFLOP/s" in [series.name.en for series in levels]  # equal: one line, both names
    assert (slope.y / slope.x).tolist() == pytest.approx([card.memory_bandwidth] * 2)
    assert float(slope.y[-1]) == pytest.approx(max(card.peak(one) for one in card.computes))
    assert all(series.provenance == Provenance.REPORTED for series in roofs)
    assert all(
        series.provenance == Provenance.ESTIMATED for series in roofline.series if not series.reference
    )
    decode = case.placed(card, prefill=False)
    assert decode is not None and {one.verdict for one in decode} == {"bandwidth"}


def test_a_format_that_a_device_has_no_peak_of_is_refused() -> None:
    case = Case(model("llama-3.1-8b"), "fp8", batch=1, context=1024)
    with pytest.raises(LabError, match="FP8 peak of NVIDIA A100"):
        list(run_devices(Context(), case, "a100-80gb-sxm"))


def test_an_operator_that_fails_its_check_shows_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("cpu", 1, empty_call=timed(1e-6))
    machine.ceilings.append(Ceiling("gemm fp32", "fp32", 1e11, 512, ONE_SECOND))
    machine.streamed.append(Streamed("read", 1, 2**40, 10**10, ONE_SECOND))
    right = softmax.OPERATOR
    small = replace(right, shipped=(OperatorCase({"rows": 4, "columns": 64}, "fp16"),), aligned=())
    wrong = replace(small, fast=lambda x: x.softmax(dim=0))
    monkeypatch.setattr(operators_mode, "rotate", lambda make, size, device: functools.partial(dict, make()))
    by_name = {
        name: {one.way: one for one in operators_mode._try(Context(), operator, machine)}
        for name, operator in (("right", small), ("wrong", wrong))
    }
    assert by_name["right"]["fast"].placed.timing and by_name["right"]["naive"].placed.timing
    assert by_name["wrong"]["fast"].placed.timing is None
    tried = list(by_name["wrong"].values())
    assert "no speed" in next(operators_mode._tables(tried)).rows[0][2].en  # type: ignore[union-attr]
    demand = by_name["right"]["fast"].placed.demand
    assert (demand.flops, demand.moved_bytes, demand.calls) == (
        right.work(tried[0].case).flops,
        2 * 4 * 64 * 4,
        1,
    )
    assert by_name["right"]["naive"].placed.demand.calls == 5  # maximum, difference, exp, sum, quotient


def test_a_fast_path_is_called_compiled_only_where_its_kernels_are() -> None:
    without, reason = softmax.OPERATOR, Text(zh="没有 g++", en="there is no g++")
    compiled, missing = replace(without, native=object), replace(without, native=lambda: reason)
    assert [operators_mode._is_native(one) for one in (without, compiled, missing)] == [False, True, False]
    told = [text.en for text in operators_mode._missing([without, compiled, missing], {"softmax"})]
    assert len(told) == 1 and "there is no g++" in told[0]
    assert "Naive only" in next(operators_mode._missing([without], set())).en


def test_dots_above_a_roof_are_explained() -> None:
    roof, demand = Roof(1e12, 1e10, 1e-6), Demand(1e6, 1e6)
    least = demand.moved_bytes / roof.bandwidth
    near, above = (Placed("o", same("o"), demand, roof, timed(times * least)) for times in (1, 0.5))
    assert not list(above_roof([near, Placed("o", same("o"), demand, roof)]))
    assert "200%" in next(above_roof([near, above])).en


def _event(name: str, kind: str, start: float, end: float, *, annotation: bool = False) -> SimpleNamespace:
    """As the profiler gives it, in microseconds."""
    return SimpleNamespace(
        name=name,
        device_type=SimpleNamespace(name=kind),
        is_user_annotation=annotation,
        time_range=SimpleNamespace(start=start, end=end),
        self_cpu_time_total=end - start,
        cpu_parent=None,
        cpu_children=[],
    )


def test_on_a_gpu_kernels_are_what_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host only launches; a range that it names casts a shadow on the GPU, which is no kernel."""
    gemm = "void (anonymous namespace)::cutlass_gemm<float, 128>(float*)"
    events = [
        _event("step", "CPU", 100, 120),
        _event("aten::mm", "CPU", 101, 104),
        _event("step", "CUDA", 105, 150, annotation=True),
        _event("layer: layer 0", "CUDA", 105, 150, annotation=True),
        _event(gemm, "CUDA", 105, 135),
        _event(gemm, "CUDA", 140, 150),
    ]
    found = profile._read(events)
    assert found.on_gpu and found.operators == {"cutlass_gemm": (2, pytest.approx(40e-6))}
    assert [one.name for one in found.in_lane("kernel")] == ["cutlass_gemm", "cutlass_gemm"]
    assert not found.in_lane("layer") and group_of("cutlass_gemm") == "product"
    assert found.step_s == pytest.approx(50e-6) and found.between_s == pytest.approx(10e-6)
    profiled = SimpleNamespace(function_events=events)
    monkeypatch.setattr(dispatching, "recorded", lambda call, device: profiled)
    assert dispatches(lambda: None, "cuda") == 2


def test_where_the_driver_hides_kernels_operators_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    profiled = SimpleNamespace(function_events=[_event("aten::mm", "CPU", 0, 1)])
    monkeypatch.setattr(dispatching, "recorded", lambda call, device: profiled)
    assert dispatches(lambda: None, "cuda") == 1


@pytest.mark.skipif(not HAS_TRITON, reason="Triton is for Linux only")
def test_a_kernel_that_a_gpu_refuses_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ValueError("out of resource: shared memory")

    monkeypatch.setattr(operators_mode, "no_kernels", lambda: None)
    monkeypatch.setattr(operators_mode, "rotate", lambda make, size, device: functools.partial(dict, make()))
    small = OperatorCase({"rows": 4, "columns": 8})
    operator = replace(softmax.OPERATOR, triton=refused, shipped=(), aligned=(small,))
    machine = Machine("cuda", 1, empty_call=timed(1e-6))
    machine.ceilings.append(Ceiling("gemm fp32", "fp32", 1e12, 64, timed(1e-3)))
    machine.streamed.append(Streamed("read", 1, 1 << 30, 1 << 30, timed(1e-2)))
    with fake_cuda():
        tried = list(operators_mode._try(Context(), operator, machine))
        table = next(operators_mode._tables(tried))
    assert [one.way for one in tried] == ["triton", "naive"]
    assert tried[0].placed.reason is not None and tried[1].placed.timing is not None
    assert "shared memory" in str(table.rows[0][2])
