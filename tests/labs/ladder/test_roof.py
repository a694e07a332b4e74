"""The dot under the roof: a bound where nothing was timed, the timing where a GPU gave one."""

from __future__ import annotations

import pytest

from labs.context import Context
from labs.inspection.compiled import TARGETS, Target
from labs.ladder.exercise import EXERCISES
from labs.ladder.explanation import explanation
from labs.ladder.here import Specified, measure_here
from labs.ladder.outcome import Outcome
from labs.ladder.roof import DEVICES, roof
from labs.ladder.sandbox import Checked, Timed
from labs.measure import Timing
from labs.results import Provenance, Scatter
from labs.roofline.bandwidths import Streamed
from labs.roofline.ceilings import Ceiling
from labs.roofline.machine import Machine
from labs.simulator.hardware import device

TIMING = Timing(median_s=1e-3, low_s=9e-4, high_s=1.1e-3, repeats=20)


def outcome(*, seconds: bool, passed: bool = True) -> Outcome:
    made = Outcome(EXERCISES["matmul"], "", {}, "sm_90")
    made.checked = [Checked("m 1", 0.0 if passed else 1.0, 1e-5, 0)]
    if seconds:
        made.timed = Timed([], TIMING)
        made.machine = Machine("cpu", 1)  # of a GPU it would ask the driver for the caches
        made.machine.ceilings = [Ceiling("gemm bf16", "bf16", 6e14, 8192, TIMING)]
        made.machine.streamed = [Streamed("read", 1, 1 << 40, 1 << 30, TIMING)]
    return made


def drawn(made: Outcome) -> Scatter:
    found = roof(made)
    assert isinstance(found, Scatter)
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_roof_for_matrices_and_for_the_rest(target: Target) -> None:
    chip = device(DEVICES[target])
    assert chip.peak("bf16") > chip.peak("fp32") > 0 and chip.memory_bandwidth > 0


def test_without_a_gpu_the_dot_is_a_bound_at_the_devices_roof() -> None:
    found = drawn(outcome(seconds=False))
    line, bound = found.series
    assert bound.provenance == Provenance.ESTIMATED and found.provenance == Provenance.ESTIMATED
    assert bound.y[0] == pytest.approx(device(DEVICES["sm_90"]).peak("bf16")) and line.reference
    assert found.source is not None and "the kernel was not timed" in found.source.en


def test_a_timing_is_a_measured_dot_under_a_measured_roof() -> None:
    _, line, *_, dot = drawn(outcome(seconds=True)).series
    assert line.reference and max(line.y) == 6e14
    assert dot.provenance == Provenance.MEASURED and dot.y[0] == pytest.approx(2 * 4096**3 / TIMING.median_s)


def test_a_kernel_that_is_wrong_shows_no_speed() -> None:
    made = outcome(seconds=True, passed=False)
    assert made.seconds is None
    assert all(one.reference or one.provenance != Provenance.MEASURED for one in drawn(made).series)


def test_its_bound_lies_on_both_roofs_and_the_specification_is_timed_under_the_second() -> None:
    made = outcome(seconds=False)
    made.machine = Machine("cpu", 2)
    made.machine.ceilings = [Ceiling("gemm fp32", "fp32", 4e12, 1024, TIMING)]
    made.machine.streamed = [Streamed("read", 2, 1 << 40, 1 << 30, TIMING)]
    made.specified = Specified(TIMING, operators=3)
    chip, here, bound, dot = drawn(made).series
    assert chip.reference and here.reference and here.provenance == Provenance.MEASURED
    assert list(bound.y) == [device(DEVICES["sm_90"]).peak("bf16"), 4e12] and bound.x[0] == bound.x[1]
    assert dot.provenance == Provenance.MEASURED and dot.y[0] == pytest.approx(2 * 1024**3 / TIMING.median_s)
    said = explanation(made).body.en
    assert "4.0 TFLOP/s at most" in said and "it was not timed" in said and "It is 3 operators" in said


def test_a_roof_is_no_lower_than_what_has_been_reached_under_it() -> None:
    made = outcome(seconds=False)
    made.machine = Machine("cpu", 2)
    made.machine.ceilings = [Ceiling("gemm fp32", "fp32", 1e9, 1024, TIMING)]  # while others were busy
    made.machine.streamed = [Streamed("read", 2, 1 << 40, 1 << 30, TIMING)]
    made.specified = Specified(TIMING, operators=1)
    _, here, _, dot = drawn(made).series
    assert max(here.y) == dot.y[0] > 1e9


def test_this_machine_is_measured_and_each_specification_once() -> None:
    ctx, made = Context(), outcome(seconds=False)
    measure_here(ctx, made)
    assert made.machine is not None and made.machine.complete
    assert made.specified is not None and made.specified.operators == 1
    again = outcome(seconds=False)
    measure_here(ctx, again)
    assert again.machine is made.machine and again.specified is made.specified
