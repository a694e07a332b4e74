"""The roofline lab on the real model: what it predicts, counts and shows; no figure of time is asserted."""

from __future__ import annotations

import math

import pytest

from labs.catalog.operator import roofline
from labs.context import Context, Session
from labs.formulas.decoder_demand import PARTS
from labs.results import Markdown, Metric, Provenance, Result, Scatter, Table
from labs.roofline.placed import VERDICTS
from labs.runner import execute

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


@pytest.fixture(scope="module")
def run(session: Session) -> dict[str, Result]:
    return {one.id: one for one in execute(roofline.LAB, roofline.LAB.smoke, Context(session))}


def metric(results: dict[str, Result], name: str) -> Metric:
    found = results[name]
    assert isinstance(found, Metric)
    return found


def test_torch_dispatches_exactly_the_flops_that_are_predicted(run: dict[str, Result]) -> None:
    assert metric(run, "flops").value == metric(run, "flops").predicted


def test_the_step_stands_beside_its_bound(run: dict[str, Result]) -> None:
    step, rate = metric(run, "step"), metric(run, "rate")
    assert step.provenance == Provenance.MEASURED and step.predicted and step.value
    assert rate.value == pytest.approx(1 / step.value)  # one token a step
    assert metric(run, "ridge").provenance == Provenance.MEASURED


def test_every_part_has_a_dot_a_row_and_a_verdict(run: dict[str, Result]) -> None:
    table, scatter = run["parts"], run["roofline"]
    assert isinstance(table, Table) and isinstance(scatter, Scatter)
    verdicts = {verdict.en for verdict in VERDICTS.values()}
    assert len(table.rows) == len(PARTS)
    for row in table.rows:
        assert row[1].en.removesuffix(" (noisy)") in verdicts  # type: ignore[union-attr]
    assert sum(row[2] for row in table.rows) == pytest.approx(100)  # type: ignore[misc]
    dots = [series for series in scatter.series if not series.reference]
    assert sum(len(series.x) for series in dots) == len(PARTS) + 1
    assert all(math.isfinite(y) for series in dots for y in series.y)


def test_changes_are_predicted_and_one_is_tried(run: dict[str, Result]) -> None:
    table = run["next"]
    assert isinstance(table, Table) and isinstance(run["explanation"], Markdown)
    gains = {row[0].en: row[2] for row in table.rows}  # type: ignore[union-attr]
    assert all(gain >= 0.999 for gain in gains.values())  # type: ignore[operator]
    tried = [row for row in table.rows if row[3] is not None]
    assert [row[0].en for row in tried] == ["twice the batch"]  # type: ignore[union-attr]


def test_dragging_a_slider_moves_dots_along_the_roofs_that_are_known(
    session: Session, run: dict[str, Result]
) -> None:
    params = roofline.Params(batch=64)
    shown = {one.id: one for one in execute(roofline.LAB, params, Context(session, preview=True))}
    scatter = shown["roofline"]
    assert isinstance(scatter, Scatter) and scatter.provenance == Provenance.ESTIMATED
    assert metric(shown, "step").provenance == Provenance.ESTIMATED
    assert metric(shown, "intensity").value == pytest.approx(8.76, abs=0.01)
