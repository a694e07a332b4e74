"""Scheduling: one workload, served in one order after another.

Long for its parameters and their texts; what it runs and shows stands in ``labs.scheduling``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.scheduling.scenario import Scenario

POLICY_NAMES = {
    "fcfs": same("FCFS"),
    "sjf": same("SJF"),
    "priority": Text(zh="优先级", en="priority"),
    "mlfq": same("MLFQ"),
    "fair": Text(zh="公平份额", en="fair share"),
    "edf": same("EDF"),
    "slo": Text(zh="SLO 优先", en="SLO first"),
}
PolicyName = Literal["fcfs", "sjf", "priority", "mlfq", "fair", "edf", "slo"]
SIMULATED_MODES = ["policies", "load", "predictor", "replicas"]


class Params(LabParams, frozen=True):
    """What is compared, who comes, what the server may do, and what the policies are told."""

    mode: Annotated[
        Literal["policies", "load", "predictor", "replicas", "engine"],
        Field(
            zh="看什么",
            en="What to look at",
            zh_help="策略对比：同一批请求，七种次序。负载扫描：到达率越来越高。长度预测：SJF "
            "的预测越来越不准。"
            "多副本：请求送到哪一台。真实引擎：十几个请求在真模型上跑，检验模拟器的次序。",
            en_help="Policies: the same requests in seven orders. Load: a rising rate. Predictor: SJF's "
            "guesses get worse. Replicas: where a request is sent. Engine: a dozen requests on the real "
            "model, "
            "to check the order that the simulator finds.",
            choices={
                "policies": Text(zh="策略对比", en="policies"),
                "load": Text(zh="负载扫描", en="load"),
                "predictor": Text(zh="长度预测", en="predictor"),
                "replicas": Text(zh="多副本", en="replicas"),
                "engine": Text(zh="真实引擎", en="engine"),
            },
        ),
    ] = "policies"
    policy_a: Annotated[
        PolicyName,
        Field(
            zh="时间线 A",
            en="Timeline A",
            zh_help="逐请求看的第一个策略。",
            en_help="The first policy that is shown request by request.",
            choices=POLICY_NAMES,
            when={"mode": ["policies"]},
        ),
    ] = "fcfs"
    policy_b: Annotated[
        PolicyName,
        Field(
            zh="时间线 B",
            en="Timeline B",
            zh_help="逐请求看的第二个策略。",
            en_help="The second policy that is shown request by request.",
            choices=POLICY_NAMES,
            when={"mode": ["policies"]},
        ),
    ] = "sjf"
    load: Annotated[
        float,
        Field(
            zh="负载",
            en="Load",
            zh_help="到达率 ÷ 估计的容量。低于 1 系统最终稳定；高于 1 队列一直变长。",
            en_help="Offered rate over the estimated capacity. Below 1 the system is stable in the long run, "
            "above 1 the queue only grows.",
            ge=0.2,
            le=2.5,
            step=0.05,
            when={"mode": ["policies", "predictor", "replicas"]},
        ),
    ] = 0.95
    mix: Annotated[
        Literal["bimodal", "lognormal", "equal"],
        Field(
            zh="长度分布",
            en="Mix of lengths",
            zh_help="长短两类：九成短问答（约 200 进 60 出），一成长文（约 600 进 900 出）。"
            "对数正态：约 300 进 150 出，长尾。等长：都是 300 进 150 出。",
            en_help="Two kinds: nine of ten are chats (about 200 tokens in, 60 out), one is a report (600 "
            "in, "
            "900 out). Log-normal: about 300 in, 150 out, with a long tail. Equal: all 300 in, 150 out.",
            choices={
                "bimodal": Text(zh="长短两类", en="two kinds"),
                "lognormal": Text(zh="对数正态", en="log-normal"),
                "equal": Text(zh="等长", en="equal"),
            },
            when={"mode": SIMULATED_MODES},
        ),
    ] = "bimodal"
    requests: Annotated[
        int,
        Field(
            zh="请求数",
            en="Requests",
            zh_help="每次运行服务多少请求。越多，均值越稳。",
            en_help="Served in each run. The more, the steadier the means.",
            ge=100,
            le=10000,
            scale="log",
            when={"mode": SIMULATED_MODES},
        ),
    ] = 1000
    burstiness: Annotated[
        float,
        Field(
            zh="突发度",
            en="Burstiness",
            zh_help="到达间隔的变异系数（标准差 ÷ 均值）：0 等间隔，1 泊松，越大越是一阵一阵地来。",
            en_help="Coefficient of variation of the gaps (deviation over mean): 0 evenly spaced, 1 Poisson, "
            "above it they come in bursts.",
            ge=0,
            le=4,
            step=0.1,
            when={"mode": SIMULATED_MODES},
        ),
    ] = 1.0
    most_sequences: Annotated[
        int,
        Field(
            zh="批大小上限",
            en="Largest batch",
            zh_help="最多几条序列同时运行（vLLM 的 max_num_seqs）。负载扫描时取 1，就是教科书的 M/G/1 队列，"
            "可与公式对照。",
            en_help="Sequences that run at once (vLLM's max_num_seqs). With 1, the sweep of load is the "
            "textbook's M/G/1 queue, and stands beside its formulas.",
            ge=1,
            le=128,
            scale="log2",
            when={"mode": SIMULATED_MODES},
        ),
    ] = 32
    kv_blocks: Annotated[
        int,
        Field(
            zh="KV 块数",
            en="KV blocks",
            zh_help="每块 16 个 token。调小到装不下整批，就会因显存不足而抢占。",
            en_help="Of 16 tokens. With too few for a full batch, sequences are preempted for memory.",
            ge=320,
            le=16384,
            scale="log2",
            when={"mode": SIMULATED_MODES},
        ),
    ] = 4096
    preemption: Annotated[
        Literal["recompute", "swap"],
        Field(
            zh="抢占方式",
            en="Preemption",
            zh_help="重算：丢掉 KV，回来时重新预填充。换出：KV 搬到主机内存，回来时搬回。",
            en_help="Recompute: the KV is dropped and prefilled again. Swap: it moves to host memory and "
            "back.",
            choices={
                "recompute": Text(zh="重算", en="recompute"),
                "swap": Text(zh="换出", en="swap"),
            },
            when={"mode": SIMULATED_MODES},
        ),
    ] = "recompute"
    error: Annotated[
        float,
        Field(
            zh="长度预测误差 σ",
            en="Predictor's error σ",
            zh_help="SJF 用的预测 = 真实长度 × e^(σz)，z 是标准正态。0 是神谕，0.7 时三成的预测错两倍以上。",
            en_help="What SJF is told is the true length × e^(σz), z standard normal. 0 is an oracle; at "
            "0.7 a "
            "third are off by more than a factor of two.",
            ge=0,
            le=3,
            step=0.05,
        ),
    ] = 0.5
    ageing_s: Annotated[
        float,
        Field(
            zh="老化时间",
            en="Ageing",
            zh_help="优先级策略：等这么久抵一级。MLFQ：等这么久升回最高级。",
            en_help="Priority: waiting so long is worth a level. MLFQ: waiting so long brings back to the "
            "top.",
            ge=1,
            le=300,
            scale="log",
            unit="s",
            when={"mode": ["policies", "load", "engine"]},
        ),
    ] = 30.0
    quantum: Annotated[
        int,
        Field(
            zh="MLFQ 首级时间片",
            en="MLFQ's first quantum",
            zh_help="算满这么多 token 就降一级，各级依次翻倍。",
            en_help="After so many tokens a sequence sinks a level; each level has twice the one above.",
            ge=8,
            le=1024,
            scale="log2",
            unit="token",
            when={"mode": ["policies", "load", "predictor"]},
        ),
    ] = 64
    heavy_share: Annotated[
        float,
        Field(
            zh="大户的请求占比",
            en="Heavy user's share",
            zh_help="五个用户里 A 发出的请求占多少，其余四人平分剩下的。",
            en_help="Of the requests, those of user A; four others send the rest.",
            ge=0.2,
            le=0.9,
            step=0.05,
            when={"mode": ["policies", "load"]},
        ),
    ] = 0.5
    urgent_share: Annotated[
        float,
        Field(
            zh="急件占比",
            en="Urgent share",
            zh_help="急件的 TTFT 期限是下面设的，一般件是它的 10 倍。",
            en_help="Urgent requests have the TTFT objective below, the others ten times as much.",
            ge=0.05,
            le=0.95,
            step=0.05,
            when={"mode": SIMULATED_MODES},
        ),
    ] = 0.3
    ttft_slo_s: Annotated[
        float,
        Field(
            zh="急件 TTFT 期限",
            en="Urgent TTFT objective",
            zh_help="急件的首 token 应在到达后这么久之内出现；EDF 和 SLO 优先按期限排队。",
            en_help="By when, after it came, an urgent request is to have its first token. EDF and SLO first "
            "go by this deadline.",
            ge=0.1,
            le=10,
            scale="log",
            unit="s",
            when={"mode": SIMULATED_MODES},
        ),
    ] = 1.0
    tpot_slo_ms: Annotated[
        float,
        Field(
            zh="TPOT 目标",
            en="TPOT objective",
            zh_help="首 token 之后平均每个 token 不超过这么久。",
            en_help="After the first, tokens come at most so far apart on average.",
            ge=10,
            le=500,
            scale="log",
            unit="ms",
            when={"mode": SIMULATED_MODES},
        ),
    ] = 50.0
    replicas: Annotated[
        int,
        Field(
            zh="副本数",
            en="Replicas",
            zh_help="几台同样的服务器，前面一个网关。",
            en_help="So many equal servers behind one gateway.",
            ge=2,
            le=16,
            step=1,
            when={"mode": ["replicas"]},
        ),
    ] = 4
    prefixes: Annotated[
        bool,
        Field(
            zh="有共享前缀",
            en="Shared prefixes",
            zh_help="每个提示词前面加一段 1,536 token 的前缀，共 48 种，冷热不均（Zipf）；各副本有前缀缓存。",
            en_help="Each prompt begins with one of 48 prefixes of 1,536 tokens, some far more popular "
            "(Zipf); "
            "replicas cache prefixes.",
            when={"mode": ["replicas"]},
        ),
    ] = False


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What queueing theory and the roofline say before anything has run."""
    if params.mode == "policies":
        yield from _predict_wait(params, ctx)
    elif params.mode == "load":
        yield from _predict_load(params, ctx)
    elif params.mode == "predictor" and params.mix == "lognormal":
        from labs.scheduling.predictor_mode import TAU, TAU_FORMULA, tau_predicted

        yield Prediction(id="tau", title=TAU, value=tau_predicted(params.error), unit="", formula=TAU_FORMULA)


def _predict_wait(params: Params, ctx: Context) -> Iterator[Prediction]:
    from labs.scheduling.policy_charts import FCFS_FORMULA, FCFS_WAIT

    if params.load < 1:
        scenario = scenario_of(params, ctx)
        value = scenario.full.fcfs_wait_s(scenario.rate_per_s)
        yield Prediction(id="fcfs_wait", title=FCFS_WAIT, value=value, unit="s", formula=FCFS_FORMULA)


def _predict_load(params: Params, ctx: Context) -> Iterator[Prediction]:
    from labs.formulas.scheduling import mg1_fcfs_wait, mg1_sjf_wait
    from labs.scheduling import load_mode, single_queue

    scenario = scenario_of(params, ctx)
    if params.most_sequences > 1:
        yield Prediction(
            id="capacity",
            title=load_mode.CAPACITY,
            value=scenario.full.capacity_per_s,
            unit="req/s",
            formula=load_mode.CAPACITY_FORMULA,
        )
        return
    rate = scenario.at_load(single_queue.SINGLE_LOADS[-1]).rate_per_s
    alone = [float(one) for one in scenario.alone_s]
    yield Prediction(
        id="single_fcfs",
        title=single_queue.SINGLE_FCFS,
        value=mg1_fcfs_wait(rate, alone),
        unit="s",
        formula=same("Pollaczek-Khinchine: λ E[S²] / (2 (1 − ρ))"),
    )
    yield Prediction(
        id="single_sjf",
        title=single_queue.SINGLE_SJF,
        value=mg1_sjf_wait(rate, alone),
        unit="s",
        formula=Text(
            zh="W₀ ÷ ((1 − ρ短)(1 − ρ不长))，对长度取平均",
            en="W₀ / ((1 − ρ of shorter) (1 − ρ of not longer)), averaged over lengths",
        ),
    )


def scenario_of(params: Params, ctx: Context) -> "Scenario":
    from labs.scheduling.orders import Knobs
    from labs.scheduling.scenario import Scenario
    from labs.scheduling.server import Server
    from labs.scheduling.workload import Workload

    workload = Workload(
        mix=params.mix,
        requests=params.requests,
        variation=params.burstiness,
        heavy_share=params.heavy_share,
        urgent_share=params.urgent_share,
        ttft_s=params.ttft_slo_s,
        seed=ctx.seed,
    )
    server = Server(params.most_sequences, blocks=params.kv_blocks, preemption=params.preemption)
    knobs = Knobs(params.ageing_s, params.quantum)
    return Scenario(workload, server, knobs, params.load, params.error, params.tpot_slo_ms / 1e3)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Simulated but for ``mode=engine``: Llama-3-8B on one A100, by the roofline, with the engine's own
    scheduler."""
    scenario = scenario_of(params, ctx)
    match params.mode:
        case "policies":
            from labs.scheduling import policy_mode

            yield from policy_mode.compare(scenario, (params.policy_a, params.policy_b), ctx)
        case "load":
            from labs.scheduling import load_mode

            yield from load_mode.sweep(scenario, ctx)
        case "predictor":
            from labs.scheduling import predictor_mode

            yield from predictor_mode.sweep(scenario, ctx)
        case "replicas":
            from labs.scheduling import replica_mode
            from labs.scheduling.replica_charts import Fleet

            fleet = Fleet(scenario, params.replicas, params.prefixes)
            yield from replica_mode.study(fleet, ctx)
        case "engine":
            from labs.scheduling import engine_mode

            yield from engine_mode.compare(scenario, ctx)


LAB = Lab(
    id="system/scheduling",
    title=Text(zh="请求调度", en="Request scheduling"),
    summary=Text(
        zh="同一批请求，换一种次序：谁在等，谁饿死，多少达到 SLO。七种策略、负载拐点、长度预测误差、"
        "多副本路由，都与排队论的预测并排。",
        en="The same requests in another order: who waits, who starves, how many objectives are kept. Seven "
        "policies, the knee of load, a length predictor's error, routing over replicas, beside what queueing "
        "theory predicts.",
    ),
    sections=["3.2.3"],
    questions=[f"3.2.3-{number:02d}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(requests=150, most_sequences=8),
    presets=[
        Preset(
            id="overload",
            title=Text(zh="过载：EDF 的多米诺", en="Overload: EDF's dominoes"),
            story=Text(
                zh="负载 1.15。先猜：按期限排队的 EDF，达成率会比 FCFS 高还是低？再看时间线上的红条。",
                en="Load 1.15. Guess first: does EDF, which goes by deadline, keep more than FCFS or less? "
                "Then "
                "look at the red bars.",
            ),
            values={"load": 1.15, "requests": 1500, "policy_a": "edf", "policy_b": "slo"},
        ),
        Preset(
            id="starvation",
            title=Text(zh="SJF 饿死长请求", en="SJF starves long requests"),
            story=Text(
                zh="负载 1.05，预测完美。平均 TTFT 最好的策略，最长等待却最差；看减速比里最长的一成。",
                en="Load 1.05 and an oracle. The policy with the best mean has the worst longest wait: look "
                "at "
                "the slowdown of the longest 10%.",
            ),
            values={"load": 1.05, "error": 0.0},
        ),
        Preset(
            id="heavy_user",
            title=Text(zh="一个大户", en="A heavy user"),
            story=Text(
                zh="一个用户发了七成请求。FCFS 让所有人陪他排队；公平份额让他自己排。",
                en="One user sends seven of ten requests. Under FCFS all queue with him, under fair share he "
                "queues alone.",
            ),
            values={"heavy_share": 0.7, "load": 1.05, "policy_b": "fair"},
        ),
        Preset(
            id="preemption",
            title=Text(zh="抢占的代价", en="What preemption costs"),
            story=Text(
                zh="MLFQ 时间片只有 16：首 token 最快，可看看重算了多少 token、TPOT 的 p99 成了多少；"
                "再改成换出。",
                en="MLFQ with a quantum of 16: the fastest first tokens; but look at the tokens computed "
                "again "
                "and p99 of TPOT. Then swap instead.",
            ),
            values={"quantum": 16, "policy_b": "mlfq"},
        ),
        Preset(
            id="knee",
            title=Text(zh="负载的拐点", en="The knee"),
            story=Text(
                zh="到达率从一半容量升到 1.25 倍。哪个策略最先跌破 90%？哪个撑到最后？",
                en="The rate goes from half the capacity to 125%. Which policy falls below 90% first, which "
                "last?",
            ),
            values={"mode": "load", "requests": 1500},
        ),
        Preset(
            id="theory",
            title=Text(zh="对照公式：M/G/1", en="Against the formula: M/G/1"),
            story=Text(
                zh="一次只服务一个请求，就是教科书的队列：模拟的平均排队与 Pollaczek-Khinchine 公式对照。",
                en="One request at a time is the textbook's queue: simulated waits beside Pollaczek and "
                "Khinchine's.",
            ),
            values={"mode": "load", "most_sequences": 1, "mix": "lognormal", "requests": 2000},
        ),
        Preset(
            id="predictor",
            title=Text(zh="预测要多准？", en="How good a predictor?"),
            story=Text(
                zh="从神谕到乱猜。先猜：常错两倍的预测器，还剩神谕收益的几成？",
                en="From an oracle to a guess. Guess first: what is left of the oracle's gain if predictions "
                "are often off by two?",
            ),
            values={"mode": "predictor", "mix": "lognormal", "requests": 1500, "load": 1.0},
        ),
        Preset(
            id="replicas",
            title=Text(zh="四个副本", en="Four replicas"),
            story=Text(
                zh="轮询数请求，不数工作量。再看负载信息旧到多少秒，“最少请求”就不如轮询。",
                en="Round robin counts requests, not work. Then see how old the news may be before "
                "least-requests does worse than it.",
            ),
            values={"mode": "replicas", "requests": 2000, "load": 0.9},
        ),
        Preset(
            id="prefixes",
            title=Text(zh="前缀感知路由", en="Prefix-aware routing"),
            story=Text(
                zh="请求带着共享前缀，每台只缓存得下一部分。到达率是不命中时容量的 2.2 倍：谁能靠命中撑住？",
                en="Requests share prefixes, and each replica caches only some. The rate is 2.2 times what "
                "they can serve without hits: who copes, by hitting?",
            ),
            values={"mode": "replicas", "requests": 1500, "load": 2.2, "prefixes": True},
        ),
        Preset(
            id="engine",
            title=Text(zh="真实引擎", en="The real engine"),
            story=Text(
                zh="十四个请求、两个位置，七种策略各真跑一遍：模拟器和真引擎，是否在同一步给出首 token？",
                en="Fourteen requests, two places, each policy for real: do simulator and engine give each "
                "first token in the same step?",
            ),
            values={"mode": "engine", "error": 0.0},
        ),
    ],
)
