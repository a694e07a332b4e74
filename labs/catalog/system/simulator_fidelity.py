"""How far the simulator can be trusted here: calibrated on this machine's engine, then tested against it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """The trace that both serve, and how."""

    requests: Annotated[
        int,
        Field(
            zh="请求数",
            en="Requests",
            zh_help="标定之后新生成的请求，引擎实时服务，模拟器服务同样的。",
            en_help="Drawn after calibration; the engine serves them in real time, the simulator the same.",
            ge=2,
            le=64,
            step=1,
            preview=False,
        ),
    ] = 12
    rate_per_s: Annotated[
        float,
        Field(
            zh="到达率",
            en="Arrival rate",
            zh_help="泊松到达。越接近引擎的极限，排队越长，小误差被放得越大。",
            en_help="Poisson. The closer to what the engine can do, the longer the queue, and the more it "
            "enlarges small errors.",
            ge=0.2,
            le=8.0,
            step=0.1,
            unit="req/s",
            preview=False,
        ),
    ] = 1.2
    places: Annotated[
        int,
        Field(
            zh="同时运行",
            en="Running at once",
            zh_help="批里最多几条序列；标定也测到这么大的批。",
            en_help="Sequences in a batch at most; calibration times batches up to 8.",
            ge=1,
            le=16,
            step=1,
            preview=False,
        ),
    ] = 8
    repeats: Annotated[
        int,
        Field(
            zh="标定重复",
            en="Calibration repeats",
            zh_help="每种预填充测几遍，取中位数：别的程序碰巧打扰的那一遍就不算数。",
            en_help="How often each prefill is timed. The median counts: one disturbed time does not.",
            ge=1,
            le=5,
            step=1,
            preview=False,
        ),
    ] = 3
    weights: Annotated[
        Literal["fp32", "bf16", "int8", "int4"],
        Field(
            zh="权重格式",
            en="Weights",
            zh_help="引擎用哪种权重。标定表随之不同。",
            en_help="Of the engine; the calibrated table differs with it.",
            choices={name: same(name.upper()) for name in ("fp32", "bf16", "int8", "int4")},
            preview=False,
        ),
    ] = "int8"


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What arrives, on average."""
    yield Prediction(
        id="offered",
        title=Text(zh="到来的 token", en="Tokens that come"),
        value=params.rate_per_s * (20 + 400) / 2,
        unit="token/s",
        formula=Text(zh="到达率 × 提示词平均长度 210", en="arrival rate × mean prompt of 210 tokens"),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Time the engine's steps, let it serve a trace, simulate the same trace, compare."""
    if ctx.preview:
        return
    from labs.simulator import own_engine, own_engine_views

    setting = own_engine.setting_for(params.weights, params.places)
    ctx.progress(None, Text(zh="标定：给引擎的步计时", en="Calibrating: timing the engine's steps"))
    table, seconds = own_engine.calibrated(ctx, setting, params.repeats)
    yield from own_engine_views.table_of(table, seconds)
    requests = own_engine.fresh_requests(params.requests, params.rate_per_s, ctx.seed)
    for told in own_engine.served(ctx, setting, requests):
        if isinstance(told, own_engine.Side):
            simulated = own_engine.simulated(setting, table, requests)
            yield from own_engine_views.side_by_side(requests, told, simulated)
        else:
            ctx.progress(told, Text(zh="引擎实时服务", en="the engine serves in real time"))


LAB = Lab(
    id="system/simulator_fidelity",
    title=Text(zh="模拟器准不准", en="Can the simulator be trusted?"),
    summary=Text(
        zh="先给本机引擎的步计时，再让引擎和模拟器服务同一条新的请求轨迹，逐项比较实测与模拟。",
        en="Time this machine's engine, then let engine and simulator serve the same fresh trace, and "
        "compare what was measured with what was simulated.",
    ),
    sections=["3.2.3"],
    questions=["3.2.3-09"],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(requests=2, rate_per_s=8.0, places=1, repeats=1),
    presets=[
        Preset(
            id="light",
            title=Text(zh="轻载", en="Light load"),
            story=Text(
                zh="几乎不排队。猜：TTFT 的误差会比 TPOT 大还是小？",
                en="Hardly any queue. Guess: is the error of TTFT larger than that of TPOT, or smaller?",
            ),
            values={"rate_per_s": 0.6, "requests": 8},
        ),
        Preset(
            id="overload",
            title=Text(zh="过载", en="Overload"),
            story=Text(
                zh="请求来得比算得快，队越排越长。看误差有没有被放大。",
                en="They come faster than they are served, and the queue grows. See whether errors grow too.",
            ),
            values={"rate_per_s": 6.0, "requests": 24},
        ),
    ],
)
