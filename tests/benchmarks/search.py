"""A keystroke in the search box: from the character to the results on the screen, typing real queries.

Over the shipped content, and over 1,000 synthetic notes made of the shipped notes' paragraphs, so that common
words stand in nearly all of them: the worst case for ranking and for snippets.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gui.library.notes import find_notes
from gui.window import MainWindow
from tests.benchmarks.event_loop import PaintClock, spin, wait_until
from tests.benchmarks.figures import Figure, p95, percentile
from tests.benchmarks.machine import ROOT
from tests.benchmarks.real_window import real_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.library.library import Library
    from gui.library.outline import Outline

BUDGET_MS = 16.0
NOTES = 1000
PARAGRAPHS = 40  # about the length of a shipped note
QUERIES = {
    "zh": ("量化粒度", "分组 scale", "离群值", "困惑度", "对称量化", "per-channel 量化", "显存带宽", "零点"),
    "en": (
        "quantization granularity",
        "outlier channel",
        "perplexity",
        "symmetric zero point",
        "int8 gemm",
        "the memory bandwidth",
        "group size 128",
        "bf16",
    ),
}
SEED = 20261122


def run() -> Iterator[Figure]:
    content = ROOT / "content"
    with real_window(with_labs=False) as window, tempfile.TemporaryDirectory() as folder:
        yield from _measured(window, "shipped", f"{len(window.library.notes)} shipped notes in two languages")
        synthetic = _synthetic(content, window.library.outline, Path(folder))
        library: Library = replace(
            window.library,
            content=synthetic,
            cache=Path(folder, "cache"),
            notes=find_notes(synthetic / "notes"),
        )
        other = MainWindow(library, lambda: window.client)
        other.resize(window.size())
        other.show()
        yield from _measured(other, "synthetic", f"{NOTES:,} synthetic notes")
        other.close()


def _measured(window: MainWindow, name: str, what: str) -> Iterator[Figure]:
    start = time.perf_counter()
    indexed = window.library.cache / "search.sqlite"
    wait_until(indexed.exists, 60.0, "the index is written")
    written = time.perf_counter() - start
    yield Figure(f"search.{name}.index", f"writing the index in the background, {what}", written, "s")
    window.finder.search()
    spin(200)
    line, clock = window.finder.picker.line, PaintClock(window)
    built = clock.ms(lambda: line.insert("a"))
    yield Figure(f"search.{name}.first", f"first keystroke of a process, {what}", built, "ms")
    samples, found = [], 0
    for language, queries in QUERIES.items():
        window.set_language(language)
        spin(200)
        window.finder.search()
        for query in queries:
            line.clear()
            spin(30)
            for character in query:
                samples.append(clock.ms(lambda c=character: line.insert(c)))  # type: ignore[misc]
            found += bool(window.finder.picker.items())
    window.finder.picker.hide()
    if found < sum(map(len, QUERIES.values())) / 2:
        raise RuntimeError(f"only {found} queries find anything in {what}: ask for what the notes are about")
    what = f"search keystroke to results, {what}"
    spent = clock.cpu_ms[-len(samples) :]
    yield p95(f"search.{name}.p95", f"{what}, 95th pct.", samples, BUDGET_MS, spent)
    worst = percentile(samples, 100)
    yield Figure(f"search.{name}.worst", f"{what}, worst", worst, "ms")


def _synthetic(content: Path, outline: Outline, folder: Path) -> Path:
    """A content folder with the shipped outline and ``NOTES`` notes, half of them in each language."""
    made = folder / "content"
    made.mkdir()
    for name in ("outline.md", "outline.en.toml"):
        shutil.copy(content / name, made / name)
    chance = random.Random(SEED)
    sources = {
        ".md": _paragraphs(path for path in content.glob("notes/*/*.md") if not path.stem.endswith(".en")),
        ".en.md": _paragraphs(content.glob("notes/*/*.en.md")),
    }
    for question in outline.questions[: NOTES // 2]:
        section, _, order = question.id.rpartition("-")
        (made / "notes" / section).mkdir(parents=True, exist_ok=True)
        for ending, paragraphs in sources.items():
            head = f"---\nid: {question.id}\nquestion: synthetic\ndifficulty: 1\n---\n"
            body = "\n\n".join(chance.choices(paragraphs, k=PARAGRAPHS))
            path = made / "notes" / section / f"{order}-synthetic{ending}"
            path.write_text(head + body, encoding="utf-8")
    return made


def _paragraphs(paths: Iterator[Path]) -> list[str]:
    texts = (path.read_text(encoding="utf-8").split("---\n", 2)[2] for path in sorted(paths))
    return [paragraph for text in texts for paragraph in text.split("\n\n") if paragraph.strip()]
