"""Static batches on the real engine: what padding wastes, and what batch size does to time and throughput."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.simulator.traces import Request

_SIZE = {"mode": ["size"]}
_PADDING = {"mode": ["padding"]}


class Params(LabParams, frozen=True):
    """Which question is asked, and of which batches."""

    mode: Annotated[
        Literal["size", "padding"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="批大小：一步解码的时间与吞吐，对照这台机器的 Roofline。补齐：真实请求组批时白算了多少。",
            en_help="Batch size: time and throughput of a decode step beside this machine's roofline. "
            "Padding: what real requests compute for nothing.",
            choices={
                "size": Text(zh="批大小", en="batch size"),
                "padding": Text(zh="补齐", en="padding"),
            },
            preview=False,
        ),
    ] = "size"
    largest: Annotated[
        int,
        Field(
            zh="最大的批",
            en="Largest batch",
            zh_help="批从 1 起逐次翻倍，直到这么大。",
            en_help="Batches double from 1 up to this size.",
            ge=2,
            le=128,
            scale="log2",
            when=_SIZE,
            preview=False,
        ),
    ] = 32
    context: Annotated[
        int,
        Field(
            zh="上下文",
            en="Context",
            zh_help="每条序列已有多少 token 的 KV。越长，一步里各自要读的越多，批处理能分摊的越少。",
            en_help="Tokens of KV that each sequence has. The longer, the more of a step is each one's own.",
            ge=16,
            le=2048,
            scale="log2",
            unit="token",
            when=_SIZE,
            preview=False,
        ),
    ] = 128
    requests: Annotated[
        int,
        Field(
            zh="请求数",
            en="Requests",
            zh_help="一开始就全部到齐，只看组批。",
            en_help="All there from the start: only batching is looked at.",
            ge=4,
            le=48,
            step=1,
            when=_PADDING,
            preview=False,
        ),
    ] = 12
    batch: Annotated[
        int,
        Field(
            zh="批大小",
            en="Batch size",
            zh_help="一批最多几条。批越大，里面最长的就越长，短的陪得越久。",
            en_help="Sequences in a batch. The larger it is, the longer its longest, and the others wait.",
            ge=1,
            le=16,
            scale="log2",
            when=_PADDING,
            preview=False,
        ),
    ] = 4
    longest_prompt: Annotated[
        int,
        Field(
            zh="最长提示词",
            en="Longest prompt",
            zh_help="提示词在它的四分之一到它之间。",
            en_help="Prompts have from a quarter of it to all of it.",
            ge=8,
            le=256,
            scale="log2",
            unit="token",
            when=_PADDING,
            preview=False,
        ),
    ] = 64
    longest_answer: Annotated[
        int,
        Field(
            zh="最长回答",
            en="Longest answer",
            zh_help="四分之一的回答这么长，其余短得多。",
            en_help="A quarter of the answers are so long, the others much shorter.",
            ge=4,
            le=96,
            scale="log2",
            unit="token",
            when=_PADDING,
            preview=False,
        ),
    ] = 24
    weights: Annotated[
        Literal["fp32", "bf16", "int8", "int4"],
        Field(
            zh="权重格式",
            en="Weights",
            zh_help="权重越小，批 1 时读得越快，拐点就越早：省下的正是批处理能分摊的那部分。",
            en_help="Smaller weights are read sooner, so the knee comes earlier: what they save is what "
            "batching shares.",
            choices={name: same(name.upper()) for name in ("fp32", "bf16", "int8", "int4")},
            preview=False,
        ),
    ] = "fp32"


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What lengths alone say, before anything runs."""
    if params.mode != "padding":
        return
    from labs.formulas.batching import continuous_speedup_bound

    # Each answer's first token comes with its prefill.
    answers = [one.output_tokens - 1 for one in _requests(params, ctx.seed)]
    yield Prediction(
        id="step_ratio",
        title=Text(zh="解码步数之比：静态 ÷ 连续", en="Decode steps: static over continuous"),
        value=continuous_speedup_bound(answers, params.batch),
        unit="×",
        formula=Text(
            zh="静态的解码步数 ÷ 位置始终坐满时的步数",
            en="static decode steps over steps with all places full",
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """A sweep over batch sizes, or the same requests batched in three ways."""
    if ctx.preview:
        return
    if params.mode == "size":
        yield from _sizes(params, ctx)
    else:
        yield from _padding(params, ctx)


def _sizes(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.batching.batch_charts import batch_results, explanation
    from labs.batching.batch_steps import batch_steps
    from labs.quantization.kernel_speed import measure_roofs

    ctx.progress(0.0, Text(zh="测这台机器的带宽与算力", en="Measuring this machine's roofs"))
    roofs = measure_roofs(ctx)
    sizes = [2**power for power in range(params.largest.bit_length()) if 2**power <= params.largest]
    steps = []
    for step, roofline in batch_steps(ctx, params.weights, sizes, params.context, roofs):
        steps.append(step)
        ctx.progress(len(steps) / len(sizes), Text(zh=f"批 {step.batch}", en=f"batch {step.batch}"))
        yield from batch_results(steps, roofline)
    yield explanation(steps, roofline)


def _padding(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.batching.engine_race import race
    from labs.batching.padding import explanation, padding_results
    from labs.batching.replay import timeline
    from labs.engine.serving import Setting
    from labs.results import Provenance

    requests = _requests(params, ctx.seed)
    setting = Setting(most_sequences=params.batch, weights=params.weights, blocks=1024)
    runs = []
    for one in race(ctx, ("static", "bucketed", "chunked"), requests, setting):
        runs.append(one)
        yield from padding_results(runs, requests, params.batch)
    for one in runs[:2]:
        yield timeline(one, Provenance.MEASURED)
    yield explanation(runs, params.batch)


def _requests(params: Params, seed: int) -> list["Request"]:
    from labs.batching.workload import mixed_lengths
    from labs.simulator.traces import Request

    lengths = mixed_lengths("tail", params.requests, params.longest_prompt, params.longest_answer, seed)
    return [Request(0.0, *pair) for pair in lengths]


LAB = Lab(
    id="system/static_batching",
    title=Text(zh="静态批处理", en="Static batching"),
    summary=Text(
        zh="批越大吞吐越高，直到拐点；一批里短的要陪长的。在真实引擎上看两者各值多少。",
        en="Larger batches give more throughput, up to a knee; and in a batch the short wait for the long. "
        "See on the real engine what each is worth.",
    ),
    sections=["3.2.1"],
    questions=[f"3.2.1-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(largest=4, context=32),
    presets=[
        Preset(
            id="knee",
            title=Text(zh="拐点在哪", en="Where is the knee"),
            story=Text(
                zh="先猜：批 1 到批 32，一步慢几倍，吞吐快几倍？再看两条曲线从哪里分开。",
                en="Guess first: from batch 1 to 32, how much slower is a step, how much higher throughput?",
            ),
            values={"largest": 32},
        ),
        Preset(
            id="long_context",
            title=Text(zh="上下文变长", en="A long context"),
            story=Text(
                zh="每条 1024 个 token 的 KV。权重可以共用，KV 不能：批处理的收益还剩多少？",
                en="1,024 tokens of KV each. Weights are shared, KV is not: how much of the gain is left?",
            ),
            values={"context": 1024, "largest": 16},
        ),
        Preset(
            id="small_weights",
            title=Text(zh="INT4 权重", en="INT4 weights"),
            story=Text(
                zh="权重小了八倍，批 1 快了，拐点也来得更早。对照 FP32 的曲线。",
                en="Weights an eighth as large: batch 1 is faster, and the knee comes earlier. Compare FP32.",
            ),
            values={"weights": "int4"},
        ),
        Preset(
            id="padding",
            title=Text(zh="补齐的代价", en="What padding costs"),
            story=Text(
                zh="12 条请求，每批 4 条。先猜预填充和解码各白算几成，再看分桶救回了哪一边。",
                en="12 requests, 4 a batch. Guess what prefill and decode waste, then see which side buckets "
                "mend.",
            ),
            values={"mode": "padding"},
        ),
        Preset(
            id="larger_batches",
            title=Text(zh="批越大越浪费", en="Larger batches waste more"),
            story=Text(
                zh="同样的请求，每批 8 条：最长的更长，陪的人更多。",
                en="The same requests, 8 a batch: the longest is longer, and more wait for it.",
            ),
            values={"mode": "padding", "batch": 8},
        ),
    ],
)
