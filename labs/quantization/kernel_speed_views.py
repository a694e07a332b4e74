"""What the speed lab shows of this device and its kernels: the roofs, and every mode beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.quantization.speed_modes import MODES
from labs.results import Axis, Bars, BarSeries, Column, Metric, Provenance, Scatter, Series, Table, array
from labs.roofline.roof_views import intensity_axis, peak_lines, span_of
from labs.roofline.roof_views import roofs as roof_lines
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labs.quantization.kernel_speed import KernelTime, Roofs

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
PHASES = {
    "decode": Text(zh="解码（GEMV，1 行）", en="decode (GEMV, 1 row)"),
    "prefill": Text(zh="预填充（GEMM）", en="prefill (GEMM)"),
}
_SHORT_PHASES = {"decode": Text(zh="解码", en="decode"), "prefill": Text(zh="预填充", en="prefill")}
_METHOD = Text(
    zh="预热后的中位数与 20/80 百分位；解码时权重在多份拷贝间轮换，总量为末级缓存的两倍以上",
    en="median and 20th/80th percentiles after warming up; in decode the weight rotates through copies of "
    "twice the last-level cache and more",
)
Kernels = dict[tuple[str, str], list["KernelTime"]]


def roof_table(roofs: Roofs) -> Table:
    """The two bounds, measured on this device."""
    peaks: list[list[Text | float | int | None]] = [
        [
            Text(zh=f"GEMM {name.upper()}", en=f"GEMM {name.upper()}"),
            peak / 1e9,
            same("GFLOP/s"),
            peak / roofs.bandwidth,
        ]
        for name, peak in roofs.peaks.items()
    ]
    return Table(
        id="roofs",
        title=Text(zh="这台设备的两个上限", en="The two roofs of this device"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="上限", en="roof")),
            Column(title=Text(zh="实测", en="measured")),
            Column(title=Text(zh="单位", en="unit")),
            Column(
                title=Text(zh="拐点", en="ridge point"),
                unit="FLOP/B",
                help=Text(
                    zh="算术强度低于它受带宽限制，高于它受算力限制。",
                    en="Below this arithmetic intensity memory is the limit, above it compute.",
                ),
            ),
        ],
        rows=[[Text(zh="读内存", en="reading memory"), roofs.bandwidth / 1e9, same("GB/s"), None], *peaks],
        source=Text(
            zh="读：四倍末级缓存的缓冲区求和或求最大值，取快者；GEMM：1024³ 的乘积",
            en="reading: sum or maximum over four times the last-level cache, the faster; GEMM: a "
            "1024^3 product",
        ),
    )


def step_seconds(kernels: Iterable[KernelTime]) -> float:
    """Time of all linear layers of one pass; NaN if one of them has none."""
    return math.fsum(k.shape.count * (k.timing.median_s if k.timing else math.nan) for k in kernels)


def step_bytes(kernels: Iterable[KernelTime]) -> int:
    """Weight bytes that one pass reads."""
    return sum(k.shape.count * k.weight_bytes for k in kernels)


def kernel_bars(kernels: Kernels, phase: str) -> Bars:
    """All linear layers of one pass, by mode, beside what the roofs allow."""
    times, bounds, missing = [], [], {}
    for index, mode in enumerate(MODES):
        found = kernels.get((mode, phase), [])
        times.append(1e3 * step_seconds(found) if found else math.nan)
        bounds.append(1e3 * math.fsum(k.shape.count * k.bound_s for k in found) if found else math.nan)
        reason = next((k.reason for k in found if k.reason), None)
        if reason:
            missing[index] = reason
        elif not found:
            missing[index] = Text(zh="尚未测量", en="not measured yet")
    return Bars(
        id=f"kernels_{phase}",
        title=Text(
            zh=f"一次前向的全部线性层：{PHASES[phase].zh}",
            en=f"All linear layers of one pass: {PHASES[phase].en}",
        ),
        provenance=_MEASURED,
        unit="ms",
        categories=[mode.title for mode in MODES.values()],
        series=[
            BarSeries(name=Text(zh="实测", en="measured"), values=array(times)),
            BarSeries(
                name=Text(zh="上限允许的最短时间", en="least that the roofs allow"),
                values=array(bounds),
                provenance=_ESTIMATED,
            ),
        ],
        y=Axis(title=Text(zh="时间", en="time"), unit="ms"),
        missing=missing,
        help=Text(
            zh="各形状的内核单独计时，乘以模型里的层数后相加；预填充不含输出头，因为只需要最后一个 "
            "token 的 logits。",
            en="Each shape's kernel, timed alone, times its layers. Prefill leaves out the head, "
            "which sees the "
            "last token only.",
        ),
        source=_METHOD,
        wide=True,
    )


def kernel_tables(kernels: Kernels) -> list[Table]:
    """How fast each is beside its bound, then what it reads and how far it may be trusted: one table would
    scroll sideways. The dots of the roofline say the compute rates."""
    found = [(mode, k) for (mode, _), measured in kernels.items() for k in measured]
    failed = any(k.reason for _, k in found)
    checks = [Column(title=Text(zh="检查", en="check"))] if failed else []
    return [
        Table(
            id="kernels",
            title=Text(zh="逐个内核", en="Kernel by kernel"),
            provenance=_MEASURED,
            columns=[*_name_columns(), *_time_columns()],
            rows=[[*_names(mode, k), *_time_cells(k)] for mode, k in found],
            source=_METHOD,
            wide=True,
        ),
        Table(
            id="kernel_checks",
            title=Text(zh="带宽、波动与误差", en="Traffic, spread, error"),
            provenance=_MEASURED,
            columns=[*_name_columns(), *_check_columns(), *checks],
            rows=[
                [*_names(mode, k), *_check_cells(k), *([_passed(k)] if failed else [])] for mode, k in found
            ],
            source=_METHOD,
            wide=True,
        ),
    ]


_Cells = list[Text | float | int | None]


def _name_columns() -> list[Column]:
    return [
        Column(title=Text(zh="模式", en="mode")),
        Column(
            title=Text(zh="投影 N×K", en="projections N×K"),
            help=Text(
                zh="模型里的哪些投影是这个形状；N 个输出，K 个输入。",
                en="The projections of the model that have this shape: N outputs, K inputs.",
            ),
        ),
        Column(title=Text(zh="阶段", en="phase")),
    ]


def _names(mode: str, k: KernelTime) -> _Cells:
    modules = ", ".join(name.removesuffix("_proj") for name in k.shape.modules)
    return [MODES[mode].title, same(f"{modules} {k.shape.outputs}×{k.shape.inputs}"), _SHORT_PHASES[k.phase]]


def _time_columns() -> list[Column]:
    return [
        Column(title=Text(zh="中位数", en="median"), unit="µs"),
        Column(
            title=Text(zh="下界", en="least"),
            unit="µs",
            provenance=_ESTIMATED,
            help=Text(zh="两个上限允许的最短时间。", en="The shortest time that the two roofs allow."),
        ),
        Column(
            title=Text(zh="占上限", en="of the bound"),
            unit="%",
            help=Text(
                zh="下界 ÷ 中位数。上限本身也是测出来的，所以可能略超 100%。",
                en="Least over median. The roof is a measurement too, so this may pass 100 %.",
            ),
        ),
    ]


def _time_cells(k: KernelTime) -> _Cells:
    t = k.timing
    return [t.median_s * 1e6 if t else None, k.bound_s * 1e6 if t else None, 100 * k.share if t else None]


def _check_columns() -> list[Column]:
    return [
        Column(title=Text(zh="读写", en="traffic"), unit="GB/s"),
        Column(
            title=Text(zh="波动", en="spread"),
            unit="%",
            help=Text(
                zh="第 80 与第 20 百分位之差，占中位数的比例。小于它的差别不能下结论。",
                en="From the 20th to the 80th percentile, over the median. Smaller differences say nothing.",
            ),
        ),
        Column(
            title=Text(zh="误差", en="error"),
            help=Text(
                zh="与朴素实现的相对误差。超出容差的内核不显示速度。",
                en="Relative, from the naive product. A kernel beyond its tolerance has no speed.",
            ),
        ),
    ]


def _check_cells(k: KernelTime) -> _Cells:
    t = k.timing
    return [
        k.moved_bytes / t.median_s / 1e9 if t else None,
        100 * t.spread if t else None,
        k.difference,
    ]


def _passed(k: KernelTime) -> Text:
    return k.reason or Text(zh="通过", en="passed")


def roofline(kernels: Kernels, roofs: Roofs) -> Scatter:
    """Every kernel at its arithmetic intensity, under the roofs."""
    series = []
    for mode in MODES:
        points = [k for phase in PHASES for k in kernels.get((mode, phase), []) if k.timing]
        series.append(
            Series(
                name=MODES[mode].title,
                x=array([k.flops / k.moved_bytes for k in points]),
                y=array([k.flops / k.timing.median_s / 1e9 for k in points if k.timing]),
                labels=[
                    Text(
                        zh=f"{k.shape.title.zh}，{PHASES[k.phase].zh}",
                        en=f"{k.shape.title.en}, {PHASES[k.phase].en}",
                    )
                    for k in points
                ],
            )
        )
    span = span_of([k.flops / k.moved_bytes for found in kernels.values() for k in found if k.timing])
    return Scatter(
        id="roofline",
        title=Text(zh="屋顶线（roofline）", en="Roofline"),
        provenance=_MEASURED,
        unit="GFLOP/s",
        x=intensity_axis(),
        y=Axis(title=Text(zh="计算速率", en="compute rate"), unit="GFLOP/s", log=True),
        series=[*series, *_roof_lines(roofs, span)],
        help=Text(
            zh="斜线是内存带宽，横线是算力。解码的点在斜线下：少搬字节就能右移上升；预填充的点在横线下。",
            en="The slope is memory bandwidth, the level lines are compute. Decode sits under the "
            "slope, where "
            "fewer bytes move a point right and up; prefill sits under the lines.",
        ),
        source=_METHOD,
        wide=True,
    )


def _roof_lines(roofs: Roofs, span: tuple[float, float]) -> Iterable[Series]:
    bandwidth = roofs.bandwidth / 1e9
    memory = Text(zh=f"读内存 {bandwidth:.3g} GB/s", en=f"reading memory {bandwidth:.3g} GB/s")
    peaks = peak_lines({name: peak / 1e9 for name, peak in roofs.peaks.items()}, "GFLOP/s")
    return roof_lines({memory: bandwidth}, peaks, _MEASURED, span)


def speedup_metrics(kernels: Kernels) -> list[Metric]:
    """Measured speed-up of the decode kernels over FP32, beside the ratio of bytes."""
    base = kernels.get(("fp32", "decode"), [])
    metrics = []
    for mode in ("bf16", "int8", "int4", "w8a8"):
        found = kernels.get((mode, "decode"), [])
        if not found or not base or math.isnan(step_seconds(found) + step_seconds(base)):
            continue
        metrics.append(
            Metric(
                id=f"speedup_{mode}",
                title=Text(
                    zh=f"解码内核加速：{MODES[mode].title.zh}",
                    en=f"Decode kernels' speed-up: {MODES[mode].title.en}",
                ),
                provenance=_MEASURED,
                unit="×",
                value=step_seconds(base) / step_seconds(found),
                predicted=step_bytes(base) / step_bytes(found),
                formula=Text(
                    zh="字节之比：受带宽限制时的加速",
                    en="ratio of bytes: the speed-up if memory were the limit",
                ),
                better="higher",
                source=_METHOD,
            )
        )
    return metrics
