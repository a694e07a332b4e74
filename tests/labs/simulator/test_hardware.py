"""The device table: sourced, dense, complete where it says so, and refusing what it does not know."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from labs.results import Provenance
from labs.simulator import hardware
from labs.simulator.hardware import COMPUTE, device, devices, measured_device
from labs.spec import LabError, UsageError

TABLE = tomllib.loads(Path(hardware.__file__).with_name("hardware.toml").read_text(encoding="utf-8"))
KEYS = {"title", "source", "sources", "memory_gib", "memory_bandwidth", "link_bandwidth", "host_bandwidth"}
KEYS |= {"tdp_w", "peak"}


@pytest.mark.parametrize("name", devices())
def test_every_figure_has_a_source(name: str) -> None:
    found = device(name)
    assert found.title and found.memory_bytes and found.memory_bandwidth
    for figure in found.figures.values():
        assert figure.value > 0
        assert figure.source in TABLE["sources"].values()
        assert figure.provenance is Provenance.REPORTED


def test_no_source_is_idle_and_no_key_is_ignored() -> None:
    rows = [row for name, row in TABLE.items() if name != "sources"]
    used = {row["source"] for row in rows} | {key for row in rows for key in row.get("sources", {}).values()}
    assert used == set(TABLE["sources"])
    for row in rows:
        assert set(row) <= KEYS and set(row["peak"]) <= set(COMPUTE)
        assert set(row.get("sources", {})) <= set(row)


@pytest.mark.parametrize("name", devices())
def test_peaks_keep_the_ladder_of_dense_ones(name: str) -> None:
    """A figure with sparsity among dense ones would be twice too large: halving bits doubles the rate."""
    found = device(name)
    known = set(found.computes)
    if {"bf16", "fp8"} <= known:
        assert found.peak("fp8") / found.peak("bf16") == pytest.approx(2, rel=0.02)
    if {"tf32", "bf16"} <= known:
        assert found.peak("bf16") / found.peak("tf32") == pytest.approx(2, rel=0.02)
    # GeForce halves only what accumulates in FP32.
    geforce = 2 if name.startswith("rtx") else 1
    if {"bf16", "int8"} <= known:
        assert found.peak("int8") / found.peak("bf16") == pytest.approx(2 * geforce, rel=0.02)
    if {"fp8", "fp4"} <= known:
        assert found.peak("fp4") / found.peak("fp8") == pytest.approx(2 * geforce, rel=0.02)


@pytest.mark.parametrize(
    ("name", "bf16", "gigabytes_per_s"),
    [
        ("a100-80gb-sxm", 312e12, 2039),
        ("h100-sxm", 989.4e12, 3350),
        ("h100-pcie", 756e12, 2000),
        ("rtx-4090", 165.2e12, 1008),
        ("mi300x", 1307.4e12, 5300),
        ("tpu-v6e", 918e12, 1638),
    ],
)
def test_figures_that_everyone_quotes(name: str, bf16: float, gigabytes_per_s: float) -> None:
    assert device(name).peak("bf16") == bf16
    assert device(name).memory_bandwidth == gigabytes_per_s * 1e9


def test_links_count_one_direction() -> None:
    # Data sheets print 600, 900 and 1,800 GB/s, both directions together.
    links = [device(name).link_bandwidth for name in ("a100-80gb-sxm", "h100-sxm", "b200-sxm")]
    assert links == [300e9, 450e9, 900e9]


def test_a_field_of_its_own_source_says_so() -> None:
    h100 = device("h100-sxm")
    assert "datasheet" in h100.figure("memory_bandwidth").source
    assert "whitepaper" in h100.figure("peak.bf16").source
    assert "DGX B200" in device("b200-sxm").figure("memory_bytes").source


def test_what_no_source_gives_is_refused() -> None:
    with pytest.raises(LabError, match="no source gives the FP8 peak of NVIDIA A100 40 GB PCIe; known: FP32"):
        device("a100-40gb-pcie").peak("fp8")
    with pytest.raises(LabError, match="no source gives the BF16 peak of Apple M4 Max; known: -"):
        device("m4-max").peak("bf16")
    with pytest.raises(LabError, match="no source gives the power of Google TPU v5e") as refusal:
        _ = device("tpu-v5e").tdp_w
    assert "功耗" in refusal.value.text.zh
    assert not device("rtx-4090").knows("link_bandwidth")


def test_an_unknown_device_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no device 'h100-sxn'; did you mean 'h100-sxm'"):
        device("h100-sxn")
    with pytest.raises(UsageError, match="no device 'sources'"):
        device("sources")


def test_this_machine_is_measured() -> None:
    here = measured_device(
        "this machine",
        memory_bytes=8e9,
        memory_bandwidth=44e9,
        peaks={"fp32": 197e9, "bf16": 850e9},
        method="read and GEMM",
    )
    assert here.peak("bf16") == 850e9 and here.computes == ["fp32", "bf16"]
    assert here.figure("memory_bandwidth").provenance is Provenance.MEASURED
    with pytest.raises(LabError, match="bandwidth to the host of this machine"):
        _ = here.host_bandwidth
