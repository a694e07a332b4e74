"""The parsed outline kept on disk, so that a start reads one small file instead of parsing two large ones.

A cache: it is made again whenever a file of the outline is written, and nothing is lost with it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gui.library.outline import Node, Outline
from gui.library.outline_files import load_outline

if TYPE_CHECKING:
    from pathlib import Path

# Raise it whenever what is stored, or how the outline is parsed, changes.
FORMAT = 1
SOURCES = ("outline.md", "outline.en.toml")


def load_cached_outline(content_dir: Path, cache_dir: Path) -> Outline:
    """The same as ``load_outline(content_dir)``, which it raises OutlineError like."""
    path = cache_dir / "outline.json"
    stamp = _stamp(content_dir)
    found = _load(path, stamp)
    if found is None:
        found = load_outline(content_dir)
        _save(path, found, stamp)
    return found


def _stamp(content_dir: Path) -> list[Any]:
    """Changes when either file is written; a missing one is for ``load_outline`` to name."""
    stamp: list[Any] = [FORMAT, str(content_dir)]
    for name in SOURCES:
        try:
            stat = (content_dir / name).stat()
        except OSError:
            return []
        stamp += [stat.st_mtime_ns, stat.st_size]
    return stamp


def _load(path: Path, stamp: list[Any]) -> Outline | None:
    try:
        stored = json.loads(path.read_bytes())
        return _built(stored["nodes"]) if stamp and stored["stamp"] == stamp else None
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def _built(rows: list[list[Any]]) -> Outline:
    outline = Outline()
    nodes: list[Node] = []
    for above, node_id, kind, title_zh, title_en, line in rows:
        parent = nodes[above] if above >= 0 else None
        node = Node(node_id, kind, title_zh, line, parent, title_en)
        (parent.children if parent else outline.parts).append(node)
        outline.nodes[node_id] = node
        nodes.append(node)
    return outline


def _save(path: Path, outline: Outline, stamp: list[Any]) -> None:
    """Written aside and renamed, so that a killed app leaves no half file. A full disk costs time only."""
    places = {node_id: place for place, node_id in enumerate(outline.nodes)}
    rows = [
        [
            places[node.parent.id] if node.parent else -1,
            node.id,
            node.kind,
            node.title_zh,
            node.title_en,
            node.line,
        ]
        for node in outline.nodes.values()
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps({"stamp": stamp, "nodes": rows}, ensure_ascii=False), encoding="utf-8")
        aside.replace(path)
    except OSError:
        pass
