"""The memory lab: what it counts needs no model, what it measures is what it predicted."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from labs.catalog.system import memory_ledger
from labs.context import Context, Session
from labs.results import BlockMap, Lines, Markdown, Metric, Table, Timeline
from labs.runner import execute
from labs.simulator.hardware import devices
from labs.simulator.models import models
from labs.spec import LabError


def results(session: Session, **values: object) -> dict[str, object]:
    """The last result of each id."""
    params = memory_ledger.Params(**values)  # type: ignore[arg-type]
    return {result.id: result for result in execute(memory_ledger.LAB, params, Context(session))}


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


@pytest.fixture
def no_model() -> Session:
    return Session(Path("/nowhere"))


def choices(field: str) -> set[str]:
    hints = typing.get_type_hints(memory_ledger.Params)
    return set(typing.get_args(hints[field]))


def test_every_model_and_device_of_the_tables_can_be_chosen() -> None:
    assert choices("model_name") == {*models(), "loaded"}
    assert choices("device") == {*devices(), "this-machine"}


def test_what_is_counted_needs_no_model(no_model: Session) -> None:
    ledger = results(no_model, mode="ledger")
    assert isinstance(ledger["bytes"], Timeline)
    total = ledger["total"]
    assert isinstance(total, Metric) and total.value is not None and total.value > 48 * 2**30
    assert "/nowhere" in ledger["no_model"].body.en  # type: ignore[attr-defined]
    fit = results(no_model, mode="fit")
    assert isinstance(fit["frontier"], Lines) and isinstance(fit["devices"], Table)
    offload = results(no_model, mode="offload")
    assert isinstance(offload["weights"], Table) and "kv" not in offload
    assert set(results(no_model, mode="activations")) == {"no_model"}


def test_the_bars_of_a_lane_follow_each_other_and_end_at_the_capacity(no_model: Session) -> None:
    bars = results(no_model, check=False)["bytes"]
    assert isinstance(bars, Timeline)
    for lane in range(len(bars.lanes)):
        mine = bars.lane == lane
        start, end = bars.start[mine], bars.end[mine]
        assert start[0] == 0 and list(start[1:]) == list(end[:-1])
        assert end[-1] == 80 * 2**30


def test_a_link_that_no_source_gives_is_refused_in_words(no_model: Session) -> None:
    offload = results(no_model, mode="offload", device="m4-max")
    notice = offload["no_figure"]
    assert isinstance(notice, Markdown) and "Apple M4 Max" in notice.body.en
    with pytest.raises(LabError, match="config"):
        results(no_model, config="/nowhere/config.json")


def test_a_config_stands_for_a_model(no_model: Session, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,'
        '"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100}',
        encoding="utf-8",
    )
    found = results(no_model, config=str(tmp_path), check=False)
    token = found["token_bytes"]
    assert isinstance(token, Metric) and token.value == 2 * 2 * 2 * 16 * 2


@pytest.mark.model
def test_the_engine_allocates_what_the_ledger_predicts(session: Session) -> None:
    found = results(session, mode="ledger")
    for name in ("engine_weights", "engine_kv", "engine_workspace"):
        metric = found[name]
        assert isinstance(metric, Metric)
        assert metric.value == metric.predicted, name


@pytest.mark.model
def test_reuse_and_in_place_operations_save_what_the_block_says(session: Session) -> None:
    found = results(session, mode="activations", tokens=64)
    peak = found["peak"]
    assert isinstance(peak, Metric) and peak.value == peak.predicted
    reuse, in_place = found["reuse"], found["in_place"]
    assert isinstance(reuse, Metric) and isinstance(in_place, Metric)
    assert reuse.value is not None and 50 < reuse.value < 75
    # Of 2C + 3F the product of gate and up is written over the gate: F less.
    assert in_place.value == pytest.approx(100 * 1536 / (2 * 576 + 3 * 1536), abs=0.5)
    assert isinstance(found["arena"], BlockMap)


@pytest.mark.model
def test_streaming_and_reloading_change_no_result(session: Session) -> None:
    found = results(session, mode="offload", tokens=8, layers=2)
    text = found["explanation"]
    assert isinstance(text, Markdown)
    assert "identical to" in text.body.en and "bit for bit the same" in text.body.en
    passes = found["passes"]
    assert isinstance(passes, Timeline) and len(passes.lane) == 2 * 2 * 2
