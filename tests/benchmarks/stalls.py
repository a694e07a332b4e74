"""The longest time that the window did not answer while a lab opened and while it ran.

The real window and worker. A lab's smoke preset runs several times, and the median of the longest gaps is
held against the budget: a single gap may be another process's doing. The remark shows all of them, with the
processor time that the window's own thread spent in each. The first run makes the views of the results and is
a figure of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.event_loop import GapWatch, spin, wait_until
from tests.benchmarks.figures import Figure, median, short
from tests.benchmarks.real_window import real_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.window import MainWindow

BUDGET_MS = 50.0
ROUNDS = 5
LAB_S = 120.0
# Long enough for the last results to be laid out and painted after the run has ended.
SETTLE_MS = 300


def run() -> Iterator[Figure]:
    with real_window() as window:
        watch = GapWatch()
        spin(1000)
        idle = watch.longest_ms()
        yield Figure("stalls.idle", "longest gap of the event loop, nothing happening", idle, "ms")
        for number, (lab_id, lab) in enumerate(window.labs.labs.items()):
            if lab["model_missing"]:
                continue
            gap = _open(window, watch, lab_id)
            note = "makes the panel" if number == 0 else ""
            yield Figure(f"stalls.{lab_id}.open", f"longest gap while {lab_id} opens", gap, "ms", None, note)
            gaps, spent = [], []
            for _ in range(ROUNDS):
                gaps.append(_run(window, watch, lab["smoke"]))
                spent.append(watch.cpu_ms)
            what, first, note = (
                f"{lab_id} runs for the first time",
                gaps.pop(0),
                f"processor time {short(spent.pop(0))} ms",
            )
            yield Figure(f"stalls.{lab_id}.first", f"longest gap while {what}", first, "ms", BUDGET_MS, note)
            remark = f"each run: {_list(gaps)}; processor time in them: {_list(spent)}"
            what = f"longest gap while {lab_id} runs again, median of {len(gaps)}"
            yield Figure(f"stalls.{lab_id}.run", what, median(gaps), "ms", BUDGET_MS, remark, tuple(gaps))


def _list(values: list[float]) -> str:
    return " ".join(map(short, values))


def _open(window: MainWindow, watch: GapWatch, lab_id: str) -> float:
    """The gap until the panel is there; its first run is then stopped, for the next figure is about runs."""
    spin(SETTLE_MS)
    watch.reset()
    window.open_lab(f"lab:{lab_id}")
    spin(0)
    gap = watch.longest_ms()
    window.commands["lab.stop"].trigger()
    _rest(window, lab_id)
    return gap


def _run(window: MainWindow, watch: GapWatch, values: dict[str, object]) -> float:
    assert window.lab is not None
    window.lab.form.set_values(values)
    spin(SETTLE_MS)
    watch.reset()
    window.lab.run_exact()
    _rest(window, window.lab.lab)
    return watch.longest_ms()


def _rest(window: MainWindow, lab_id: str) -> None:
    wait_until(lambda: not window.client.busy, LAB_S, f"{lab_id} ends its run")
    spin(SETTLE_MS)
