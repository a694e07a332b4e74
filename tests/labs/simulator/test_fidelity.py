"""Against figures that others measured: fitted on one device and checked on another, or not fitted at all."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labs.simulator import kernels, online
from labs.simulator.cost import IDEAL
from labs.simulator.fit import fit, search
from labs.simulator.offline import read_offline_runs
from labs.spec import LabError

if TYPE_CHECKING:
    from labs.simulator.fit import Fitted
    from labs.simulator.offline import OfflineRun

PUBLISHED = Path(__file__).parents[4] / "shared" / "published"
OFFLINE = PUBLISHED / "trtllm_v0.17_offline.csv"
ONLINE = PUBLISHED / "vllm_0.19_rtx4090_llama31_8b.csv"

published = pytest.mark.skipif(not PUBLISHED.exists(), reason="the published measurements are not here")


def runs(column: str) -> list[OfflineRun]:
    return [run for run in read_offline_runs(OFFLINE) if run.column == column]


@cache
def fitted() -> Fitted:
    return fit(runs("H100"), "the H100 runs")


@published
def test_fitted_on_h100_it_predicts_a100() -> None:
    found = fitted()
    errors = [
        abs(run.simulate(found.constants, found.reserved_bytes) / run.reported - 1) for run in runs("A100")
    ]
    assert len(errors) == 34
    assert sum(errors) / len(errors) <= 0.12


@published
def test_the_fit_is_close_where_it_was_made_and_repeats() -> None:
    found = fitted()
    assert found.error < 0.05
    assert found == fit(runs("H100"), "the H100 runs")


@published
def test_the_estimate_that_is_fitted_is_what_the_simulator_says() -> None:
    found = fitted()
    for run in runs("H100")[1:9] + runs("A100")[10:15]:
        simulated = run.simulate(found.constants, found.reserved_bytes)
        assert run.estimate(found.constants, found.reserved_bytes) == pytest.approx(simulated, rel=0.03)


@published
def test_the_ideal_is_never_slower_than_what_was_measured() -> None:
    every = runs("H100") + runs("A100")
    slower = [run for run in every if run.estimate(IDEAL, 0.0) < run.reported]
    assert len(slower) <= 0.01 * len(every)


@published
def test_a_served_trace_comes_out_as_measured() -> None:
    """No constant was fitted to this run: they are from kernels that were timed one by one."""
    measured = online.measured(ONLINE)
    assert measured.ttft == pytest.approx(65.46, rel=0.001), "what the source's own summary says"
    simulated = online.simulated(ONLINE, kernels.rtx_4090_constants())
    assert simulated.end_to_end == pytest.approx(measured.end_to_end, rel=0.08)
    assert simulated.tpot == pytest.approx(measured.tpot, rel=0.08)
    assert simulated.ttft == pytest.approx(measured.ttft, rel=0.15)


def test_kernel_constants_are_shares() -> None:
    found = kernels.rtx_4090_constants()
    for share in (found.compute, found.attention, found.bandwidth, found.kv_bandwidth):
        assert 0.7 < share < 1.0
    assert 0.5e-3 < found.step_s < 3e-3


def test_the_search_finds_a_minimum_within_bounds() -> None:
    def error(values: dict[str, float]) -> float:
        return (values["a"] - 3) ** 2 + (values["b"] - 50) ** 2

    found, least = search(error, {"a": (1.0, 0.1, 10.0), "b": (1.0, 0.1, 20.0)}, rounds=60)
    assert found["a"] == pytest.approx(3, rel=1e-3)
    assert found["b"] == 20.0
    assert least == pytest.approx(900, rel=1e-4)


def test_a_malformed_run_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    head = "# measured\nmodel,tp,isl,osl,H100,A100\nL8B,1,128,128,28836.77,\n"
    file.write_text(head + "L8B,1,128,128,fast,\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"runs\.csv, line 4: .*fast"):
        read_offline_runs(file)
    file.write_text(head + "L9B,1,128,128,1.0,\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"line 4: 'L9B'"):
        read_offline_runs(file)
    file.write_text(head, encoding="utf-8")
    assert [run.reported for run in read_offline_runs(file)] == [28836.77]
