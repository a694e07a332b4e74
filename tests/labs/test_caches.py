"""What the system tells of its caches, and how data is kept out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs import caches
from labs.caches import Cache, copies_beyond_cache, cpu_caches, last_level_cache_bytes, rotate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    cpu_caches.cache_clear()
    yield
    cpu_caches.cache_clear()


def _sysfs(folder: Path) -> None:
    rows = [("Data", 1, "32K", "0"), ("Instruction", 1, "32K", "0"), ("Unified", 2, "512K", "0,8")]
    for index, (kind, level, size, shared) in enumerate([*rows, ("Unified", 3, "32768K", "0-7,8-15")]):
        place = folder / f"index{index}"
        place.mkdir(parents=True)
        names = {"type": kind, "level": str(level), "size": size, "shared_cpu_list": shared}
        for name, text in names.items():
            (place / name).write_text(f"{text}\n")


def test_the_system_tells_its_data_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _sysfs(tmp_path)
    monkeypatch.setattr(caches, "_SYSFS", tmp_path)
    assert cpu_caches() == (Cache(1, 32 * 2**10, 1), Cache(2, 2**19, 2), Cache(3, 2**25, 16))
    assert last_level_cache_bytes("cpu") == 2**25


def test_where_it_does_not_tell_the_sizes_are_said_to_be_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "_SYSFS", tmp_path / "none")
    monkeypatch.setattr("labs.caches.sys.platform", "other")
    assert [cache.level for cache in cpu_caches()] == [1, 2, 3]
    assert all(cache.assumed for cache in cpu_caches())


def test_apple_tells_by_sysctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"hw.perflevel0.l1dcachesize": 131072, "hw.perflevel0.l2cachesize": 16777216}
    monkeypatch.setattr(caches, "_SYSFS", tmp_path / "none")
    monkeypatch.setattr("labs.caches.sys.platform", "darwin")
    monkeypatch.setattr(caches, "_sysctl", lambda name: told.get(name, 0))
    assert cpu_caches() == (Cache(1, 131072), Cache(2, 16777216))


@pytest.mark.parametrize("size", [100, 2**20, 2**30])
def test_a_copy_comes_round_only_after_the_cache_was_filled(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "last_level_cache_bytes", lambda device: 2**22)
    copies = copies_beyond_cache(size, "cpu")
    assert copies >= 2 and copies * size >= 2 * 2**22
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    turn = rotate(make, size, "cpu")
    first = [turn() for _ in range(copies)]
    assert first == made and turn() == first[0]
