"""The stages of fusion as results: figures before and after, a table, bars of time, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.formulas.decoder_block import HORIZONTAL
from labs.fusion.layers.stages import INT8_TOLERANCE, TOLERANCE, predicted, predicted_saving_s
from labs.results import Axis, Bars, BarSeries, Column, Metric, Provenance, Table, array
from labs.text import Text
from labs.timing_results import method

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from labs.formulas.decoder_block import Step
    from labs.formulas.fusion import Dataflow
    from labs.fusion.layers.stages import Costs, Measured

STEP_TITLES: Final = {
    "qkv": Text(zh="QKV 一次乘", en="QKV as one product"),
    "gate_up": Text(zh="gate 与 up 一次乘", en="gate and up as one"),
    "norm": Text(zh="残差 + RMSNorm", en="residual + RMSNorm"),
    "quantise": Text(zh="再加 INT8 量化", en="and INT8 quantisation"),
    "scales": Text(zh="乘法里缩放", en="scales inside products"),
    "activation": Text(zh="SwiGLU 一遍", en="SwiGLU in one pass"),
    "rope": Text(zh="RoPE + 写入", en="RoPE and its stores"),
    "attention": Text(zh="softmax 进注意力", en="softmax inside attention"),
}
_BASE: Final = Text(zh="什么都不融合", en="nothing fused")
_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_BYTES: Final = Text(
    zh="每个 kernel 读它要的、写别人要的，各一次（labs.formulas.fusion）",
    en="each kernel reads what it needs and writes what others need, once (labs.formulas.fusion)",
)
_SAVING: Final = Text(
    zh="省下的字节 ÷ 这么大张量的实测带宽 + 省下的调用 × 一次调用的开销（在两个数上实测）",
    en="bytes saved / bandwidth measured on tensors of this size + calls saved × a call's cost, measured",
)


@dataclass
class Found:
    """All that is known so far, in the order of the stages; ``costs`` None: not measured yet."""

    flow: Dataflow
    chosen: tuple[Step, ...]
    costs: Costs | None = None
    stages: list[Measured] = field(default_factory=list)
    timed: int = 0  # timings taken, of all rounds
    int8: bool = False

    def add(self, stage: Measured) -> None:
        """A new stage, or one that is there already, now timed."""
        places = [place for place, one in enumerate(self.stages) if one.steps == stage.steps]
        if places:
            self.stages[places[0]] = stage
        else:
            self.stages.append(stage)
        self.timed += stage.timing is not None

    @property
    def complete(self) -> bool:
        return len(self.stages) == len(self.chosen) + 1 and all(one.timing for one in self.stages)


def metrics(found: Found) -> Iterator[Metric]:
    """The last stage against the first; the runner puts the predictions beside them."""
    last = found.stages[-1] if found.stages else None
    whole = predicted(found.flow, frozenset(found.chosen))
    yield Metric(
        id="kernels",
        title=Text(zh="融合后一层的 kernel 数", en="Kernels a block after fusing"),
        provenance=_MEASURED if last else _ESTIMATED,
        value=float(last.counted if last else whole.kernels),
        better="lower",
        source=Text(
            zh="torch 的 profiler 数到的算子，加上融合 kernel 自己的计数",
            en="operators that torch's profiler saw, and the fused kernels' own count",
        ),
        help=Text(
            zh="CPU 上一个 ATen 算子就是一次 kernel；只改形状、不碰数据的不算。",
            en="On a CPU each ATen operator is a kernel; those that only reshape do not count.",
        ),
    )
    yield Metric(
        id="bytes",
        title=Text(zh="融合后一层读写", en="A block moves after fusing"),
        provenance=_ESTIMATED,
        unit="B",
        value=float(whole.bytes),
        better="lower",
        source=_BYTES,
        help=Text(
            zh=f"不融合是 {predicted(found.flow, frozenset()).bytes:,} B。权重也在内，一个字节也省不下来。",
            en=f"Unfused: {predicted(found.flow, frozenset()).bytes:,} B. Weights are in both: fusing saves "
            "none of their bytes.",
        ),
    )
    if last and last.loss is not None:
        yield _loss(last.loss)
    if last and found.complete and found.costs:
        yield _saving(found, found.costs)


def _loss(loss: float) -> Metric:
    return Metric(
        id="loss",
        title=Text(zh="INT8 带来的误差", en="What INT8 costs"),
        provenance=_MEASURED,
        unit="%",
        value=100 * loss,
        better="lower",
        source=Text(
            zh="这一层加进残差流的部分，与模型自己的 fp32 层相比，范数意义下",
            en="of what the block adds to the stream, against the model's own in fp32, by norms",
        ),
        help=Text(
            zh="量化的代价，与怎么融合无关。残差流本身要大得多，这里不算进去。",
            en="What quantising costs, however one fuses. The stream itself is far longer and left out.",
        ),
    )


def _saving(found: Found, costs: Costs) -> Metric:
    first, last = found.stages[0].timing, found.stages[-1].timing
    assert first and last
    return Metric(
        id="saving",
        title=Text(zh="一层省下的时间", en="Time saved in a block"),
        provenance=_MEASURED,
        unit="s",
        value=first.median_s - last.median_s,
        low=first.low_s - last.high_s,
        high=first.high_s - last.low_s,
        predicted=predicted_saving_s(found.flow, found.stages[-1].steps, costs),
        formula=_SAVING,
        better="higher",
        source=method(last),
        help=Text(
            zh="预测不知道指令效率：合并的矩阵乘更快、融合核里的 exp 更快，都不在字节与调用里。",
            en="The prediction knows bytes and calls only, not that one large product or a vectorised exp "
            "computes faster than several small ones.",
        ),
    )


_ERROR_HELP: Final = Text(
    zh=f"与模型自己的层相差，范数意义下；大于 {TOLERANCE:g} 就不给速度。",
    en=f"Off the model's own block, relative, by norms; beyond {TOLERANCE:g} no speed is shown.",
)
_INT8_ERROR_HELP: Final = Text(
    zh="与同样取整的普通模块相差。只比这一层加进残差流的部分，范数意义下；"
    f"大于 {INT8_TOLERANCE:g} 就不给速度。恰在两个码之间的数可能差一个码。",
    en="Off plain modules that round in the same way. Of what the block adds to the stream, by norms; beyond "
    f"{INT8_TOLERANCE:g} no speed is shown. A number between two codes may take either.",
)


def table(found: Found) -> Table:
    """A row a stage, each with all that stands above it."""
    return Table(
        id="stages",
        title=Text(zh="一步一步融合", en="Fused step by step"),
        provenance=_MEASURED,
        source=_SAVING,
        wide=True,
        columns=[
            Column(
                title=Text(zh="再加上", en="Added"),
                help=Text(
                    zh="↔ 水平：同一输入上并排的算子合成一个。"
                    "↕ 垂直：前后相接的算子合成一个，中间结果不落地。",
                    en="↔ horizontal: operators side by side on one input become one. ↕ vertical: operators "
                    "that follow each other become one, and what lies between is never written.",
                ),
            ),
            Column(title=Text(zh="kernel", en="Kernels")),
            Column(title=Text(zh="读写", en="Moved"), unit="B", provenance=_ESTIMATED, help=_BYTES),
            Column(title=Text(zh="时间", en="Time"), unit="s"),
            Column(title=Text(zh="累计省下", en="Saved so far"), unit="s"),
            Column(title=Text(zh="预测省下", en="Predicted"), unit="s", provenance=_ESTIMATED, help=_SAVING),
            Column(title=Text(zh="误差", en="Error"), help=_INT8_ERROR_HELP if found.int8 else _ERROR_HELP),
        ],
        rows=[_row(found, stage) for stage in found.stages],
    )


def _row(found: Found, stage: Measured) -> list[Text | float | int | None]:
    base = found.stages[0].timing
    time = stage.timing
    saved = base.median_s - time.median_s if base and time and stage.added else None
    by_formula = predicted_saving_s(found.flow, stage.steps, found.costs) if found.costs else None
    return [
        _directed(stage.added) if stage.added else _BASE,
        stage.counted,
        predicted(found.flow, stage.steps).bytes,
        time.median_s if time else None,
        saved,
        by_formula if stage.added else None,
        stage.error,
    ]


def _directed(step: Step) -> Text:
    mark, title = "↔" if step in HORIZONTAL else "↕", STEP_TITLES[step]
    return Text(zh=f"{mark} {title.zh}", en=f"{mark} {title.en}")


def bars(found: Found) -> Bars:
    """Time of the block at each stage beside what the formula makes of the first one."""
    base = found.stages[0].timing
    expected = [
        base.median_s - predicted_saving_s(found.flow, one.steps, found.costs)
        if base and found.costs
        else math.nan
        for one in found.stages
    ]
    timings = [one.timing for one in found.stages]
    return Bars(
        id="times",
        title=Text(zh="一层的时间", en="Time of a block"),
        provenance=_MEASURED,
        unit="s",
        source=_SAVING,
        wide=True,
        categories=[_BASE, *(Text(zh=f"+ {t.zh}", en=f"+ {t.en}") for t in _added(found))],
        series=[
            BarSeries(
                name=Text(zh="实测", en="measured"),
                values=array([one.median_s if one else math.nan for one in timings]),
                low=array([one.low_s if one else math.nan for one in timings]),
                high=array([one.high_s if one else math.nan for one in timings]),
            ),
            BarSeries(
                name=Text(zh="按公式", en="by formula"),
                values=array([max(one, 0.0) for one in expected]),
                provenance=_ESTIMATED,
            ),
        ],
        y=Axis(title=Text(zh="时间", en="time"), unit="s"),
    )


def _added(found: Found) -> list[Text]:
    return [STEP_TITLES[one.added] for one in found.stages if one.added]
