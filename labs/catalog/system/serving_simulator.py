"""The fleet view: a model on many devices under a load, simulated with the engine's own scheduler.

Long for its parameters and their texts; what it runs and shows stands in ``labs.simulator``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.simulator.fleet import Fleet, Workload

# While a slider is dragged.
PREVIEW_REQUESTS = 400
# At each load of a sweep, and on each device of a comparison.
SWEEP_REQUESTS = 1500

ModelName = Literal[
    "llama-3-8b",
    "llama-2-7b",
    "llama-2-70b",
    "llama-3-70b",
    "llama-3.1-8b",
    "llama-3.1-70b",
    "llama-3.1-405b",
    "llama-3.2-1b",
    "llama-3.2-3b",
    "qwen2.5-7b",
    "qwen2.5-32b",
    "qwen2.5-72b",
    "qwen3-8b",
    "qwen3-32b",
    "qwen3-30b-a3b",
    "qwen3-235b-a22b",
    "mistral-7b",
    "mixtral-8x7b",
    "mixtral-8x22b",
    "deepseek-v3",
    "gpt-oss-20b",
    "gpt-oss-120b",
    "config",
]
DeviceName = Literal[
    "a100-80gb-sxm",
    "a100-40gb-pcie",
    "h100-sxm",
    "h100-pcie",
    "h200-sxm",
    "b200-sxm",
    "l40s",
    "rtx-4090",
    "rtx-5090",
    "mi300x",
    "tpu-v5e",
    "tpu-v6e",
    "ascend-910b2",
]
_RUNS = ["run", "sweep", "devices"]
_OPEN = ["poisson", "bursty"]


class Params(LabParams, frozen=True):
    """The fleet, its load, and what to look at."""

    view: Annotated[
        Literal["run", "sweep", "devices", "fidelity"],
        Field(
            zh="看什么",
            en="View",
            zh_help="一次运行的全部指标；负载逐渐升高，找膝点；同一负载换不同设备；或把模拟与公布的实测逐行对照。",
            en_help="All metrics of one run; rising load, to find the knee; the same load on other devices; "
            "or the simulator beside published measurements, row by row.",
            choices={
                "run": Text(zh="一次运行", en="one run"),
                "sweep": Text(zh="扫描负载", en="sweep the load"),
                "devices": Text(zh="比较设备", en="compare devices"),
                "fidelity": Text(zh="对照实测", en="predicted against reported"),
            },
            preview=False,
        ),
    ] = "run"
    served_model: Annotated[
        ModelName,
        Field(
            zh="模型",
            en="Model",
            zh_help="形状取自各模型公布的 config.json；也可以用你自己的。",
            en_help="Shapes are from the published config.json of each; or take your own.",
            choices={
                **{name: same(name) for name in ModelName.__args__ if name != "config"},
                "config": Text(zh="我的 config.json", en="my config.json"),
            },
            when={"view": _RUNS},
        ),
    ] = "llama-3-8b"
    config_path: Annotated[
        str,
        Field(
            zh="config.json 路径",
            en="Path of config.json",
            zh_help="Llama、Mistral、Mixtral、Qwen 2/3、DeepSeek-V3、gpt-oss 系列的 config.json 或其目录。",
            en_help="The config.json, or its folder, of a Llama, Mistral, Mixtral, Qwen 2 or 3, DeepSeek-V3 "
            "or gpt-oss model.",
            when={"served_model": ["config"]},
            preview=False,
        ),
    ] = ""
    device: Annotated[
        DeviceName,
        Field(
            zh="设备",
            en="Device",
            zh_help="带宽、稠密峰值、显存和功耗取自数据手册。",
            en_help="Bandwidth, dense peak, memory and power are from data sheets.",
            choices={name: same(name) for name in DeviceName.__args__},
            when={"view": ["run", "sweep"]},
        ),
    ] = "a100-80gb-sxm"
    replicas: Annotated[
        int,
        Field(
            zh="副本数",
            en="Replicas",
            zh_help="各有一份完整的模型；路由把请求分给它们。",
            en_help="Each has a whole model; a router shares the requests out.",
            ge=1,
            le=64,
            step=1,
            when={"view": _RUNS},
        ),
    ] = 1
    prefill_replicas: Annotated[
        int,
        Field(
            zh="另设的预填充副本",
            en="Prefill replicas besides",
            zh_help="大于 0 时预填充与解码分离：这些副本只算提示词，KV 经互连传给上面的副本去解码。",
            en_help="Above 0, prefill and decode are apart: these compute prompts only, and the KV crosses "
            "the link to the replicas above, which decode.",
            ge=0,
            le=64,
            step=1,
            when={"view": _RUNS},
        ),
    ] = 0
    tensor_parallel: Annotated[
        Literal[1, 2, 4, 8],
        Field(
            zh="张量并行",
            en="Tensor parallel",
            zh_help="一个副本用几个设备。每层多两次 all-reduce。",
            en_help="Devices of one replica. Two all-reduces a layer are the price.",
            when={"view": _RUNS},
        ),
    ] = 1
    precision: Annotated[
        Literal["bf16", "fp8", "w4"],
        Field(
            zh="精度",
            en="Precision",
            zh_help="FP8：权重和 KV 各 1 字节，按 FP8 峰值算。INT4 权重：每个 0.5 字节，KV 与计算仍是 BF16。",
            en_help="FP8: weights and KV of 1 byte, at the FP8 peak. INT4 weights: half a byte each, KV and "
            "products in BF16.",
            choices={"bf16": same("BF16"), "fp8": same("FP8"), "w4": Text(zh="INT4 权重", en="INT4 weights")},
            when={"view": _RUNS},
        ),
    ] = "bf16"
    calibration: Annotated[
        Literal["fitted", "kernels", "ideal", "table"],
        Field(
            zh="常数",
            en="Constants",
            zh_help="拟合：由 TensorRT-LLM 在 H100 上的离线吞吐拟合，含引擎的开销。"
            "算子：单独计时的算子达到峰值的几成，不含开销。理想：达到全部峰值，没有什么能更快。",
            en_help="Fitted: to TensorRT-LLM's offline throughput on H100, the engine's overhead included. "
            "Kernels: the shares of peak that kernels timed alone reach, no overhead. Ideal: every peak "
            "reached; nothing is faster.",
            choices={
                "fitted": Text(zh="拟合", en="fitted"),
                "kernels": Text(zh="算子", en="kernels"),
                "ideal": Text(zh="理想", en="ideal"),
                "table": Text(zh="我的耗时表", en="my table"),
            },
            when={"view": _RUNS},
        ),
    ] = "fitted"
    table_path: Annotated[
        str,
        Field(
            zh="耗时表",
            en="Cost table",
            zh_help="CSV，列为 kind,tokens,context,seconds。prefill：一段 tokens 个 token 的提示词，"
            "前面已有 context 个；decode：tokens 条序列各出一个 token，共看 context 个；"
            "swap：搬运 tokens 个 token 的 KV。",
            en_help="CSV with the columns kind,tokens,context,seconds. prefill: a chunk of tokens after "
            "context others; decode: a token for each of so many sequences, which see context tokens "
            "together; swap: the KV of tokens moved.",
            when={"calibration": ["table"]},
            preview=False,
        ),
    ] = ""
    workload: Annotated[
        Literal["poisson", "bursty", "closed", "trace"],
        Field(
            zh="到达",
            en="Arrivals",
            zh_help="泊松；成阵的（伽马间隔）；闭环：固定人数，等到回答再问；或轨迹文件的到达与长度。",
            en_help="Poisson; in bursts (gamma gaps); closed: so many users, who wait for their answers; or "
            "the arrivals and lengths of a trace.",
            choices={
                "poisson": Text(zh="泊松", en="Poisson"),
                "bursty": Text(zh="成阵", en="bursty"),
                "closed": Text(zh="闭环", en="closed loop"),
                "trace": Text(zh="轨迹文件", en="trace file"),
            },
            when={"view": _RUNS},
        ),
    ] = "poisson"
    rate_per_s: Annotated[
        float,
        Field(
            zh="到达率",
            en="Rate",
            zh_help="平均每秒来多少请求。扫描负载时不用它。",
            en_help="Requests a second on average. A sweep sets its own.",
            ge=0.01,
            le=10000,
            scale="log",
            unit="req/s",
            when={"workload": _OPEN},
        ),
    ] = 4.0
    burstiness: Annotated[
        float,
        Field(
            zh="间隔的变异系数",
            en="Variation of the gaps",
            zh_help="1 就是泊松；越大越成阵。",
            en_help="1 is Poisson; larger comes in bursts.",
            ge=0.1,
            le=10,
            step=0.1,
            when={"workload": ["bursty"]},
        ),
    ] = 3.0
    users: Annotated[
        int,
        Field(
            zh="用户数",
            en="Users",
            zh_help="同时最多有这么多请求。",
            en_help="There are never more requests at once.",
            ge=1,
            le=10000,
            scale="log",
            when={"workload": ["closed"]},
        ),
    ] = 32
    think_s: Annotated[
        float,
        Field(
            zh="思考时间",
            en="Thinking",
            zh_help="收到回答后平均过多久再问。",
            en_help="From an answer to the next question, on average.",
            ge=0,
            le=600,
            unit="s",
            when={"workload": ["closed"]},
        ),
    ] = 5.0
    trace_path: Annotated[
        str,
        Field(
            zh="轨迹或长度文件",
            en="File of the trace or lengths",
            zh_help="CSV：Azure 的列名（TIMESTAMP、ContextTokens、GeneratedTokens）等；"
            "JSON lines：Mooncake 的格式，带前缀哈希。写错的行会指出行号。",
            en_help="CSV with Azure's columns (TIMESTAMP, ContextTokens, GeneratedTokens) and others; JSON "
            "lines in Mooncake's format, with prefix hashes. A malformed row is refused by its line.",
            preview=False,
            when={"view": _RUNS},
        ),
    ] = ""
    requests: Annotated[
        int,
        Field(
            zh="请求数",
            en="Requests",
            zh_help="最多多少个。内存不随它增长。扫描和比较设备时，每个点最多 1500 个。",
            en_help="At most so many. Memory does not grow with them. In a sweep or a comparison, at most "
            "1,500 at each point.",
            ge=10,
            le=1_000_000,
            scale="log",
            when={"view": _RUNS},
            preview=False,
        ),
    ] = 2000
    lengths: Annotated[
        Literal["lognormal", "fixed", "file"],
        Field(
            zh="长度",
            en="Lengths",
            zh_help="对数正态有真实回答那样的长尾；固定；或轮流取文件里的长度。",
            en_help="Log-normal has the long tail of real answers; fixed; or those of the file, in turn.",
            choices={
                "lognormal": Text(zh="对数正态", en="log-normal"),
                "fixed": Text(zh="固定", en="fixed"),
                "file": Text(zh="取自文件", en="of the file"),
            },
            when={"workload": ["poisson", "bursty", "closed"]},
        ),
    ] = "lognormal"
    prompt_tokens: Annotated[
        int,
        Field(
            zh="提示词长度",
            en="Prompt",
            zh_help="平均多少 token。",
            en_help="Tokens on average.",
            ge=1,
            le=131072,
            scale="log2",
            unit="token",
            when={"lengths": ["lognormal", "fixed"]},
        ),
    ] = 1024
    answer_tokens: Annotated[
        int,
        Field(
            zh="回答长度",
            en="Answer",
            zh_help="平均多少 token。",
            en_help="Tokens on average.",
            ge=1,
            le=32768,
            scale="log2",
            unit="token",
            when={"lengths": ["lognormal", "fixed"]},
        ),
    ] = 256
    length_variation: Annotated[
        float,
        Field(
            zh="长度的变异系数",
            en="Variation of lengths",
            zh_help="标准差 ÷ 均值。超过 8192 的截到 8192。",
            en_help="Standard deviation over mean. Lengths above 8,192 are cut to it.",
            ge=0.1,
            le=3,
            step=0.1,
            when={"lengths": ["lognormal"]},
        ),
    ] = 1.0
    batching: Annotated[
        Literal["chunked", "continuous", "static", "dynamic"],
        Field(
            zh="批处理",
            en="Batching",
            zh_help="分块预填充；连续批处理（预填充独占一步）；静态；动态（凑不满也不久等）。",
            en_help="Chunked prefill; continuous (prompts have steps of their own); static; dynamic (a batch "
            "that does not fill starts after a while).",
            choices={
                "chunked": Text(zh="分块预填充", en="chunked prefill"),
                "continuous": Text(zh="连续", en="continuous"),
                "static": Text(zh="静态", en="static"),
                "dynamic": Text(zh="动态", en="dynamic"),
            },
            when={"view": _RUNS},
        ),
    ] = "chunked"
    policy: Annotated[
        Literal["fcfs", "sjf", "priority", "mlfq", "fair", "edf"],
        Field(
            zh="调度策略",
            en="Policy",
            zh_help="谁先上。这里短作业优先知道真实的输出长度：它的上限。",
            en_help="Who goes first. Shortest job first knows the true lengths here: its upper bound.",
            choices={
                "fcfs": Text(zh="先来先服务", en="first come"),
                "sjf": Text(zh="短作业优先", en="shortest first"),
                "priority": Text(zh="优先级加老化", en="priority with ageing"),
                "mlfq": Text(zh="多级反馈", en="multi-level feedback"),
                "fair": Text(zh="用户间公平", en="fair share"),
                "edf": Text(zh="截止时间优先", en="earliest deadline"),
            },
            when={"view": _RUNS},
        ),
    ] = "fcfs"
    token_budget: Annotated[
        int,
        Field(
            zh="每步 token 预算",
            en="Tokens a step",
            zh_help="分块大小：一步最多算多少 token。不足“最多同时运行”时按后者。",
            en_help="The chunk: tokens computed in a step at most; no less than the sequences at once.",
            ge=16,
            le=65536,
            scale="log2",
            unit="token",
            when={"batching": ["chunked", "continuous"]},
        ),
    ] = 512
    most_sequences: Annotated[
        int,
        Field(
            zh="最多同时运行",
            en="Sequences at once",
            zh_help="批的上限。",
            en_help="The most in a batch.",
            ge=1,
            le=4096,
            scale="log2",
            when={"view": _RUNS},
        ),
    ] = 256
    block_size: Annotated[
        Literal[8, 16, 32, 64, 128],
        Field(
            zh="KV 块大小",
            en="KV block",
            zh_help="一块放多少 token。",
            en_help="Tokens in a block.",
            unit="token",
            when={"view": _RUNS},
        ),
    ] = 16
    prefix_cache: Annotated[
        bool,
        Field(
            zh="前缀缓存",
            en="Prefix cache",
            zh_help="只有带前缀哈希的轨迹（Mooncake）才有可共享的前缀。",
            en_help="Only traces with prefix hashes (Mooncake) have prefixes to share.",
            when={"view": _RUNS},
        ),
    ] = False
    preemption: Annotated[
        Literal["recompute", "swap"],
        Field(
            zh="抢占方式",
            en="Preemption",
            zh_help="显存不够时让出 KV：以后重算，或换出到主机。",
            en_help="Where memory runs out: compute the KV again later, or move it to the host.",
            choices={
                "recompute": Text(zh="重算", en="recompute"),
                "swap": Text(zh="换出", en="swap"),
            },
            when={"view": _RUNS},
        ),
    ] = "recompute"
    routing: Annotated[
        Literal["least_loaded", "round_robin", "prefix_aware"],
        Field(
            zh="路由",
            en="Routing",
            zh_help="最少请求；轮流；或谁的缓存里前缀最长（不过载时）。",
            en_help="Fewest requests; in turn; or where most of the prefix is cached (unless overloaded).",
            choices={
                "least_loaded": Text(zh="最空闲", en="least loaded"),
                "round_robin": Text(zh="轮流", en="round robin"),
                "prefix_aware": Text(zh="看前缀", en="prefix-aware"),
            },
            when={"view": _RUNS},
        ),
    ] = "least_loaded"
    slo_ttft_s: Annotated[
        float,
        Field(
            zh="SLO：TTFT",
            en="SLO: TTFT",
            zh_help="首 token 最迟多久。",
            en_help="The first token by then.",
            ge=0.01,
            le=600,
            scale="log",
            unit="s",
            when={"view": _RUNS},
        ),
    ] = 1.0
    slo_tpot_ms: Annotated[
        float,
        Field(
            zh="SLO：TPOT",
            en="SLO: TPOT",
            zh_help="之后每个 token 平均最多多久。",
            en_help="Each token after it within this, on average.",
            ge=1,
            le=10000,
            scale="log",
            unit="ms",
            when={"view": _RUNS},
        ),
    ] = 50.0
    published: Annotated[
        str,
        Field(
            zh="实测数据的目录",
            en="Folder of the measurements",
            zh_help="放公布的实测 CSV 的目录；相对路径从项目目录算起。没有文件时会说明要什么。",
            en_help="Where the CSV files of published measurements are; a relative path counts from the "
            "project's folder. Without the files the lab says which.",
            when={"view": ["fidelity"]},
            preview=False,
        ),
    ] = "../shared/published"

    def fleet(self) -> "Fleet":
        """UsageError or LabError where the config cannot be read, or heads cannot be divided."""
        from pathlib import Path

        import msgspec

        from labs.simulator.constants import FITTED_RESERVED_BYTES, constants
        from labs.simulator.cost import IDEAL
        from labs.simulator.deployment import MEMORY_SHARE, Deployment
        from labs.simulator.fleet import Fleet
        from labs.simulator.hardware import device
        from labs.simulator.model_config import read_shape
        from labs.simulator.models import model
        from labs.simulator.served import Objective
        from labs.simulator.table_cost import Timed, read_cost_table

        own = self.served_model == "config"
        card = device(self.device)
        deployment = Deployment(
            model=read_shape(Path(self.config_path).expanduser()) if own else model(self.served_model),
            device=card,
            tensor_parallel=self.tensor_parallel,
            compute="fp8" if self.precision == "fp8" else "bf16",
            weight_bytes={"bf16": 2.0, "fp8": 1.0, "w4": 0.5}[self.precision],
            kv_bytes=1.0 if self.precision == "fp8" else 2.0,
        )
        table: tuple[Timed, ...] = ()
        if self.calibration == "table":
            path = Path(self.table_path).expanduser()
            table = tuple(read_cost_table(path))
            shares = msgspec.structs.replace(IDEAL, source=f"timed steps, {path.name}")
        else:
            shares = constants(self.calibration, self.device)
        reserved = 1 - FITTED_RESERVED_BYTES / card.memory_bytes
        return Fleet(
            deployment=deployment,
            constants=shares,
            table=table,
            replicas=self.replicas,
            prefill_replicas=self.prefill_replicas,
            router=self.routing,
            batching=self.batching,
            policy=self.policy,
            most_sequences=self.most_sequences,
            token_budget=self.token_budget,
            block_size=self.block_size,
            memory_share=min(MEMORY_SHARE, reserved),
            prefix_cache=self.prefix_cache,
            preemption=self.preemption,
            objective=Objective(ttft_s=self.slo_ttft_s, tpot_s=self.slo_tpot_ms / 1000),
        )

    def load(self, most: int, seed: int) -> "Workload":
        """At most ``most`` requests."""
        from labs.simulator.fleet import Workload

        return Workload(
            arrivals=self.workload,
            rate_per_s=self.rate_per_s,
            variation=self.burstiness,
            users=self.users,
            think_s=self.think_s,
            requests=min(self.requests, most),
            lengths=self.lengths,
            prompt=self.prompt_tokens,
            answer=self.answer_tokens,
            length_variation=self.length_variation,
            path=self.trace_path,
            seed=seed,
        )


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What needs no simulation: how many requests a second come, and how many can be served at most."""
    if params.view != "run" or params.workload not in _OPEN:
        return
    capacity = params.fleet().capacity_per_s(*params.load(params.requests, ctx.seed).mean_lengths())
    yield Prediction(
        id="requests_per_s",
        title=Text(zh="完成请求", en="Throughput"),
        value=min(params.rate_per_s, capacity),
        unit="req/s",
        formula=Text(
            zh="来多少完成多少，直到屋顶线估出的容量",
            en="as many as come, up to the capacity by the roofline",
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    if params.view == "fidelity":
        yield from _fidelity(params, ctx)
    elif params.view == "sweep":
        yield from _sweep(params, ctx)
    elif params.view == "devices":
        yield from _devices(params, ctx)
    else:
        yield from _one(params, ctx)


def _one(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.simulator import fleet_views
    from labs.simulator.fleet import simulate

    fleet = params.fleet()
    most = PREVIEW_REQUESTS if ctx.preview else params.requests
    outcome = simulate(fleet, params.load(most, ctx.seed), ctx.check)
    yield from fleet_views.metrics(fleet, outcome)
    yield fleet_views.latency_table(fleet, outcome)
    yield fleet_views.percentile_lines(fleet, outcome)
    if len(outcome.replicas) > 1:
        yield fleet_views.replica_table(fleet, outcome)


def _sweep(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.simulator import load_sweep
    from labs.spec import UsageError

    if params.workload not in _OPEN:
        zh = "扫描负载要自己定到达率：请选泊松或成阵到达"
        raise UsageError(Text(zh=zh, en="a sweep sets the rate itself: choose Poisson or bursty arrivals"))
    fleet, workload = params.fleet(), params.load(SWEEP_REQUESTS, ctx.seed)
    for points in load_sweep.sweep(fleet, workload, load_sweep.LOADS, ctx.check):
        share, at = len(points) / len(load_sweep.LOADS), f"{points[-1].rate_per_s:.2f} req/s"
        ctx.progress(share, Text(zh=f"负载 {at}", en=f"load {at}"))
        yield from load_sweep.results(fleet, workload, points)


def _devices(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.simulator import device_comparison
    from labs.spec import UsageError

    if params.calibration == "table":
        zh = "耗时表只属于一种设备：比较设备请选别的常数"
        raise UsageError(Text(zh=zh, en="a table is one device's: choose other constants to compare devices"))
    workload = params.load(SWEEP_REQUESTS, ctx.seed)
    for done in device_comparison.compare(params.fleet(), workload, params.calibration, ctx.check):
        ctx.progress(len(done) / len(device_comparison.COMPARED), same(done[-1].name))
        yield from device_comparison.results(done)


def _fidelity(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.simulator import fidelity_views

    replaying = Text(zh="重放公布的运行", en="Replaying the published runs")
    yield from fidelity_views.results(params.published, lambda share: ctx.progress(share, replaying))


LAB = Lab(
    id="system/serving_simulator",
    title=Text(zh="推理服务模拟器", en="Serving simulator"),
    summary=Text(
        zh="任意模型、设备与负载：用引擎自己的调度器模拟成千上万个请求，看延迟、吞吐和膝点，并与公布的实测对照。",
        en="Any model, device and load: thousands of requests through the engine's own scheduler, simulated; "
        "latency, throughput and the knee, and errors against published measurements.",
    ),
    sections=["3.2.2", "3.2.3", "3.3.1"],
    questions=["3.2.2-06", "3.2.3-09", "3.3.1-07", "3.3.1-09"],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(requests=60),
    presets=[
        Preset(
            id="knee",
            title=Text(zh="找膝点", en="Find the knee"),
            story=Text(
                zh="负载从一成升到十二成。吞吐跟着涨到容量为止；延迟先几乎不动，到膝点陡升。"
                "达标率先于吞吐垮掉：容量不是能卖的量。",
                en="Load rises from a tenth of capacity to beyond it. Throughput follows up to capacity; "
                "latency hardly moves, then takes off. The objective is lost before throughput is: capacity "
                "is not what can be sold.",
            ),
            values={"view": "sweep"},
        ),
        Preset(
            id="devices",
            title=Text(zh="换一块卡", en="Another card"),
            story=Text(
                zh="同样的请求，十种设备。TPOT 按显存带宽排队：解码受带宽限制；TTFT 则看算力。"
                "装不下的会说为什么。",
                en="The same requests on ten devices. TPOT ranks by memory bandwidth, for decode is bound by "
                "it; TTFT by FLOP/s. What does not fit says why.",
            ),
            values={"view": "devices", "rate_per_s": 2.0},
        ),
        Preset(
            id="fidelity",
            title=Text(zh="信得过吗", en="Can it be trusted?"),
            story=Text(
                zh="常数只由 H100 的离线吞吐拟合，去预测没见过的 A100；另一张表重放 vLLM 的一次真实服务，"
                "什么都没有拟合。误差逐行列出。",
                en="Constants fitted to H100's offline throughput alone predict the A100 that they have not "
                "seen; another table replays a real vLLM run to which nothing was fitted. Every row has its "
                "error.",
            ),
            values={"view": "fidelity"},
        ),
        Preset(
            id="bursts",
            title=Text(zh="同样的均值，成阵地来", en="The same mean, in bursts"),
            story=Text(
                zh="到达率不变，间隔的变异系数从 1 变成 5：平均吞吐一样，p99 的 TTFT 却长得多。"
                "按均值规划容量会错在这里。",
                en="The same rate with gaps of variation 5 instead of 1: mean throughput stays, p99 TTFT "
                "does not. Capacity planned by means fails here.",
            ),
            values={"workload": "bursty", "burstiness": 5.0},
        ),
        Preset(
            id="disaggregated",
            title=Text(zh="预填充与解码分离", en="Prefill and decode apart"),
            story=Text(
                zh="一张卡只预填充，一张只解码。解码不再被提示词打断，ITL 的 p99 接近均值；"
                "代价是 KV 要过一次互连，而且两边的负载要配得上。",
                en="One card only prefills, one only decodes. No prompt interrupts a decode, so p99 ITL "
                "comes near its mean; the price is a transfer of KV, and two pools whose loads must match.",
            ),
            values={"replicas": 1, "prefill_replicas": 1, "rate_per_s": 6.0},
        ),
        Preset(
            id="static",
            title=Text(zh="静态批处理的代价", en="What static batching costs"),
            story=Text(
                zh="长短不一的回答放进静态批：短的陪长的跑完，填充过半，TTFT 里多是等批的时间。"
                "再换回分块预填充。",
                en="Answers of mixed length in static batches: the short ones idle until the longest ends, "
                "more than half is padding, and TTFT is waiting for a batch. Then switch back to chunked "
                "prefill.",
            ),
            values={"batching": "dynamic", "most_sequences": 32, "rate_per_s": 1.0},
        ),
        Preset(
            id="moe",
            title=Text(zh="大模型：DeepSeek-V3 在 8 张 H200 上", en="A large one: DeepSeek-V3 on 8 H200s"),
            story=Text(
                zh="6710 亿参数，每 token 只用 370 亿；MLA 的 KV 每 token 只有 35 KB（FP8）。"
                "小批时每步读的专家少，批变大，几乎所有专家都要读：TPOT 先升后平。",
                en="671 billion weights, 37 billion used a token; MLA keeps 35 KB of KV a token in "
                "FP8. A small batch reads few experts, a large one nearly all: TPOT rises, then levels off.",
            ),
            values={
                "served_model": "deepseek-v3",
                "device": "h200-sxm",
                "tensor_parallel": 8,
                "precision": "fp8",
                "rate_per_s": 1.0,
                "requests": 500,
            },
        ),
    ],
)
