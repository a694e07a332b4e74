"""The fleet lab: every metric in its JSON, sweeps and comparisons that say what theory says."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from labs.catalog.system.serving_simulator import LAB, Params
from labs.context import Context
from labs.results import Metric, Table
from labs.runner import execute
from labs.simulator.constants import FITTED, FITTED_RESERVED_BYTES, constants
from labs.simulator.deployment import Deployment
from labs.simulator.fleet import Fleet, Workload, simulate
from labs.simulator.hardware import device
from labs.simulator.load_sweep import Point, knee_per_s, sweep
from labs.simulator.models import model
from labs.simulator.offline import read_offline_runs
from labs.spec import LabError
from tests.labs.simulator import test_fidelity
from tests.labs.worker_client import ROOT

if TYPE_CHECKING:
    from pathlib import Path

METRICS = {
    "requests_per_s",
    "output_tokens_per_s",
    "goodput",
    "attainment",
    "queueing",
    "ttft",
    "tpot",
    "itl",
    "end_to_end",
    "running",
    "busy",
    "mfu",
    "mean_batch",
    "kv_occupancy",
    "kv_peak",
    "fragmentation",
    "preemptions",
    "padding",
    "prefix_hits",
    "energy",
    "energy_per_token",
    "cpu_seconds",
    "peak_rss_mb",
}


def shown(params: Params) -> dict[str, Any]:
    return {result.id: result for result in execute(LAB, params, Context())}


def fleet(**changes: Any) -> Fleet:
    deployment = Deployment(model=model("llama-3-8b"), device=device("a100-80gb-sxm"))
    return Fleet(deployment=deployment, constants=FITTED, **changes)


def test_the_command_line_reports_every_metric_without_torch() -> None:
    program = (
        "import sys; from labs.command_line import main; status = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules, 'torch was imported'; sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "run", LAB.id, "--requests", "50", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)["results"]
    assert {result["id"] for result in results} >= METRICS
    [memory] = [result for result in results if result["id"] == "peak_rss_mb"]
    assert 10 < memory["value"] < 150


def test_little_holds_between_what_the_replicas_and_the_users_saw() -> None:
    running = shown(Params(requests=400))["running"]
    assert isinstance(running, Metric) and running.value is not None
    assert running.value == pytest.approx(running.predicted, rel=0.01)


def test_throughput_follows_the_load_up_to_the_estimated_capacity() -> None:
    workload = Workload(requests=600)
    *_, points = sweep(fleet(), workload, (0.3, 0.6, 1.5), lambda: None)
    served = [point.report.requests_per_s for point in points]
    assert served[1] == pytest.approx(2 * served[0], rel=0.1)
    assert served[2] < 0.8 * points[2].rate_per_s
    assert points[2].report.ttft.mean > 10 * points[0].report.ttft.mean


def test_the_knee_lies_between_the_loads_around_it() -> None:
    *_, points = sweep(fleet(), Workload(requests=50), (0.2,), lambda: None)
    figures = points[0].report

    def at(rate: float, attainment: float) -> Point:
        import msgspec

        return Point(rate, msgspec.structs.replace(figures, attainment=attainment))

    assert knee_per_s([at(1, 1.0), at(2, 0.95), at(3, 0.85)]) == pytest.approx(2.5)
    assert knee_per_s([at(1, 0.5)]) is None
    assert knee_per_s([at(1, 1.0), at(2, 0.9)]) == 2


def test_what_does_not_fit_a_device_says_why() -> None:
    table = shown(Params(view="devices", served_model="llama-2-70b", requests=20, rate_per_s=0.5))["devices"]
    assert isinstance(table, Table)
    notes = {str(row[0]): row[-1] for row in table.rows}
    assert "has 128.5 GiB of weights" in str(notes["NVIDIA GeForce RTX 4090"])
    assert notes["NVIDIA B200 180 GB SXM"] is None


def test_memory_does_not_grow_with_the_requests() -> None:
    def peak(requests: int) -> int:
        tracemalloc.start()
        simulate(fleet(), Workload(requests=requests, prompt=64, answer=4, rate_per_s=20))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(200)
    assert peak(8000) < 1.2 * peak(800)


def test_a_malformed_row_of_the_trace_is_refused_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n0.0,10,5\n1.0,ten,5\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"trace\.csv, line 3: input = ten"):
        shown(Params(workload="trace", trace_path=str(file)))


def test_a_mooncake_trace_hits_the_prefixes_that_it_shares(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 9000 * n, "input_length": 1024, "output_length": 4, "hash_ids": [7, 100 + n]}
        for n in range(4)
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    results = shown(Params(workload="trace", trace_path=str(file), prefix_cache=True))
    assert results["prefix_hits"].value == pytest.approx(100 * 3 * 512 / (4 * 1024))


def test_a_table_of_timed_steps_takes_the_place_of_the_roofline(tmp_path: Path) -> None:
    file = tmp_path / "steps.csv"
    file.write_text(
        "kind,tokens,context,seconds\ndecode,1,0,0.02\ndecode,9,0,0.02\nprefill,64,0,0.02\n", encoding="utf-8"
    )
    results = shown(Params(calibration="table", table_path=str(file), requests=50, rate_per_s=1.0))
    assert results["tpot"].value == pytest.approx(0.02)
    with pytest.raises(LabError, match="a table is one device's"):
        shown(Params(view="devices", calibration="table", table_path=str(file)))


def test_without_the_files_the_fidelity_view_says_what_it_needs(tmp_path: Path) -> None:
    [text] = shown(Params(view="fidelity", published=str(tmp_path))).values()
    assert "trtllm_v0.17_offline.csv" in text.body.en


@test_fidelity.published
def test_the_shipped_constants_are_what_the_fit_finds() -> None:
    found = test_fidelity.fitted()
    for name in ("compute", "attention", "bandwidth", "kv_bandwidth", "link", "step_s", "sequence_s"):
        assert getattr(FITTED, name) == pytest.approx(getattr(found.constants, name), rel=1e-3), name
    assert pytest.approx(found.reserved_bytes, rel=1e-3) == FITTED_RESERVED_BYTES
    assert read_offline_runs(test_fidelity.OFFLINE)


@pytest.mark.parametrize("name", ["a100-80gb-sxm", "h100-sxm", "rtx-4090", "mi300x"])
def test_constants_are_shares_with_a_source(name: str) -> None:
    ideal = constants("ideal", name)
    for calibration in ("fitted", "kernels"):
        found = constants(calibration, name)  # type: ignore[arg-type]
        assert found.source and 0.5 < found.compute <= ideal.compute
        assert 0.5 < found.bandwidth <= ideal.bandwidth
