"""What the KV compression lab claims: counted bytes equal the formula, grouped kernels read each row once."""

from __future__ import annotations

import pytest

from labs.context import Context
from labs.inspection.process import HAS_TRITON, kernel_process
from labs.model_bounds import model_bounds
from labs.registry import load_catalog
from labs.results import Bars, Lines, Metric, Tokens
from labs.runner import execute
from labs.spec import LabError

LAB = load_catalog().labs["operator/kv_compression"]
MISSING = model_bounds(None)[1]
needs_model = pytest.mark.skipif(MISSING is not None, reason="there is no model here")


@needs_model
def test_the_modes_on_the_real_model() -> None:
    ctx = Context()
    small = {"tokens": 64, "prompts": 1, "layer": 3, "sweep": False}
    evicted = {one.id: one for one in execute(LAB, LAB.params(**small, share=0.5), ctx)}
    kept = evicted["kept_bytes"]
    assert isinstance(kept, Metric) and kept.value == kept.predicted
    assert isinstance(evicted["kept_tokens"], Tokens) and len(evicted["kept_tokens"].rows[0].tokens) == 64
    streamed = {one.id: one for one in execute(LAB, LAB.params(**small, policy="streaming", share=0.5), ctx)}
    stream = streamed["stream"]
    assert isinstance(stream, Lines) and stream.marks[0].x == ctx.model().config.context
    cached, original = (series.y for series in stream.series)
    assert len(set(cached)) == 1 and stream.series[0].x[0] == 64
    # Within the trained length it hardly matters how far the sinks are; far beyond it does.
    assert abs(original[-1] - cached[-1]) > 0.1 and abs(original[0] - cached[0]) < 0.1
    quantised = {one.id: one for one in execute(LAB, LAB.params(mode="quantise", **small), ctx)}
    stored = quantised["kv_bytes"]
    assert isinstance(stored, Metric) and stored.value == stored.predicted
    with pytest.raises(LabError, match="KV heads end"):
        list(execute(LAB, LAB.params(**small, kv_head=99), ctx))


@needs_model
@pytest.mark.skipif(not HAS_TRITON, reason="Triton is for Linux only")
def test_grouped_kernels_ask_for_each_key_and_value_once() -> None:
    ctx = Context()
    try:
        params = LAB.params(mode="heads", heads=4, kv_heads=2, context=256, batch=1)
        results = {one.id: one for one in execute(LAB, params, ctx)}
    finally:
        kernel_process(ctx, "interpret").close()
    for name in ("asked_bytes", "asked_alone"):
        found = results[name]
        assert isinstance(found, Metric) and found.value == found.predicted
    bars = results["loads"]
    assert isinstance(bars, Bars)
    grouped, alone = bars.series
    assert list(alone.values / grouped.values) == [4, 2, 1]
    assert isinstance(results["times"], Lines)


def test_kv_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(LabError, match="cannot share"):
        list(execute(LAB, LAB.params(mode="heads", heads=4, kv_heads=8), Context()))
