"""The labs of section 1.2.1 on the real model: what they show is consistent and leaves no trace."""

import threading
from pathlib import Path

import numpy as np
import pytest

from labs.catalog.model import activation_outliers, number_formats, quantization_granularity
from labs.context import Cancelled, Context, Session
from labs.quantization.perplexity import baseline
from labs.results import Bars, Bits, Histogram, Lines, Markdown, Metric, Scatter, Table
from labs.runner import execute
from labs.spec import UsageError

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


def results(lab_file, session: Session, preview: bool = False, **values) -> dict[str, object]:
    """The last result of each id."""
    ctx = Context(session, preview=preview)
    return {result.id: result for result in execute(lab_file.LAB, lab_file.Params(**values), ctx)}


def checksum(session: Session) -> float:
    return sum(float(p.double().sum()) for p in Context(session).model().model.parameters())


def metric(found: dict[str, object], result_id: str) -> Metric:
    result = found[result_id]
    assert isinstance(result, Metric)
    return result


def test_the_gguf_s_own_grid_is_rebuilt_without_loss(session):
    values = quantization_granularity.LAB.preset("int4_group32_lossless")
    for module in ("q_proj", "down_proj"):
        found = results(
            quantization_granularity, session, **{**fields(values), "module": module, "perplexity": False}
        )
        assert metric(found, "sqnr").value == np.inf
        assert metric(found, "output_error").value == 0
        explanation = found["explanation"]
        assert isinstance(explanation, Markdown)
        assert "Lossless" in explanation.body.en and "at most 16 distinct values" in explanation.body.en


def fields(params) -> dict[str, object]:
    return {name: getattr(params, name) for name in params.__struct_fields__}


def test_no_loss_is_claimed_where_there_is_some(session):
    found = results(quantization_granularity, session, group_size=64, perplexity=False)
    explanation = found["explanation"]
    assert isinstance(explanation, Markdown)
    assert "**Lossless" not in explanation.body.en


def test_a_preview_measures_no_perplexity_and_matches_the_exact_layer(session):
    preview = results(quantization_granularity, session, preview=True, bits=3)
    exact = results(quantization_granularity, session, bits=3, perplexity=False)
    assert metric(preview, "perplexity").value is None
    assert "module_sqnr" not in preview
    # A preview sums on one thread and an exact run on all, so fp32 sums differ in the last bits.
    assert metric(preview, "sqnr").value == pytest.approx(metric(exact, "sqnr").value, rel=1e-6)


def test_memory_is_predicted_exactly(session):
    for values in ({"granularity": "tensor"}, {"bits": 3, "scheme": "asymmetric"}, {"target": "activation"}):
        memory = metric(
            results(quantization_granularity, session, module="k_proj", perplexity=False, **values), "memory"
        )
        assert memory.value == memory.predicted


def test_theory_meets_measurement_at_eight_bits(session):
    sqnr = metric(
        results(quantization_granularity, session, bits=8, granularity="channel", perplexity=False), "sqnr"
    )
    assert sqnr.predicted == pytest.approx(sqnr.value, abs=0.3)


def test_perplexity_orders_the_settings_and_leaves_the_model_alone(session):
    before = checksum(session)
    good = results(quantization_granularity, session, bits=8, granularity="channel", windows=1)
    bad = results(quantization_granularity, session, bits=3, granularity="tensor", windows=1)
    assert checksum(session) == before
    plain = metric(good, "perplexity_baseline").value
    assert plain is not None and 5 < plain < 100
    assert metric(good, "perplexity").value == pytest.approx(plain, rel=0.03)
    worse = metric(bad, "perplexity").value
    assert worse is not None and worse > 10 * plain
    low, high = metric(bad, "loss_increase").low, metric(bad, "loss_increase").high
    assert low is not None and high is not None and low < metric(bad, "loss_increase").value < high


def test_a_stopped_sweep_restores_the_model_and_resumes_where_it_was(session):
    before = checksum(session)
    cancelled = threading.Event()
    ctx = Context(session, cancelled=cancelled)
    params = quantization_granularity.Params(sweep=True, perplexity=False, windows=1)
    points = -1  # its place among the results comes first, with no point yet
    with pytest.raises(Cancelled):
        for result in execute(quantization_granularity.LAB, params, ctx):
            if isinstance(result, Lines) and result.id == "sweep":
                points += 1
                assert sum(int(np.isfinite(series.y).sum()) for series in result.series[:3]) == points
                if points == 2:
                    cancelled.set()
    assert points == 2
    assert checksum(session) == before


def test_perplexity_stops_in_the_middle_of_a_window_and_leaves_no_hook(session):
    cancelled = threading.Event()
    ctx = Context(session, cancelled=cancelled)
    model = ctx.model().model
    reached = []
    hooks = [
        model.layers[2].register_forward_hook(lambda *_: cancelled.set()),
        model.layers[3].register_forward_hook(lambda *_: reached.append(3)),
    ]
    with pytest.raises(Cancelled):
        baseline(ctx, windows=7)
    for hook in hooks:
        hook.remove()
    assert not reached
    assert not any(layer._forward_pre_hooks for layer in model.layers)


def test_bits_of_a_dragged_value_need_no_model():
    found = results(number_formats, Session(Path("/nowhere")), value=70000.0, format="fp16")
    assert "/nowhere" in found["no_model"].body.en
    bits = found["bits"]
    assert isinstance(bits, Bits)
    assert bits.rows[3].name.en == "FP16" and bits.rows[3].value == np.inf
    assert bits.edits == "value" and bits.highlight == 3


def test_format_table_holds_every_format_and_its_bound(session):
    found = results(number_formats, session, module="k_proj", value=0.3)
    table = found["value"]
    assert isinstance(table, Table)
    assert len(table.rows) == 11
    for row in table.rows:
        assert row[2] <= row[4] * (1 + 1e-9)
    assert isinstance(found["error_histogram"], Histogram)
    assert metric(found, "sqnr").predicted == pytest.approx(metric(found, "sqnr").value, abs=2)


def test_the_massive_channel_is_found_where_it_is_known_to_be(session):
    found = results(activation_outliers, session, layer=12, site="residual")
    assert metric(found, "channel").value == 507
    assert metric(found, "token").value == 0
    ratio = metric(found, "ratio").value
    assert ratio is not None and ratio > 300
    without = results(activation_outliers, session, layer=12, site="residual", skip_first_token=True)
    assert metric(without, "peak").value < metric(found, "peak").value


def test_the_outlier_lab_says_what_becomes_of_the_tokens_that_it_shows(session):
    step, lost = [], []
    for skip in (False, True):
        found = results(activation_outliers, session, layer=12, tokens=64, skip_first_token=skip)
        zeroed, told = found["zeroed"], found["explanation"]
        assert isinstance(zeroed, Bars) and isinstance(told, Markdown)
        step.append(metric(found, "peak").value / 127)
        lost.append(zeroed.series[skip].values[0])
        assert f"a step of {step[-1]:.3g}" in told.body.en
        assert f"Per tensor: {lost[-1]:.1f} % of the values" in told.body.en
    assert step[0] > 10 * step[1] and lost[0] > lost[1]


def test_points_of_formats_are_numbers_even_beyond_fp16(session):
    found = results(number_formats, session, module="k_proj", absmax=1e6)
    for name in ("levels", "log_levels"):
        plot = found[name]
        assert isinstance(plot, Scatter)
        assert all(np.isfinite(series.x).all() for series in plot.series)


def test_the_title_says_the_very_number_that_is_stored(session):
    found = results(number_formats, session, preview=True, value=65519.99)
    assert found["bits"].title.en == "The bits of 65519.99"


def test_a_layer_that_is_not_there_is_refused_even_where_no_model_is_needed(session):
    with pytest.raises(UsageError, match="layer"):
        results(number_formats, session, layer=10_000)
