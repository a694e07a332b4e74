"""Results of 1 MiB from the real worker to the real client: frames a second, and how old each one is.

A lab yields heat maps as fast as it can, under one id, so that what the window cannot take is dropped; each
carries the time at which it was made, on a clock that both processes share.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui.app import make_application
from gui.lab.worker.client import WorkerClient
from tests.benchmarks.event_loop import GapWatch, spin, wait_until
from tests.benchmarks.figures import Figure, median, short, spread
from tests.labs.fake_catalog import write_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 4.0
LAB = "model/framing"
# 512 x 512 float32 is 1 MiB.
BODY = """
from labs.results import Heatmap

def run(params, ctx):
    until = time.monotonic() + {seconds}
    values = np.zeros((512, 512), dtype=np.float32)
    while time.monotonic() < until:
        ctx.check()
        values[0, 0] += 1
        yield Heatmap(
            id="frame", title=same("Frame"), provenance=Provenance.MEASURED, values=values,
            rows=Axis(title=same("row")), columns=Axis(title=same("column")),
            source=same(repr(time.monotonic())),
        )
"""


def run() -> Iterator[Figure]:
    make_application(["inferlab"])
    with tempfile.TemporaryDirectory() as folder:
        write_lab(Path(folder), LAB, textwrap.dedent(BODY).format(seconds=SECONDS))
        client = WorkerClient(command=[sys.executable, "-m", "labs.worker", "--catalog", folder])
        try:
            yield from _measured(client)
        finally:
            client.shutdown()


def _measured(client: WorkerClient) -> Iterator[Figure]:
    ages_ms: list[float] = []
    arrived: list[float] = []
    failures: list[Any] = []

    def result(_run: int, result: dict[str, Any]) -> None:
        arrived.append(time.monotonic())
        ages_ms.append(1000 * (arrived[-1] - float(result["source"]["en"])))

    client.result.connect(result)
    client.failed.connect(lambda _run, message: failures.append(message))
    watch = GapWatch()
    client.run(LAB, {})
    wait_until(lambda: bool(arrived or failures), 30.0, "the first frame arrives")
    watch.reset()
    wait_until(lambda: not client.busy, SECONDS + 30.0, "the run ends")
    if failures:
        raise RuntimeError(f"the lab failed: {failures[0]['text']['en']}\n{failures[0]['traceback']}")
    gap = watch.longest_ms()
    spin(50)
    rate = (len(arrived) - 1) / (arrived[-1] - arrived[0])
    remark = f"{len(arrived)} frames; 60 a second is what a display shows"
    yield Figure("frames.rate", "1 MiB results that reach the window", rate, "/s", None, remark)
    what = "age of a 1 MiB result on arrival, median"
    remark = spread(ages_ms, "ms")
    yield Figure("frames.age", what, median(ages_ms), "ms", None, remark, tuple(ages_ms))
    remark = f"{short(watch.cpu_ms)} ms of it processor time of the window's thread"
    yield Figure("frames.gap", "longest gap of the event loop meanwhile", gap, "ms", 50.0, remark)
