"""The same workload on each device: what fits, how fast it is, and how much of it keeps the objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from labs.results import Axis, Column, Lines, Provenance, Series, Table, array
from labs.simulator.constants import constants
from labs.simulator.fleet import Fleet, Outcome, simulate
from labs.simulator.fleet_views import SIMULATED
from labs.simulator.hardware import device
from labs.simulator.report import energy_j
from labs.spec import LabError
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.results import Result
    from labs.simulator.constants import Calibration
    from labs.simulator.fleet import Workload

# Those whose peak in matrix products is published.
COMPARED = (
    "a100-80gb-sxm",
    "h100-sxm",
    "h200-sxm",
    "b200-sxm",
    "mi300x",
    "l40s",
    "rtx-4090",
    "rtx-5090",
    "tpu-v6e",
    "ascend-910b2",
)


class Compared(msgspec.Struct, frozen=True, eq=False):
    """``outcome`` is None, and ``reason`` says why, where the model does not run there."""

    name: str
    fleet: Fleet
    outcome: Outcome | None
    reason: Text | None = None


def compare(
    fleet: Fleet, workload: Workload, calibration: Calibration, check: Callable[[], None]
) -> Iterator[list[Compared]]:
    """Those done so far, one more each time."""
    done: list[Compared] = []
    for name in COMPARED:
        deployment = msgspec.structs.replace(fleet.deployment, device=device(name))
        one = msgspec.structs.replace(fleet, deployment=deployment, constants=constants(calibration, name))
        try:
            done.append(Compared(name, one, simulate(one, workload, check)))
        except LabError as error:
            done.append(Compared(name, one, None, error.text))
        yield done


def results(done: list[Compared]) -> Iterator[Result]:
    where = Text(
        zh=f"同一模型、同一负载；常数：{done[0].fleet.constants.source}",
        en=f"the same model and workload; constants: {done[0].fleet.constants.source}",
    )
    yield Table(
        id="devices",
        title=Text(zh="比较设备", en="Devices compared"),
        provenance=SIMULATED,
        source=where,
        columns=[
            Column(title=Text(zh="设备", en="device")),
            Column(title=Text(zh="KV 容量", en="room for KV"), unit="token", provenance=Provenance.ESTIMATED),
            Column(title=Text(zh="完成", en="served"), unit="req/s"),
            Column(title=Text(zh="输出", en="output"), unit="token/s"),
            Column(title=Text(zh="TTFT 均值", en="mean TTFT"), unit="s"),
            Column(title=Text(zh="TTFT p99", en="TTFT p99"), unit="s"),
            Column(title=Text(zh="TPOT 均值", en="mean TPOT"), unit="ms"),
            Column(title=Text(zh="达标", en="kept"), unit="%"),
            Column(
                title=Text(zh="能耗", en="energy"),
                unit="J/token",
                provenance=Provenance.ESTIMATED,
                help=Text(zh="TDP × 忙碌时间，上限。", en="TDP × busy time: at most."),
            ),
            Column(title=Text(zh="说明", en="note")),
        ],
        rows=[_row(one) for one in done],
        wide=True,
    )
    fits = [one for one in done if one.outcome is not None]
    if len(fits) > 1:
        yield _tpot(fits, where)


def _row(one: Compared) -> list[Text | float | int | None]:
    title = same(device(one.name).title)
    if one.outcome is None:
        return [title, None, None, None, None, None, None, None, None, one.reason]
    figures, fleet = one.outcome.report, one.fleet
    joules = None
    if fleet.deployment.device.knows("tdp_w"):
        tokens = figures.output_tokens_per_s * figures.duration_s
        joules = energy_j(one.outcome.replicas, fleet.deployment) / tokens
    return [
        title,
        fleet.blocks * fleet.block_size * fleet.replicas,
        figures.requests_per_s,
        figures.output_tokens_per_s,
        figures.ttft.mean,
        figures.ttft.p99,
        1e3 * figures.tpot.mean,
        100 * figures.attainment,
        joules,
        None,
    ]


def _tpot(fits: list[Compared], where: Text) -> Lines:
    """TPOT against memory bandwidth: decode is bound by it, and so the points fall on a line."""
    points = sorted(
        (one.fleet.deployment.bandwidth, 1e3 * one.outcome.report.tpot.mean, device(one.name).title)
        for one in fits
        if one.outcome is not None
    )
    return Lines(
        id="tpot_by_bandwidth",
        title=Text(zh="TPOT 与显存带宽", en="TPOT and memory bandwidth"),
        provenance=SIMULATED,
        unit="ms",
        x=Axis(title=Text(zh="显存带宽", en="memory bandwidth"), unit="B/s", log=True),
        y=Axis(title=same("TPOT"), unit="ms", log=True),
        series=[
            Series(
                name=Text(zh="设备", en="devices"),
                x=array([x for x, _, _ in points]),
                y=array([y for _, y, _ in points]),
                labels=[same(title) for _, _, title in points],
            )
        ],
        source=where,
    )
