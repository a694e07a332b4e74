"""Prediction first, measurement beside it; each yield a point to stop at; the generator always closed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from labs.context import Cancelled, Context
from labs.results import Metric, Provenance, Result
from labs.runner import execute
from labs.spec import Field, Lab, LabParams, Prediction, UsageError
from labs.text import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Params(LabParams):
    bits: Annotated[int, Field(zh="位宽", en="Bits", zh_help="位宽", en_help="Bits")] = 4


def metric(value: float, **rest: Any) -> Metric:
    fields = {"id": "size", "title": same("size"), "provenance": Provenance.MEASURED, "unit": "B", **rest}
    return Metric(value=value, **fields)


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    yield Prediction(id="size", title=same("size"), value=params.bits / 8, unit="B", formula=same("bits / 8"))


def lab(run: Callable[[Any, Context], Iterator[Result]], **rest: Any) -> Lab:
    text = same("x")
    return Lab(
        id="model/x", title=text, summary=text, sections=[], params=Params, run=run, smoke=Params(), **rest
    )


def test_the_prediction_comes_first_and_then_stands_beside_the_measurement() -> None:
    def run(params: Params, ctx: Context) -> Iterator[Result]:
        yield metric(0.25)
        yield metric(0.5)
        yield metric(9.0, id="other")

    predicted, first, second, other = execute(lab(run, predict=predict), Params(), Context())
    assert predicted == Metric(
        id="size",
        title=same("size"),
        provenance=Provenance.ESTIMATED,
        unit="B",
        value=0.5,
        source=same("bits / 8"),
    )
    assert isinstance(first, Metric) and isinstance(second, Metric) and isinstance(other, Metric)
    assert (first.value, first.predicted, first.formula) == (0.25, 0.5, same("bits / 8"))
    assert (second.value, second.predicted) == (0.5, 0.5)
    assert other.predicted is None


def test_a_lab_may_state_its_own_prediction() -> None:
    def run(params: Params, ctx: Context) -> Iterator[Result]:
        yield metric(0.25, predicted=0.75, formula=same("mine"))

    *_, measured = execute(lab(run, predict=predict), Params(), Context())
    assert isinstance(measured, Metric) and (measured.predicted, measured.formula) == (0.75, same("mine"))


def test_a_prediction_in_another_unit_is_our_bug() -> None:
    def run(params: Params, ctx: Context) -> Iterator[Result]:
        yield metric(0.25, unit="MiB")

    with pytest.raises(ValueError, match="size: predicted in 'B', measured in 'MiB'"):
        list(execute(lab(run, predict=predict), Params(), Context()))


def test_each_yield_is_a_point_to_stop_at_and_the_lab_is_closed() -> None:
    closed = []

    def run(params: Params, ctx: Context) -> Iterator[Result]:
        try:
            for value in range(10):
                yield metric(float(value))
        finally:
            closed.append(True)

    cancelled = threading.Event()
    results = execute(lab(run), Params(), Context(cancelled=cancelled))
    next(results)
    cancelled.set()
    with pytest.raises(Cancelled):
        next(results)
    assert closed == [True]


def test_a_lab_that_catches_exceptions_is_stopped_all_the_same() -> None:
    def run(params: Params, ctx: Context) -> Iterator[Result]:
        while True:
            try:
                ctx.check()
            except Exception:
                pytest.fail("caught what was not meant for the lab")
            yield metric(1.0)

    cancelled = threading.Event()
    results = execute(lab(run), Params(), Context(cancelled=cancelled))
    next(results)
    cancelled.set()
    with pytest.raises(Cancelled):
        next(results)


def test_a_layer_beyond_the_model_is_refused_before_the_lab_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Layered(LabParams):
        layer: Annotated[
            int, Field(zh="层", en="Layer", zh_help="层", en_help="Layer", ge=0, le="last_layer")
        ] = 0

    class FourLayers:
        layers = 4

    def run(params: Layered, ctx: Context) -> Iterator[Result]:
        yield metric(float(params.layer))

    monkeypatch.setattr(Context, "model_config", lambda self: FourLayers())
    last = list(execute(lab(run), Layered(layer=3), Context()))
    assert isinstance(last[0], Metric) and last[0].value == 3.0
    with pytest.raises(UsageError, match="layer = 4 is out of range: allowed 0 – 3; nearest 3"):
        next(execute(lab(run), Layered(layer=4), Context()))
