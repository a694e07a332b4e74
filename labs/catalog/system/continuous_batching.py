"""The batching race: the same requests through static, dynamic, continuous and chunked serving, for real.

Long for its parameters and their texts; what it runs and shows stands in ``labs.batching``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.batching import charts, replay
from labs.batching.strategies import FIELDS, TITLES
from labs.context import Context
from labs.results import Provenance, Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.batching.run import Run
    from labs.batching.strategies import Strategy
    from labs.engine.serving import Setting
    from labs.simulator.line_cost import LineCost
    from labs.simulator.traces import Request


class Params(LabParams, frozen=True):
    """When requests come and how long they are, what the server may do, and who races."""

    mode: Annotated[
        Literal["engine", "simulator", "both"],
        Field(
            zh="在哪里跑",
            en="Where",
            zh_help="引擎：用真实模型在这台机器上跑，几十个短请求。模拟器：同样的调度器，Llama 3.1 8B 在两张 "
            "A100 上，"
            "几百到几千个请求，并多一种“预填充与解码分离”（一个 CPU 上分不开，所以只在这里）。",
            en_help="Engine: the real model on this machine, a few short requests. Simulator: the same "
            "schedulers "
            "with Llama 3.1 8B on two A100s, hundreds to thousands of requests, and prefill and decode apart "
            "besides (on one CPU they cannot be, so only here).",
            choices={
                "engine": Text(zh="真实引擎", en="engine"),
                "simulator": Text(zh="模拟器", en="simulator"),
                "both": Text(zh="先真实，再放大", en="engine, then at scale"),
            },
            preview=False,
        ),
    ] = "both"
    requests: Annotated[
        int,
        Field(
            zh="请求数",
            en="Requests",
            zh_help="总共来多少请求。自己写到达时刻时不用它。",
            en_help="How many come in all. Not used where you type the arrivals.",
            ge=2,
            le=32,
            step=1,
            when={"mode": ["engine", "both"]},
        ),
    ] = 12
    rate_per_s: Annotated[
        float,
        Field(
            zh="到达率",
            en="Arrival rate",
            zh_help="平均每秒来几个。高到引擎来不及时才看得出谁浪费。",
            en_help="Requests a second, on average. Waste shows once the engine cannot keep up.",
            ge=0.5,
            le=100,
            scale="log",
            unit="req/s",
            when={"mode": ["engine", "both"]},
        ),
    ] = 30.0
    burstiness: Annotated[
        float,
        Field(
            zh="突发度",
            en="Burstiness",
            zh_help="到达间隔的变异系数（标准差 ÷ 均值）：0 等间隔，1 泊松，越大越是一阵一阵地来。",
            en_help="Coefficient of variation of the gaps (deviation over mean): 0 evenly spaced, 1 Poisson, "
            "above it they come in bursts.",
            ge=0,
            le=5,
            step=0.1,
        ),
    ] = 1.0
    arrivals: Annotated[
        str,
        Field(
            zh="自己写到达时刻",
            en="Arrivals, typed",
            zh_help="秒，逗号分隔：0, 0.2, 0.2, 1.5。要指定长度就写成 时刻:提示词/回答，如 0.5:200/8。"
            "写了它，请求数、到达率、突发度就不起作用。",
            en_help="Seconds, with commas: 0, 0.2, 0.2, 1.5. To set lengths, write time:prompt/answer, such "
            "as "
            "0.5:200/8. Typed arrivals replace number, rate and burstiness.",
            when={"mode": ["engine", "both"]},
        ),
    ] = ""
    mix: Annotated[
        Literal["tail", "uniform", "equal", "long_prompts"],
        Field(
            zh="长度分布",
            en="Mix of lengths",
            zh_help="长尾：四分之一的回答最长，其余很短。均匀：各种长度都有。等长：全都一样。"
            "长提示词：四分之一的提示词是最长的 8 倍。",
            en_help="Long tail: a quarter of the answers is the longest, the others are short. Uniform: all "
            "lengths. Equal: all alike. Long prompts: a quarter of the prompts is 8 times the longest.",
            choices={
                "tail": Text(zh="长尾", en="long tail"),
                "uniform": Text(zh="均匀", en="uniform"),
                "equal": Text(zh="等长", en="equal"),
                "long_prompts": Text(zh="长提示词", en="long prompts"),
            },
        ),
    ] = "tail"
    prompt_tokens: Annotated[
        int,
        Field(
            zh="最长提示词",
            en="Longest prompt",
            zh_help="提示词长度在它的四分之一到它之间（等长时就是它）。",
            en_help="Prompts are a quarter of this to all of it (equal: just this).",
            ge=4,
            le=96,
            step=4,
            unit="token",
            when={"mode": ["engine", "both"]},
        ),
    ] = 48
    output_tokens: Annotated[
        int,
        Field(
            zh="最长回答",
            en="Longest answer",
            zh_help="每个请求要生成多少由分布决定，最多这么多；结束符不提前结束它。",
            en_help="The mix decides how much each request generates, at most this; an end token does not "
            "end "
            "it early.",
            ge=4,
            le=128,
            step=4,
            unit="token",
            when={"mode": ["engine", "both"]},
        ),
    ] = 48
    most_sequences: Annotated[
        int,
        Field(
            zh="批大小上限",
            en="Largest batch",
            zh_help="最多几条序列同时运行（vLLM 的 max_num_seqs）。静态批处理每批就是这么大。",
            en_help="Sequences that run at once, at most (vLLM's max_num_seqs). A static batch is this big.",
            ge=1,
            le=16,
            step=1,
            when={"mode": ["engine", "both"]},
        ),
    ] = 4
    token_budget: Annotated[
        int,
        Field(
            zh="每步 token 预算",
            en="Token budget a step",
            zh_help="分块预填充时一步最多算这么多 token，解码优先，剩下的给提示词"
            "（vLLM 的 max_num_batched_tokens）。",
            en_help="With chunked prefill a step computes at most so many tokens: decodes first, prompts get "
            "the rest (vLLM's max_num_batched_tokens).",
            ge=16,
            le=512,
            scale="log2",
            unit="token",
            when={"mode": ["engine", "both"]},
        ),
    ] = 64
    wait_s: Annotated[
        float,
        Field(
            zh="动态批的等待时限",
            en="Wait of dynamic batching",
            zh_help="最早到的等了这么久，没凑满也开始。",
            en_help="Once the first has waited so long, a batch starts although it is not full.",
            ge=0,
            le=2,
            step=0.05,
            unit="s",
        ),
    ] = 0.3
    kv_blocks: Annotated[
        int,
        Field(
            zh="KV 块数",
            en="KV blocks",
            zh_help="KV 缓存有多少块，每块 16 个 token。调小：静态批要为每条预留最长的，于是批变小；"
            "连续批处理按需分配，不够时抢占。",
            en_help="Blocks of 16 tokens in the KV cache. With few, static batches shrink, for each sequence "
            "reserves the longest; continuous batching allocates on demand, and preempts when it must.",
            ge=8,
            le=512,
            scale="log2",
            when={"mode": ["engine", "both"]},
        ),
    ] = 256
    strategies: Annotated[
        Literal["all", "static_continuous", "dynamic_continuous", "continuous_chunked"],
        Field(
            zh="谁参赛",
            en="Who races",
            zh_help="每个策略都把同样的请求真实地跑一遍。",
            en_help="Each strategy serves the same requests for real.",
            choices={
                "all": Text(zh="全部四种", en="all four"),
                "static_continuous": Text(zh="静态与连续", en="static, continuous"),
                "dynamic_continuous": Text(zh="动态与连续", en="dynamic, continuous"),
                "continuous_chunked": Text(zh="连续与分块", en="continuous, chunked"),
            },
            preview=False,
            when={"mode": ["engine", "both"]},
        ),
    ] = "all"
    weights: Annotated[
        Literal["fp32", "bf16", "int8", "int4"],
        Field(
            zh="权重类型",
            en="Weights",
            zh_help="INT4 每步最快；与批处理的道理无关。",
            en_help="INT4 has the fastest steps; what batching does is the same with all.",
            choices={
                "fp32": same("FP32"),
                "bf16": same("BF16"),
                "int8": same("INT8"),
                "int4": same("INT4"),
            },
            preview=False,
            when={"mode": ["engine", "both"]},
        ),
    ] = "int4"
    scale_requests: Annotated[
        int,
        Field(
            zh="模拟的请求数",
            en="Simulated requests",
            zh_help="长度分布相同，只是提示词最长 1024、回答最长 512 个 token。",
            en_help="The same mix of lengths, with prompts of up to 1024 tokens and answers of up to 512.",
            ge=50,
            le=5000,
            scale="log",
            when={"mode": ["simulator", "both"]},
            preview=False,
        ),
    ] = 1000
    scale_rate_per_s: Annotated[
        float,
        Field(
            zh="模拟的到达率",
            en="Simulated arrival rate",
            zh_help="两张卡合计，每秒来几个。调低到静态也跟得上，再看 TTFT。",
            en_help="Requests a second for both devices. Lower it until static batching keeps up, and look "
            "at TTFT.",
            ge=1,
            le=200,
            scale="log",
            unit="req/s",
            when={"mode": ["simulator", "both"]},
            preview=False,
        ),
    ] = 32.0
    scale_sequences: Annotated[
        int,
        Field(
            zh="模拟的批大小上限",
            en="Simulated largest batch",
            zh_help="每张卡最多同时运行几条序列；静态批处理每批就要凑这么多。",
            en_help="Sequences that run at once on a device, at most; static batches wait for so many.",
            ge=8,
            le=512,
            scale="log2",
            when={"mode": ["simulator", "both"]},
            preview=False,
        ),
    ] = 128
    scale_budget: Annotated[
        int,
        Field(
            zh="模拟的每步 token 预算",
            en="Simulated token budget a step",
            zh_help="分块预填充时一步最多算多少 token：小则停顿短，大则长提示词快。",
            en_help="Tokens of a step with chunked prefill: a small budget makes stalls short, a large one "
            "long "
            "prompts fast.",
            ge=128,
            le=8192,
            scale="log2",
            unit="token",
            when={"mode": ["simulator", "both"]},
            preview=False,
        ),
    ] = 512


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the lengths alone decide, before anything has run."""
    from labs.batching.charts import STATIC_STEPS, STATIC_WASTE, STEP_RATIO
    from labs.formulas.batching import continuous_speedup_bound, padding_waste, static_steps

    racing = FIELDS[params.strategies]
    if params.mode == "simulator" or "static" not in racing:
        return
    answers = [one.output_tokens for one in requests_of(params, ctx)]
    places = params.most_sequences
    yield Prediction(
        id="static_waste",
        title=STATIC_WASTE,
        value=100 * padding_waste([answer - 1 for answer in answers], places),
        unit="%",
        formula=Text(
            zh="1 − Σ(回答 − 1) ÷ Σ 每批 (最长 − 1) × 条数：首个 token 来自预填充；KV 够用时",
            en="1 − Σ(answer − 1) / Σ over batches (longest − 1) × members: the first token comes from "
            "prefill; if the KV cache suffices",
        ),
    )
    yield Prediction(
        id="static_steps",
        title=STATIC_STEPS,
        value=float(static_steps(answers, places)),
        unit="",
        formula=Text(
            zh="Σ 每批最长的回答（KV 够用时）",
            en="Σ over batches of the longest answer, if the KV cache suffices",
        ),
    )
    if "continuous" in racing:
        yield Prediction(
            id="step_ratio",
            title=STEP_RATIO,
            value=continuous_speedup_bound(answers, places),
            unit="×",
            formula=Text(
                zh="上限：静态步数 ÷ max(⌈Σ回答 ÷ 位置⌉, 最长回答)，预填充不另占步、请求都已到达",
                en="bound: static steps over max(⌈Σ answers / places⌉, longest), if prefill takes no steps "
                "of its "
                "own and all requests have come",
            ),
        )


def requests_of(params: Params, ctx: Context) -> list["Request"]:
    from labs.batching import workload

    return workload.requests_of(
        params.arrivals,
        count=params.requests,
        rate_per_s=params.rate_per_s,
        burstiness=params.burstiness,
        mix=params.mix,
        longest_prompt=params.prompt_tokens,
        longest_answer=params.output_tokens,
        seed=ctx.seed,
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """While a slider moves, a rehearsal in the simulator; on release the engine, then the scale."""
    if params.mode != "simulator":
        requests = requests_of(params, ctx)
        if {"static", "continuous"} <= set(FIELDS[params.strategies]):
            yield charts.speedup(None)
        yield charts.workload(requests)
        yield from _rehearse(params, ctx, requests) if ctx.preview else _race(params, ctx, requests)
    if params.mode != "engine" and not ctx.preview:
        yield from _at_scale(params, ctx)


def _setting(params: Params) -> "Setting":
    from labs.engine.serving import Setting

    return Setting(
        blocks=params.kv_blocks,
        most_sequences=params.most_sequences,
        token_budget=max(params.token_budget, params.most_sequences),
        wait_s=params.wait_s,
        weights=params.weights,
    )


def _step_costs(ctx: Context) -> "dict[str, LineCost]":
    """What the engine's steps took last, by the type of the weights: what a rehearsal goes by."""
    return ctx.memo("batching race: cost of a step", dict)


def _rehearse(params: Params, ctx: Context, requests: list["Request"]) -> Iterator[Result]:
    """A race takes seconds, and one that a moving slider disturbs would be no measurement."""
    from labs.batching.simulated_race import GUESSED, rehearse

    cost = _step_costs(ctx).get(params.weights, GUESSED)
    runs = [rehearse(one, requests, _setting(params), cost) for one in FIELDS[params.strategies]]
    speeds = {one.strategy: one.tokens_per_s for one in runs}
    if {"static", "continuous"} <= set(speeds):
        yield charts.speedup(speeds["continuous"] / speeds["static"], Provenance.SIMULATED)
    yield from _pictures(runs, Provenance.SIMULATED)
    yield charts.table(runs, Provenance.SIMULATED)


def _race(params: Params, ctx: Context, requests: list["Request"]) -> Iterator[Result]:
    """Strategy after strategy; the trace grows, and all timelines follow it."""
    from labs.batching.engine_race import race
    from labs.batching.simulated_race import fitted_cost
    from labs.batching.story import story

    runs: dict[Strategy, Run] = {}
    for one in race(ctx, FIELDS[params.strategies], requests, _setting(params)):
        runs[one.strategy] = one
        yield from _pictures(list(runs.values()), Provenance.MEASURED)
    ordered = list(runs.values())
    _step_costs(ctx)[params.weights] = fitted_cost(ordered)
    yield from charts.metrics(runs)
    yield charts.rate(ordered)
    yield charts.latency(ordered)
    yield charts.work(ordered)
    yield charts.table(ordered)
    yield story(runs, params.most_sequences)


def _pictures(runs: list["Run"], provenance: Provenance) -> Iterator[Result]:
    yield replay.trace(runs, provenance)
    yield charts.progress(runs, provenance)
    for one in runs:
        yield replay.timeline(one, provenance)


def _at_scale(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.batching import scale_charts, scale_replay
    from labs.batching.simulated_race import SCALE_ANSWER, SCALE_PROMPT, SCALE_STRATEGIES, at_scale
    from labs.batching.workload import requests_of
    from labs.engine.serving import Setting

    requests = requests_of(
        "",
        count=params.scale_requests,
        rate_per_s=params.scale_rate_per_s,
        burstiness=params.burstiness,
        mix=params.mix,
        longest_prompt=SCALE_PROMPT,
        longest_answer=SCALE_ANSWER,
        seed=ctx.seed,
    )
    setting = Setting(
        most_sequences=params.scale_sequences,
        token_budget=max(params.scale_budget, params.scale_sequences),
        wait_s=params.wait_s,
    )
    runs = {}
    for index, strategy in enumerate(SCALE_STRATEGIES):
        ctx.progress(index / len(SCALE_STRATEGIES), TITLES[strategy])
        runs[strategy] = at_scale(strategy, requests, setting, ctx.check)
        yield scale_charts.table(list(runs.values()))
    ordered = list(runs.values())
    yield scale_replay.trace(ordered)
    yield scale_charts.ended(ordered)
    yield scale_replay.waiting(ordered)
    for one in ordered:
        yield scale_replay.timeline(one)
    yield scale_charts.first_tokens(ordered)
    yield scale_charts.story(runs)


LAB = Lab(
    id="system/continuous_batching",
    title=Text(zh="批处理赛跑", en="The batching race"),
    summary=Text(
        zh="同样的请求，先后用静态、动态、连续、分块预填充真实地服务一遍，再在同一时钟上并排重放："
        "谁在排队、谁在白算、谁先跑完。",
        en="The same requests served for real by static, dynamic, continuous and chunked-prefill batching, "
        "then replayed side by side on one clock: who waits, who computes for nothing, who finishes first.",
    ),
    sections=["3.2.2"],
    questions=[f"3.2.2-{number:02d}" for number in range(1, 11)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(
        requests=4,
        rate_per_s=50,
        output_tokens=8,
        prompt_tokens=8,
        most_sequences=2,
        kv_blocks=32,
        wait_s=0.05,
        scale_requests=50,
        scale_sequences=8,
    ),
    presets=[
        Preset(
            id="tail",
            title=Text(zh="一条长的拖住一批", en="One long answer holds a batch"),
            story=Text(
                zh="四分之一的回答很长。先猜静态批处理有几成是白算的，再看橙红色的条：它们都在等最长的那一"
                "条。",
                en="A quarter of the answers is long. Guess how much of static batching is for nothing, then "
                "look at the orange-red bars: all of them wait for the longest.",
            ),
            values={"mix": "tail"},
        ),
        Preset(
            id="equal",
            title=Text(zh="一样长：静态不浪费", en="All alike: static wastes nothing"),
            story=Text(
                zh="所有请求一样长、同时到。白算是 0，连续批处理的优势也就没了：浪费来自长度不齐和到达不齐。",
                en="All requests are as long and come at once. Nothing is for nothing, and the lead of "
                "continuous batching is gone: waste comes from uneven lengths and uneven arrivals.",
            ),
            values={
                "mix": "equal",
                "rate_per_s": 100.0,
                "output_tokens": 24,
                "requests": 8,
                "strategies": "static_continuous",
                "mode": "engine",
            },
        ),
        Preset(
            id="latecomer",
            title=Text(zh="晚到一步", en="A moment too late"),
            story=Text(
                zh="自己写的到达：四条同时到，其中一条很长；0.2 s 后又来一条很短的。静态批处理里它要等整批结"
                "束。",
                en="Typed arrivals: four at once, one of them long, and 0.2 s later a very short one. With "
                "static batching it waits until the whole batch has ended.",
            ),
            values={
                "arrivals": "0:32/64, 0:32/8, 0:32/8, 0:32/8, 0.2:16/4",
                "strategies": "static_continuous",
                "mode": "engine",
            },
        ),
        Preset(
            id="long_prompts",
            title=Text(zh="长提示词让人停顿", en="A long prompt stops the others"),
            story=Text(
                zh="四分之一的提示词是 8 倍长。不分块时，每来一条，正在解码的全都停下；分块后每步只算预算那么"
                "多。",
                en="A quarter of the prompts is 8 times as long. Unchunked, each stops all who decode; "
                "chunked, "
                "a step computes no more than its budget.",
            ),
            values={
                "mix": "long_prompts",
                "strategies": "continuous_chunked",
                "requests": 12,
                "rate_per_s": 6.0,
                "output_tokens": 40,
                "mode": "engine",
            },
        ),
        Preset(
            id="memory",
            title=Text(zh="显存很少", en="Little memory"),
            story=Text(
                zh="KV 只有 16 块。静态批按最长的预留，只装得下一两条；连续批处理按需分块，装得下更多，不够时"
                "抢占。",
                en="Only 16 KV blocks. A static batch reserves the longest and fits two or so; continuous "
                "batching takes blocks as it needs them, fits more, and preempts when they run out.",
            ),
            values={
                "kv_blocks": 16,
                "mix": "uniform",
                "strategies": "static_continuous",
                "output_tokens": 64,
                "mode": "engine",
            },
        ),
        Preset(
            id="scale",
            title=Text(zh="两张 A100、一千个请求", en="Two A100s, a thousand requests"),
            story=Text(
                zh="只跑模拟器。先猜：静态的 TTFT 是连续的几倍？再把到达率调低，看吞吐先追平、TTFT 却追不"
                "平。",
                en="The simulator alone. Guess first: how many times the TTFT has static batching? Then "
                "lower the "
                "rate: throughput evens out, TTFT does not.",
            ),
            values={"mode": "simulator"},
        ),
    ],
)
