"""A slider held and moved in the granularity lab: from the new value to its first painted results.

Each move waits for the picture of the one before; then the same again without waiting, a move every 30 ms, as
a hand does it: there the time runs until a result of that value or of a newer one is painted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QSlider

from tests.benchmarks.event_loop import PaintWatch, spin, wait_until
from tests.benchmarks.figures import Figure, p95
from tests.benchmarks.real_window import real_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.window import MainWindow

LAB = "model/quantization_granularity"
BUDGET_MS = 100.0
MOVES = 56
HAND_MS = 30
# The bits slider's stops, up and down: each move changes the value.
STOPS = (0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1)


def run() -> Iterator[Figure]:
    with real_window() as window:
        if window.labs.labs[LAB]["model_missing"]:
            return
        window.open_lab(f"lab:{LAB}?perplexity=false")
        wait_until(lambda: not window.client.busy, 60.0, "the lab's first run ends")
        spin(500)
        drag = Drag(window)
        for move in range(len(STOPS)):  # warm up: first previews, first drawings
            drag.move(STOPS[move])
            drag.wait()
        drag.figures, drag.pictures = [], []
        for move in range(MOVES):
            drag.move(STOPS[move % len(STOPS)])
            drag.wait()
        budget = BUDGET_MS
        yield p95(
            "slider.figure.p95", "slider move to its first figure (SQNR), 95th pct.", drag.figures, budget
        )
        what = "slider move to its first new picture (histogram), 95th pct."
        yield p95("slider.picture.p95", what, drag.pictures, budget)
        drag.figures, drag.pictures = [], []
        for move in range(2 * MOVES):
            drag.move(STOPS[move % len(STOPS)])
            spin(HAND_MS)
        drag.wait()
        what = f"the same, moving every {HAND_MS} ms, to a picture at least as new"
        yield p95("slider.hand.p95", what, drag.pictures, budget)
        drag.release()


class Drag:
    """Holds the bits slider, and times each move to the paint after its results have arrived."""

    def __init__(self, window: MainWindow) -> None:
        assert window.lab is not None
        field = window.lab.form.field("bits")
        assert field is not None
        slider = field.editor.focusProxy()
        assert isinstance(slider, QSlider)
        self._slider = slider
        self._moves: list[tuple[int, float]] = []  # not yet shown: bits and when they were asked for
        self._shown: dict[int, int] = {}  # run -> its bits
        self._arrived: dict[str, int] = {}  # result id -> bits, until it is painted
        self._undrawn: list[tuple[int, float]] = []
        self.figures: list[float] = []
        self.pictures: list[float] = []
        self._slider.setSliderDown(True)
        window.client.started.connect(self._started)
        window.client.result.connect(self._result)
        self._watch = PaintWatch(window, self._painted)

    def move(self, stop: int) -> None:
        if stop == self._slider.value():
            stop += 1 if stop < self._slider.maximum() else -1
        asked = (stop + 2, time.perf_counter())
        self._moves.append(asked)
        self._undrawn.append(asked)
        self._slider.setValue(stop)

    def wait(self) -> None:
        wait_until(lambda: not self._moves and not self._undrawn, 20.0, "the last move is drawn")

    def release(self) -> None:
        self._slider.setSliderDown(False)

    def _started(self, run: int, message: dict[str, Any]) -> None:
        self._shown[run] = message["params"]["bits"]

    def _result(self, run: int, result: dict[str, Any]) -> None:
        if result["id"] in ("sqnr", "histogram"):
            self._arrived[result["id"]] = self._shown[run]

    def _painted(self) -> None:
        now = time.perf_counter()
        for result_id, waiting, times in (
            ("sqnr", self._moves, self.figures),
            ("histogram", self._undrawn, self.pictures),
        ):
            bits = self._arrived.pop(result_id, None)
            last = max((i for i, (asked, _) in enumerate(waiting) if asked == bits), default=-1)
            times.extend(1000 * (now - asked) for _, asked in waiting[: last + 1])
            del waiting[: last + 1]
