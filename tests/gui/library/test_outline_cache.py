"""The cached outline is the parsed one, and never an older one."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from gui.library import outline_cache
from gui.library.outline import Node, Outline, OutlineError
from gui.library.outline_cache import load_cached_outline
from gui.library.outline_files import load_outline

CONTENT = Path(__file__).resolve().parents[3] / "content"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    folder.mkdir()
    for name in outline_cache.SOURCES:
        shutil.copy(CONTENT / name, folder)
    return folder


def rows(outline: Outline) -> list[tuple[object, ...]]:
    return [
        (key, node.id, node.kind, node.title_zh, node.title_en, node.line, _family(node))
        for key, node in outline.nodes.items()
    ]


def _family(node: Node) -> tuple[str | None, list[str]]:
    return node.parent.id if node.parent else None, [child.id for child in node.children]


def parsing_fails(_content: Path) -> Outline:
    raise AssertionError("parsed although the cache was current")


def test_the_second_start_parses_nothing(
    content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = load_outline(content)
    assert rows(load_cached_outline(content, tmp_path / "cache")) == rows(parsed)
    monkeypatch.setattr(outline_cache, "load_outline", parsing_fails)
    cached = load_cached_outline(content, tmp_path / "cache")
    assert rows(cached) == rows(parsed)
    assert [part.id for part in cached.parts] == [part.id for part in parsed.parts]
    assert cached.counts() == parsed.counts()


@pytest.mark.parametrize("name", outline_cache.SOURCES)
def test_a_written_file_is_parsed_again(content: Path, tmp_path: Path, name: str) -> None:
    before = load_cached_outline(content, tmp_path)
    text = (content / name).read_text(encoding="utf-8")
    plain = re.compile(r"^- [^\[\n]+$" if name.endswith(".md") else r'^"1" = "[^"]+', re.MULTILINE)
    changed, count = plain.subn(lambda line: line[0] + " (new)", text, count=1)
    assert count == 1
    (content / name).write_text(changed, encoding="utf-8")
    os.utime(content / name, ns=(1, 1))  # a coarse clock may not tell the two writes apart
    after = load_cached_outline(content, tmp_path)
    assert rows(after) == rows(load_outline(content))
    assert rows(after) != rows(before)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"stamp": [], "nodes": []}', b"\xff"])
def test_a_damaged_cache_costs_time_only(content: Path, tmp_path: Path, damage: bytes) -> None:
    load_cached_outline(content, tmp_path)
    (tmp_path / "outline.json").write_bytes(damage)
    assert rows(load_cached_outline(content, tmp_path)) == rows(load_outline(content))
    assert (tmp_path / "outline.json").stat().st_size > len(damage)


def test_a_cache_that_cannot_be_written_costs_time_only(content: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert load_cached_outline(content, tmp_path / "file").counts() == load_outline(content).counts()


def test_a_malformed_outline_is_refused_though_cached(content: Path, tmp_path: Path) -> None:
    load_cached_outline(content, tmp_path)
    (content / "outline.en.toml").write_text("not toml", encoding="utf-8")
    with pytest.raises(OutlineError, match=r"outline\.en\.toml"):
        load_cached_outline(content, tmp_path)
    (content / "outline.md").unlink()
    with pytest.raises(OutlineError, match="cannot be read"):
        load_cached_outline(content, tmp_path)
