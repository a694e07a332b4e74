"""Running a lab: what theory predicts comes first and then stands beside what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from labs.results import Metric, Provenance, Result
from labs.spec import LabError, UsageError, check_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.spec import Lab, LabParams, Prediction


def execute(lab: Lab, params: LabParams, ctx: Context) -> Iterator[Result]:
    """The results of one run, as they come; one with the id of an earlier one replaces it.

    At each yield the run can be stopped: ``Cancelled`` is raised and the lab's generator closed. UsageError
    for a layer that the model does not have; with no model at all, a lab that needs none runs.
    """
    _check_layers(lab, params, ctx)
    predictions: dict[str, Prediction] = {}
    if lab.predict:
        for prediction in lab.predict(params, ctx):
            ctx.check()
            predictions[prediction.id] = prediction
            yield _estimate(prediction)
    results = lab.run(params, ctx)
    try:
        for result in results:
            ctx.check()
            yield _beside(result, predictions)
    finally:
        # A lab may hold a changed model: its own `finally` must run now, not when it is collected.
        close = getattr(results, "close", None)
        if close:
            close()


def _check_layers(lab: Lab, params: LabParams, ctx: Context) -> None:
    try:
        check_layers(params, lambda: ctx.model_config().layers - 1)
    except UsageError:
        raise
    except LabError:
        if lab.needs_model:
            raise


def _estimate(prediction: Prediction) -> Metric:
    return Metric(
        id=prediction.id,
        title=prediction.title,
        provenance=Provenance.ESTIMATED,
        unit=prediction.unit,
        value=prediction.value,
        source=prediction.formula,
    )


def _beside(result: Result, predictions: dict[str, Prediction]) -> Result:
    prediction = predictions.get(result.id)
    if prediction is None or not isinstance(result, Metric) or result.predicted is not None:
        return result
    if result.unit != prediction.unit:
        raise ValueError(f"{result.id}: predicted in {prediction.unit!r}, measured in {result.unit!r}")
    return msgspec.structs.replace(result, predicted=prediction.value, formula=prediction.formula)
