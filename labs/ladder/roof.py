"""The kernel under rooflines: its bounds under the chosen device's, its timing under that of the GPU here."""

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
    """The served size with each byte moved once, and the recorded run by its own accesses: both at the
    chosen device's roof. What was timed lies where it does, under the roof that was measured here."""
    work, chip = outcome.exercise.work(outcome.exercise.served), device(DEVICES[outcome.target])
    peak, bandwidth = chip.peak("bf16" if work.matrix_flops else "fp32"), chip.memory_bandwidth
    bounds = [(name, one) for name, one in _intensities(outcome) if one > 0]
    span = span_of([one for _, one in bounds])
    series = [roof_line(same(chip.title), peak, bandwidth, Provenance.REPORTED, span)]
    for name, one in bounds:
        y = array([attainable(one, peak, bandwidth)])
        series.append(Series(name=name, x=array([one]), y=y, provenance=Provenance.ESTIMATED))
    series += _timed(outcome, span)
    return roofline(
        series,
        title=Text(zh="在屋顶线下的位置", en="Under the roofline"),
        source=_source(outcome, chip.title),
        provenance=Provenance.ESTIMATED if outcome.seconds is None else Provenance.MEASURED,
    )


def _intensities(outcome: Outcome) -> Iterator[tuple[Text, float]]:
    exercise, recording = outcome.exercise, outcome.played.recording if outcome.played else None
    served = told(exercise.served)
    name = Text(zh=f"上界，每字节只搬一次：{served}", en=f"bound, each byte once: {served}")
    yield name, exercise.work(exercise.served).intensity
    if recording is not None and access.moved_bytes(recording):
        flops, shown = recording.matrix_flops + recording.vector_flops, told(exercise.shown)
        name = Text(zh=f"上界，按记录的读写、无缓存：{shown}", en=f"bound, as recorded, no cache: {shown}")
        yield name, flops / access.moved_bytes(recording)


def _timed(outcome: Outcome, span: tuple[float, float]) -> Iterator[Series]:
    """The dot that was measured, and the measured roof above it."""
    work, machine, seconds = outcome.exercise.work(outcome.exercise.served), outcome.machine, outcome.seconds
    if machine is None or seconds is None or not work.flops:
        return
    peak = machine.peak("bf16" if work.matrix_flops else "fp32")
    here = Text(zh="本机 GPU", en="the GPU here")
    yield roof_line(here, peak, machine.bandwidth, Provenance.MEASURED, span)
    yield Series(
        name=Text(zh=f"实测：{told(outcome.exercise.served)}", en=f"timed: {told(outcome.exercise.served)}"),
        x=array([work.intensity]),
        y=array([work.flops / seconds]),
        provenance=Provenance.MEASURED,
    )


def _source(outcome: Outcome, title: str) -> Text:
    if outcome.seconds is None:
        return Text(
            zh=f"屋顶：{title} 数据手册（稠密峰值）；点是上界，这里没有计时",
            en=f"roof: data sheet of {title}, dense peak; points are upper bounds, nothing was timed here",
        )
    return Text(
        zh=f"{title} 的屋顶取自数据手册（稠密峰值），其下的点是上界；本机的屋顶与点是实测",
        en=f"roof of {title}: data sheet, dense peak, with upper bounds; of the GPU here: both measured",
    )
