"""The kernel under two roofs: that of the chosen device, by its data sheet, and that of this machine, as
measured. Its bounds lie on both; what was timed here lies below the second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.roofline import attainable
from labs.ladder import access
from labs.ladder.exercise import told
from labs.results import Provenance, Series, array
from labs.roofline.roof_views import roof_line, roofline, span_of
from labs.simulator.hardware import device
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.compiled import Target
    from labs.ladder.outcome import Outcome
    from labs.ops.operator import Case
    from labs.results import Result

# The device whose data sheet draws the roof of a target.
DEVICES: dict[Target, str] = {
    "sm_80": "a100-80gb-sxm",
    "sm_89": "rtx-4090",
    "sm_90": "h100-sxm",
    "sm_100": "b200-sxm",
    "sm_120": "rtx-5090",
    "gfx942": "mi300x",
}


def roof(outcome: Outcome) -> Result:
    """The served size with each byte moved once, and the recorded run by its own accesses: both at the roofs.
    What was timed lies where it does, under the roof that was measured here."""
    roofs = [ceiling(outcome, outcome.target)] + ([ceiling_here(outcome)] if outcome.machine else [])
    bounds = [(name, one) for name, one in _intensities(outcome) if one > 0]
    span = span_of([one for _, one in bounds])
    titles = [same(device(DEVICES[outcome.target]).title)] + (
        [machine_title(outcome)] if outcome.machine else []
    )
    sources = (Provenance.REPORTED, Provenance.MEASURED)
    series = [
        roof_line(title, *ceilings, provenance, span)
        for title, ceilings, provenance in zip(titles, roofs, sources, strict=False)
    ]
    for name, one in bounds:
        x, y = array([one] * len(roofs)), array([attainable(one, *ceilings) for ceilings in roofs])
        series.append(Series(name=name, x=x, y=y, labels=titles, provenance=Provenance.ESTIMATED))
    timed = list(_timed(outcome))
    return roofline(
        series + timed,
        title=Text(zh="在屋顶线下的位置", en="Under the roofline"),
        source=_source(outcome),
        provenance=Provenance.MEASURED if timed else Provenance.ESTIMATED,
    )


def ceiling(outcome: Outcome, target: Target) -> tuple[float, float]:
    """FLOP/s and bytes/s of a target's device, by its data sheet."""
    chip = device(DEVICES[target])
    work = outcome.exercise.work(outcome.exercise.served)
    return chip.peak("bf16" if work.matrix_flops else "fp32"), chip.memory_bandwidth


def ceiling_here(outcome: Outcome) -> tuple[float, float]:
    """FLOP/s and bytes/s measured here: the best that anything reached, the specification too. A CPU is taken
    at fp32, in which that computes."""
    machine, exercise, specified = outcome.machine, outcome.exercise, outcome.specified
    assert machine is not None
    matrix = exercise.work(exercise.served).matrix_flops
    peak = machine.peak("bf16" if matrix and on_gpu(outcome) else "fp32")
    reached = exercise.work(exercise.here).flops / specified.timing.median_s if specified else 0.0
    return max(peak, reached), machine.bandwidth


def on_gpu(outcome: Outcome) -> bool:
    return outcome.timed is not None or (outcome.machine is not None and outcome.machine.device != "cpu")


def machine_title(outcome: Outcome) -> Text:
    assert outcome.machine is not None
    threads = outcome.machine.threads
    if on_gpu(outcome):
        return Text(zh="本机 GPU", en="the GPU here")
    return Text(zh=f"本机 CPU，{threads} 线程，FP32", en=f"the CPU here, {threads} threads, FP32")


def _intensities(outcome: Outcome) -> Iterator[tuple[Text, float]]:
    exercise, recording = outcome.exercise, outcome.played.recording if outcome.played else None
    served = told(exercise.served)
    name = Text(zh=f"上界，每字节只搬一次：{served}", en=f"bound, each byte once: {served}")
    yield name, exercise.work(exercise.served).intensity
    if recording is not None and access.moved_bytes(recording):
        flops, shown = recording.matrix_flops + recording.vector_flops, told(exercise.shown)
        name = Text(zh=f"上界，按记录的读写、无缓存：{shown}", en=f"bound, as recorded, no cache: {shown}")
        yield name, flops / access.moved_bytes(recording)


def _timed(outcome: Outcome) -> Iterator[Series]:
    """What was measured here: the kernel on a GPU, its specification on a CPU."""
    exercise = outcome.exercise
    if outcome.machine is None:
        return
    if outcome.seconds is not None and exercise.work(exercise.served).flops:
        title = Text(zh="实测", en="timed")
        yield _dot(outcome, title, exercise.served, outcome.seconds)
    if outcome.specified is not None:
        title = Text(
            zh="实测，PyTorch 规格在本机 CPU 上", en="timed, the specification in PyTorch on the CPU"
        )
        yield _dot(outcome, title, exercise.here, outcome.specified.timing.median_s)


def _dot(outcome: Outcome, title: Text, case: Case, seconds: float) -> Series:
    work = outcome.exercise.work(case)
    return Series(
        name=Text(zh=f"{title.zh}：{told(case)}", en=f"{title.en}: {told(case)}"),
        x=array([work.intensity]),
        y=array([work.flops / seconds]),
        provenance=Provenance.MEASURED,
    )


def _source(outcome: Outcome) -> Text:
    title = device(DEVICES[outcome.target]).title
    zh = f"{title} 的屋顶取自数据手册（稠密峰值）"
    en = f"roof of {title}: data sheet, dense peak"
    if outcome.machine is not None:
        zh, en = f"{zh}；本机的屋顶是实测", f"{en}; of this machine: measured"
    return Text(
        zh=f"{zh}；上界由强度与屋顶算出，内核{'已实测' if outcome.seconds else '没有计时'}",
        en=f"{en}; bounds: computed from intensity and roof; the kernel was "
        f"{'timed' if outcome.seconds else 'not timed'}",
    )
