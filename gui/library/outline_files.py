"""The outline as its two files give it: the tree of ``outline.md``, the titles of ``outline.en.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.library.outline import Outline, OutlineError
from gui.library.outline_parser import parse_outline

if TYPE_CHECKING:
    from pathlib import Path


def load_outline(content_dir: Path) -> Outline:
    """The outline of ``outline.md`` with the titles of ``outline.en.toml``; raises OutlineError."""
    outline = parse_outline(_read(content_dir / "outline.md"))
    add_english_titles(outline, _read(content_dir / "outline.en.toml"))
    return outline


def add_english_titles(outline: Outline, toml: str) -> None:
    """Fill in ``title_en`` from a table of id to title; every node needs one, no other id may have one."""
    import tomllib  # 10 ms, and a start with a current cache needs none of it

    try:
        titles = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise _title_error(str(error)) from error
    if missing := [node_id for node_id in outline.nodes if node_id not in titles]:
        raise _title_error(f"{len(missing)} ids have no title, the first is {missing[0]!r}")
    if superfluous := [node_id for node_id in titles if node_id not in outline.nodes]:
        raise _title_error(f"{len(superfluous)} ids are not in the outline, the first is {superfluous[0]!r}")
    for node_id, title in titles.items():
        if not isinstance(title, str) or not title.strip():
            raise _title_error(f"the title of {node_id!r} is empty or not a text: {title!r}")
        outline.nodes[node_id].title_en = title


def _title_error(reason: str) -> OutlineError:
    return OutlineError("outline.en.toml", 0, "", reason)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise OutlineError(path.name, 0, "", f"cannot be read: {error.strerror} ({path})") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        wrong = repr(error.object[error.start : error.end])
        raise OutlineError(path.name, line, wrong, "not UTF-8") from error
