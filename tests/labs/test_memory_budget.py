"""Free memory is the least of what the kernel and the control groups leave; what does not fit is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs import memory_budget
from labs.memory_budget import free_bytes, reserve
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 16 GiB available and no control groups."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 33554432 kB\nMemAvailable: {16 * 2**20} kB\n")
    (tmp_path / "cgroup").write_text("")
    monkeypatch.setattr(memory_budget, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory_budget, "CGROUP_OF_SELF", tmp_path / "cgroup")
    monkeypatch.setattr(memory_budget, "CGROUP_ROOT", tmp_path / "fs")
    return tmp_path


def group(machine: Path, path: str, **files: int | str) -> None:
    folder = machine / "fs" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_without_control_groups(machine: Path) -> None:
    assert free_bytes() == 16 * GIB


def test_version_2_limits_of_the_group_and_its_parents(machine: Path) -> None:
    (machine / "cgroup").write_text("0::/user/app\n")
    group(machine, "user/app", memory__max="max", memory__current=GIB)
    group(
        machine,
        "user",
        memory__max=4 * GIB,
        memory__current=3 * GIB,
        memory__stat=f"inactive_file {GIB // 2}",
    )
    assert free_bytes() == GIB + GIB // 2


def test_version_1_limit_inside_a_container(machine: Path) -> None:
    """The path is the host's and does not exist inside; the mounted root is the container's own group."""
    (machine / "cgroup").write_text("5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    group(
        machine,
        "memory",
        memory__limit_in_bytes=2 * GIB,
        memory__usage_in_bytes=GIB,
        memory__stat="cache 5\ntotal_inactive_file 0",
    )
    assert free_bytes() == GIB


def test_version_1_writes_no_limit_as_a_huge_number(machine: Path) -> None:
    (machine / "cgroup").write_text("4:memory:/\n")
    group(machine, "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=GIB)
    assert free_bytes() == 16 * GIB


def test_where_the_platform_does_not_say_nothing_is_refused(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_budget, "MEMINFO", machine / "absent")
    monkeypatch.setattr(memory_budget, "CGROUP_OF_SELF", machine / "absent")
    assert free_bytes() is None
    reserve(2**60, Text(zh="一切", en="everything"))


def test_what_fits_beside_the_headroom_is_allowed(machine: Path) -> None:
    usable = 16 * GIB - int(16 * GIB * memory_budget.HEADROOM_SHARE)
    reserve(usable, Text(zh="分数", en="the scores"))
    with pytest.raises(LabError):
        reserve(usable + 1, Text(zh="分数", en="the scores"))


def test_the_headroom_of_a_small_machine(machine: Path) -> None:
    (machine / "meminfo").write_text(f"MemAvailable: {2**20} kB\n")
    reserve(512 * 2**20, Text(zh="分数", en="the scores"))
    with pytest.raises(LabError):
        reserve(512 * 2**20 + 1, Text(zh="分数", en="the scores"))


def test_the_refusal_says_needed_free_and_what_to_lower(machine: Path) -> None:
    (machine / "meminfo").write_text(f"MemAvailable: {2**20} kB\n")
    with pytest.raises(LabError) as refusal:
        reserve(
            3 * GIB,
            Text(zh="注意力分数", en="the attention scores"),
            lower=Text(zh="请减少词元数", en="Use fewer tokens"),
        )
    assert refusal.value.text == Text(
        zh="内存不足：注意力分数需要 3.0 GiB，可用 512.0 MiB（cpu）。请减少词元数。",
        en="Not enough memory for the attention scores: 3.0 GiB needed, 512.0 MiB free (cpu). "
        "Use fewer tokens.",
    )


def test_this_machine_has_some_free_memory() -> None:
    free = free_bytes()
    assert free is None or free > 0
