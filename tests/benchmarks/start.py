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
from typing import TYPE_CHECKING, NamedTuple

from gui.library.outline_files import load_outline
from tests.benchmarks.figures import Figure, median, short, spread
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
        # Compiled modules are kept, as they are for a user, but not beside the sources.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "compiled"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # Once each, to fill caches: files, compiled modules, the note's HTML, the last place.
        _start(bare, environment)
        _start([*app, f"note:{NOTE}"], environment)
        rounds = [(_start(bare, environment), _start(app, environment)) for _ in range(ROUNDS)]
    for moment in ("first_paint", "ready"):
        what = f"start to {moment.replace('_', ' ')}"
        bares = [getattr(bare_start, moment) for bare_start, _ in rounds]
        ours = [getattr(app_start, moment) for _, app_start in rounds]
        ratio = _ratio(ours, bares, "ms")
        remark = f"by processor time {short(_ratio(ours, bares, 'cpu_ms'))} x"
        yield Figure(f"start.{moment}.ratio", f"{what}, of the bare window's", ratio, "x", RATIO, remark)
        yield _absolute(f"start.{moment}", what, ours, 1000 * SECONDS)
        yield _absolute(f"start.{moment}.bare", f"{what}, bare window", bares, None)


class Moment(NamedTuple):
    """Milliseconds since before the process existed, and those in which it computed."""

    ms: float
    cpu_ms: float


class Start(NamedTuple):
    first_paint: Moment
    ready: Moment


def _ratio(ours: list[Moment], bares: list[Moment], clock: str) -> float:
    """The median over the pairs that were started one after the other: a processor changes its pace."""
    pairs = zip(ours, bares, strict=True)
    return median([getattr(our, clock) / getattr(bare, clock) for our, bare in pairs])


def _absolute(name: str, what: str, moments: list[Moment], budget_ms: float | None) -> Figure:
    samples = [moment.ms for moment in moments]
    cpu = short(median([moment.cpu_ms for moment in moments]))
    remark = f"{spread(samples, 'ms')}; processor time: median {cpu} ms"
    return Figure(name, what, median(samples), "ms", budget_ms, remark, tuple(samples))


def _start(module_and_arguments: list[str], environment: dict[str, str]) -> Start:
    """Start it, let it close itself."""
    start = time.monotonic()
    command = [sys.executable, "-m", *module_and_arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    words = [1000 * float(word) for word in done.stdout.split()]
    if done.returncode or len(words) != 4:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    painted, painted_cpu, ready, ready_cpu = words
    return Start(Moment(painted - 1000 * start, painted_cpu), Moment(ready - 1000 * start, ready_cpu))


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
