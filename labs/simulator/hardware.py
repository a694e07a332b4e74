"""What devices can do at best, by their published figures: memory, bandwidths, dense peaks, power.

Each figure carries its source, from ``hardware.toml``, or says that it was measured. Peaks are dense ones: a
figure with structured sparsity is never among them. A figure that is not known is refused, not guessed.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from labs.results import Provenance
from labs.spec import LabError, unknown_name
from labs.text import Text

Compute = Literal["fp32", "tf32", "bf16", "fp8", "int8", "fp4"]
COMPUTE: tuple[Compute, ...] = ("fp32", "tf32", "bf16", "fp8", "int8", "fp4")

_TABLE = Path(__file__).with_name("hardware.toml")
_NAMES = {
    "memory_bytes": Text(zh="显存容量", en="memory capacity"),
    "memory_bandwidth": Text(zh="显存带宽", en="memory bandwidth"),
    "link_bandwidth": Text(zh="卡间互连带宽", en="bandwidth between devices"),
    "host_bandwidth": Text(zh="与主机之间的带宽", en="bandwidth to the host"),
    "tdp_w": Text(zh="功耗", en="power"),
}


class Figure(msgspec.Struct, frozen=True):
    """One number, and where it comes from."""

    value: float
    source: str
    provenance: Provenance = Provenance.REPORTED


class Device(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One accelerator. Asking for a figure that is not known raises LabError.

    ``figures`` has the keys of the properties below, and ``peak.`` with a compute type.
    """

    name: str
    title: str
    figures: Mapping[str, Figure]

    @property
    def memory_bytes(self) -> float:
        """Capacity in bytes, of which drivers and runtimes reserve a part."""
        return self.figure("memory_bytes").value

    @property
    def memory_bandwidth(self) -> float:
        """Bytes/s of reading device memory."""
        return self.figure("memory_bandwidth").value

    @property
    def link_bandwidth(self) -> float:
        """Bytes/s to other devices, in one direction, over all links of this device together."""
        return self.figure("link_bandwidth").value

    @property
    def host_bandwidth(self) -> float:
        """Bytes/s to or from the host, in one direction, before protocol overhead."""
        return self.figure("host_bandwidth").value

    @property
    def tdp_w(self) -> float:
        """The most power that it may draw in the long run, in W."""
        return self.figure("tdp_w").value

    def peak(self, compute: Compute) -> float:
        """Dense FLOP/s (operations/s for ``int8``); ``bf16`` stands for FP16 too."""
        return self.figure(f"peak.{compute}").value

    @property
    def computes(self) -> list[Compute]:
        """The compute types whose peak is known."""
        return [compute for compute in COMPUTE if f"peak.{compute}" in self.figures]

    def knows(self, key: str) -> bool:
        return key in self.figures

    def figure(self, key: str) -> Figure:
        """The figure with its source; LabError says that there is none."""
        if key not in self.figures:
            raise self._unknown(key)
        return self.figures[key]

    def _unknown(self, key: str) -> LabError:
        if not key.startswith("peak."):
            what = _NAMES[key]
            zh, en = f"没有 {self.title} 的{what.zh}数据", f"no source gives the {what.en} of {self.title}"
            return LabError(Text(zh=zh, en=en))
        compute, listed = key.removeprefix("peak.").upper(), ", ".join(self.computes).upper() or "-"
        return LabError(
            Text(
                zh=f"没有 {self.title} 的 {compute} 峰值数据；已有：{listed}",
                en=f"no source gives the {compute} peak of {self.title}; known: {listed}",
            )
        )


def devices() -> list[str]:
    """Names of the devices of the table."""
    return [name for name in _table() if name != "sources"]


@functools.cache
def device(name: str) -> Device:
    """A device of the table. UsageError with the nearest name for one that is not there."""
    if name not in devices():
        raise unknown_name("device", "设备", name, devices())
    row = _table()[name]
    values = {key: row[key] for key in _NAMES if key in row}
    values["memory_bytes"] = row["memory_gib"] * 2**30
    values |= {f"peak.{compute}": peak for compute, peak in row["peak"].items()}
    sources = row.get("sources", {})
    sources = {"memory_bytes": sources.get("memory_gib", row["source"]), **sources}
    figures = {
        key: Figure(float(value), _table()["sources"][sources.get(key, row["source"])])
        for key, value in values.items()
    }
    return Device(name=name, title=row["title"], figures=figures)


def measured_device(
    title: str,
    *,
    memory_bytes: float,
    memory_bandwidth: float,
    peaks: Mapping[Compute, float],
    method: str,
    host_bandwidth: float | None = None,
) -> Device:
    """This machine, as measured now; ``method`` says how. ``memory_bytes`` is what may be used."""
    values = {"memory_bytes": memory_bytes, "memory_bandwidth": memory_bandwidth}
    if host_bandwidth is not None:
        values["host_bandwidth"] = host_bandwidth
    values |= {f"peak.{compute}": peak for compute, peak in peaks.items()}
    figures = {key: Figure(value, method, Provenance.MEASURED) for key, value in values.items()}
    return Device(name="this-machine", title=title, figures=figures)


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))
