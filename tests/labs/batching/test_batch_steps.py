"""The knee is where a step's time has doubled, measured or by the roofline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.batching.batch_steps import BatchStep, Roofline, doubled_at
from labs.measure import Timing

positive = st.floats(1.0, 1e6)


@given(weights=positive, kv=st.floats(0.0, 1e5), flops=positive, bandwidth=positive, peak=positive)
def test_the_rooflines_step_takes_twice_as_long_where_it_says(
    weights: float, kv: float, flops: float, bandwidth: float, peak: float
) -> None:
    roofline = Roofline(weights, kv, flops, bandwidth, peak)
    assert roofline.step_s(roofline.doubled_at()) == pytest.approx(2 * roofline.step_s(1), rel=1e-6)


def steps(*times_s: float) -> list[BatchStep]:
    return [BatchStep(2**power, Timing(s, s, s, 5), s) for power, s in enumerate(times_s)]


def test_the_measured_knee_lies_between_two_sizes() -> None:
    assert doubled_at(steps(1.0, 1.0, 1.5, 2.5)) == pytest.approx(4 + 0.5 * 4)
    assert doubled_at(steps(1.0, 2.0)) == 2
    assert doubled_at(steps(1.0, 3.0)) == pytest.approx(1.5)
    assert doubled_at(steps(1.0, 1.2, 1.9)) is None
    assert steps(1.0, 0.5)[1].tokens_per_s == 4.0
