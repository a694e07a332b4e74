"""The record of what a figure was measured on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from labs import environment as environment_module
from labs.environment import environment
from tests.labs.worker_client import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_record_is_complete() -> None:
    record = environment()
    assert set(record) == {
        "app",
        "python",
        "platform",
        "cpu",
        "cores",
        "memory_bytes",
        "torch",
        "triton",
        "threads",
        "device",
        "device_name",
        "driver",
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert record["app"] == project["version"]
    assert f"torch=={record['torch'].split('+')[0]}" in project["dependencies"]
    assert record["cores"] >= 1 and record["cpu"]


def test_without_torch_it_imports_no_torch_and_knows_its_threads() -> None:
    program = """
import json, sys
from labs.environment import environment
print(json.dumps([environment(), "torch" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    record, imported = json.loads(done.stdout)
    assert not imported
    assert record["threads"] == 3


def test_with_torch_the_threads_are_torchs() -> None:
    import torch

    record = environment()
    assert record["threads"] == torch.get_num_threads()
    assert record["device"] == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_name_for_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nprocessor\t: 1\nmodel name\t: Other\n"
    )
    monkeypatch.setattr(environment_module, "CPUINFO", cpuinfo)
    assert environment_module._cpu_name() == "Fast CPU @ 3 GHz"
    monkeypatch.setattr(environment_module, "CPUINFO", tmp_path / "absent")
    assert environment_module._cpu_name()


@pytest.mark.parametrize(
    "text",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n",
    ],
)
def test_the_driver_of_an_nvidia_device(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = tmp_path / "version"
    version.write_text(text)
    monkeypatch.setattr(environment_module, "NVIDIA_DRIVER", version)
    assert environment_module._driver() == "550.54.15"
    monkeypatch.setattr(environment_module, "NVIDIA_DRIVER", tmp_path / "absent")
    assert environment_module._driver() is None
