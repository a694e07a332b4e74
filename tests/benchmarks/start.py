"""From process start to the first paint and to ready, beside a bare window with an equal tree.

Both are fresh processes, started in turn, so that a busy moment of the machine meets both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gui.library.outline import load_outline
from tests.benchmarks.figures import Figure, median, spread
from tests.benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.library.outline import Node

ROUNDS = 11
RATIO = 1.5
SECONDS = 0.5
NOTE = "1.2.1-07"


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        nodes = Path(folder, "nodes.tsv")
        nodes.write_text(_nodes(), encoding="utf-8")
        bare = ["tests.benchmarks.start_bare", str(nodes)]
        app = ["tests.benchmarks.start_app", "--data", str(Path(folder, "data")), "--language", "en"]
        # Once each, to fill caches: files, compiled modules, the note's HTML, the last place.
        _start(bare)
        _start([*app, f"note:{NOTE}"])
        rounds = [(_start(bare), _start(app)) for _ in range(ROUNDS)]
    for moment, name, what in ((0, "first_paint", "first paint"), (1, "ready", "ready")):
        ours = [1000 * app_times[moment] for _, app_times in rounds]
        bares = [1000 * bare_times[moment] for bare_times, _ in rounds]
        ratio = median(ours) / median(bares)
        yield Figure(f"start.{name}.ratio", f"start to {what}, of the bare window's", ratio, "x", RATIO)
        yield _absolute(f"start.{name}", f"start to {what}", ours, 1000 * SECONDS)
        yield _absolute(f"start.{name}.bare", f"start to {what}, bare window", bares, None)


def _absolute(name: str, what: str, samples_ms: list[float], budget_ms: float | None) -> Figure:
    remark = spread(samples_ms, "ms")
    return Figure(name, what, median(samples_ms), "ms", budget_ms, remark, tuple(samples_ms))


def _start(module_and_arguments: list[str]) -> tuple[float, float]:
    """Seconds from before the process existed to its first paint, and to ready."""
    start = time.monotonic()
    command = [sys.executable, "-m", *module_and_arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60)
    if done.returncode or len(done.stdout.split()) != 2:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    painted, ready = (float(word) - start for word in done.stdout.split())
    return painted, ready


def _nodes() -> str:
    """The outline as the bare window reads it, open where the app shows it open."""
    outline = load_outline(ROOT / "content")
    opened = {outline.parts[0].id}
    above = outline.nodes[NOTE].parent
    while above is not None:
        opened.add(above.id)
        above = above.parent
    lines: list[str] = []

    def add(node: Node, depth: int) -> None:
        lines.append(f"{depth}\t{int(node.id in opened)}\t{node.title_en}\n")
        for child in node.children:
            add(child, depth + 1)

    for part in outline.parts:
        add(part, 0)
    return "".join(lines)
