"""The roofline: this machine's roofs, the model and its operators under them, profiles, other devices.

Long for its parameters and their texts; what it runs and shows stands in ``labs.roofline``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

_HERE = ["model", "profile"]


class Params(LabParams, frozen=True):
    """What to place under which roof."""

    mode: Annotated[
        Literal["model", "operators", "machine", "profile", "devices"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="模型：真实模型一步的各部分在本机屋顶线下的位置。算子：算子库里的每一个。"
            "本机：各级带宽与计算峰值。剖析：profiler 眼里的一步。设备：数据手册上的屋顶。",
            en_help="Model: the parts of a real step under this machine's roofs. Operators: those of the "
            "library. Machine: bandwidths and ceilings. Profile: a step as the profiler sees it. "
            "Devices: roofs from data sheets.",
            choices={
                "model": Text(zh="模型", en="model"),
                "operators": Text(zh="算子", en="operators"),
                "machine": Text(zh="本机", en="machine"),
                "profile": Text(zh="剖析", en="profile"),
                "devices": Text(zh="设备", en="devices"),
            },
            preview=False,
        ),
    ] = "model"
    phase: Annotated[
        Literal["decode", "prefill"],
        Field(
            zh="阶段",
            en="Phase",
            zh_help="解码：每条序列一个新 token，读全部权重和 KV。预填充：整个提示词一次算完。",
            en_help="Decode: one new token a sequence, all weights and KV are read. Prefill: a whole prompt "
            "at once.",
            choices={"decode": Text(zh="解码", en="decode"), "prefill": Text(zh="预填充", en="prefill")},
            when={"mode": _HERE},
        ),
    ] = "decode"
    batch: Annotated[
        int,
        Field(
            zh="批大小",
            en="Batch size",
            zh_help="一起算的序列数：权重读一次，供它们共用，强度随之升高。",
            en_help="Sequences computed together: they share one reading of the weights, so intensity rises.",
            ge=1,
            le=256,
            scale="log2",
            when={"mode": [*_HERE, "devices"]},
        ),
    ] = 1
    context: Annotated[
        int,
        Field(
            zh="上下文长度",
            en="Context length",
            zh_help="解码：每条序列已有的 token 数。预填充：提示词的长度。",
            en_help="Decode: tokens that each sequence has. Prefill: the prompt's length.",
            ge=16,
            le=8192,
            scale="log2",
            unit="token",
            when={"mode": [*_HERE, "devices"]},
        ),
    ] = 512
    precision: Annotated[
        Literal["fp32", "bf16"],
        Field(
            zh="精度",
            en="Precision",
            zh_help="权重与激活的类型。没有 BF16 指令的 CPU 上 BF16 的乘法是模拟的，很慢。",
            en_help="Type of weights and activations. A CPU without BF16 instructions emulates it, slowly.",
            choices={"fp32": same("FP32"), "bf16": same("BF16")},
            when={"mode": _HERE},
            preview=False,
        ),
    ] = "fp32"
    threads: Annotated[
        Literal["all", "one"],
        Field(
            zh="线程",
            en="Threads",
            zh_help="CPU 上用几个线程：屋顶也按同样的线程数测。",
            en_help="Threads on a CPU; roofs are measured with as many.",
            choices={"all": Text(zh="全部", en="all"), "one": Text(zh="一个", en="one")},
            when={"mode": [*_HERE, "operators", "machine"]},
            preview=False,
        ),
    ] = "all"
    again: Annotated[
        bool,
        Field(
            zh="重新测屋顶",
            en="Measure the roofs again",
            zh_help="屋顶每个会话只测一次；机器忙闲变了就打开它重测。",
            en_help="Roofs are measured once a session; measure again when the machine has become quieter.",
            when={"mode": ["model", "operators", "machine"]},
            preview=False,
        ),
    ] = False
    effort: Annotated[
        Literal["full", "quick"],
        Field(
            zh="测量",
            en="Measuring",
            zh_help="仔细：每种大小、每个部分测到稳定。粗略：每级只测一种大小，几毫秒一个，数字更跳。",
            en_help="Careful: every size and part until it is steady. Quick: one size a level, some "
            "milliseconds each; figures jump more.",
            choices={"full": Text(zh="仔细", en="careful"), "quick": Text(zh="粗略", en="quick")},
            when={"mode": ["model", "operators", "machine"]},
            preview=False,
        ),
    ] = "full"
    save_trace: Annotated[
        bool,
        Field(
            zh="保存 Chrome trace",
            en="Save a Chrome trace",
            zh_help="把 torch 自己的 trace 写进用户缓存目录，结果里给出路径。",
            en_help="Writes torch's own trace into the user's cache folder; the results name the file.",
            when={"mode": ["profile"]},
            preview=False,
        ),
    ] = False
    device: Annotated[
        Literal[
            "a100-80gb-sxm",
            "h100-sxm",
            "h200-sxm",
            "b200-sxm",
            "l40s",
            "rtx-4090",
            "rtx-5090",
            "mi300x",
            "tpu-v5e",
            "tpu-v6e",
            "ascend-910b2",
        ],
        Field(
            zh="设备",
            en="Device",
            zh_help="屋顶取自它的数据手册，只用稠密峰值。",
            en_help="Its roofs are its data sheet's, dense peaks only.",
            when={"mode": ["devices"]},
        ),
    ] = "h100-sxm"
    model_name: Annotated[
        Literal["llama-3.1-8b", "llama-3.1-70b", "llama-3.2-1b", "llama-2-7b", "qwen2.5-7b", "mistral-7b"],
        Field(
            zh="模型",
            en="Model",
            zh_help="取它公布的形状，不需要权重。",
            en_help="Its published shape; no weights are needed.",
            when={"mode": ["devices"]},
        ),
    ] = "llama-3.1-8b"
    weights: Annotated[
        Literal["bf16", "fp8", "int8", "int4"],
        Field(
            zh="数字格式",
            en="Format",
            zh_help="FP8：权重、激活、KV 都 8 位。INT8：W8A8，KV 16 位。INT4：只量化权重，按 BF16 计算。",
            en_help="FP8: weights, activations, KV. INT8: W8A8, KV in 16 bits. INT4: weights only, products "
            "in BF16.",
            choices={
                "bf16": same("BF16"),
                "fp8": same("FP8"),
                "int8": same("INT8"),
                "int4": Text(zh="INT4 权重", en="INT4 weights"),
            },
            when={"mode": ["devices"]},
        ),
    ] = "bf16"


def _threads(params: Params) -> int:
    import torch

    return 1 if params.threads == "one" else torch.get_num_threads()


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """FLOPs of a step's matrix products: the lab then counts those that torch dispatches."""
    if params.mode != "model":
        return
    from labs.formulas.decoder_demand import PRODUCTS
    from labs.roofline.setting import Setting, count_of, demands

    config = ctx.model_config()
    setting = Setting(params.phase, params.batch, params.context, params.precision)
    counted = PRODUCTS if params.phase == "prefill" else (*PRODUCTS, "attention")
    found = demands(config, setting)
    yield Prediction(
        id="flops",
        title=Text(zh="一步矩阵乘的浮点运算", en="FLOPs of a step's matrix products"),
        value=float(sum(found[name].flops * count_of(config, name) for name in counted)),
        unit="FLOP",
        formula=Text(
            zh="2 × 新 token 数 × 每层权重 × 层数 + 输出头"
            + ("" if params.phase == "prefill" else " + 注意力 4·B·S·H·D 每层"),
            en="2 × new tokens × a layer's weights × layers + the head"
            + ("" if params.phase == "prefill" else " + attention, 4·B·S·H·D a layer"),
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    if params.mode == "devices":
        from labs.roofline.devices_mode import Case, run_devices
        from labs.simulator.models import model

        case = Case(model(params.model_name), params.weights, params.batch, params.context)
        yield from run_devices(ctx, case, params.device)
    elif params.mode == "machine":
        from labs.roofline.machine_mode import run_machine

        yield from run_machine(ctx, _threads(params), params.again, params.effort == "quick")
    elif params.mode == "operators":
        from labs.roofline.operators_mode import run_operators

        yield from run_operators(ctx, _threads(params), params.again, params.effort == "quick")
    else:
        from labs.roofline.setting import Setting

        setting = Setting(params.phase, params.batch, params.context, params.precision)
        if params.mode == "model":
            from labs.roofline.model_mode import run_model

            yield from run_model(ctx, setting, _threads(params), params.again, params.effort == "quick")
        else:
            from labs.roofline.profile_mode import run_profile

            yield from run_profile(ctx, setting, _threads(params), params.save_trace)


LAB = Lab(
    id="operator/roofline",
    title=Text(zh="屋顶线与性能剖析", en="Roofline and profiling"),
    summary=Text(
        zh="测出这台机器的带宽与计算峰值，把真实模型的每个部分放到屋顶线下：受什么限制、差多远、下一步能换来"
        "什么。",
        en="Measure this machine's bandwidths and compute ceilings, place every part of the real model under "
        "the roofline: what bounds it, how far off it is, what the next step would buy.",
    ),
    sections=["2.4.3", "4.1.4"],
    questions=[f"2.4.3-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(context=32, effort="quick"),
    presets=[
        Preset(
            id="decode",
            title=Text(zh="批 16 的解码", en="Decode of 16"),
            story=Text(
                zh="先猜：批大小从 1 到 16，权重矩阵乘的强度变成几倍？注意力的呢？",
                en="Guess first: from batch 1 to 16, how many times does the intensity of the weights' "
                "products "
                "grow? And attention's?",
            ),
            values={"batch": 16},
        ),
        Preset(
            id="prefill",
            title=Text(zh="预填充", en="Prefill"),
            story=Text(
                zh="同一批权重，256 个 token 一起算。先猜：哪些部分越过拐点，哪些仍在斜线下？",
                en="The same weights for 256 tokens at once. Guess first: which parts pass the ridge, which "
                "stay below the slope?",
            ),
            values={"phase": "prefill", "context": 256},
        ),
        Preset(
            id="operators",
            title=Text(zh="算子库", en="The operators"),
            story=Text(
                zh="每个算子的快路径与朴素实现，先对照再计时。先猜：哪些在斜线下，朴素实现低多少？",
                en="Each operator's fast path and the naive one, checked, then timed. Guess first: which are "
                "below the slope, and how much lower is the naive dot?",
            ),
            values={"mode": "operators"},
        ),
        Preset(
            id="machine",
            title=Text(zh="本机的屋顶", en="This machine's roofs"),
            story=Text(
                zh="读、复制、triad，从 8 KiB 到缓存之外；FP32 到 INT8 的计算峰值。先猜：L1 比内存快几倍？",
                en="Read, copy, triad, from 8 KiB to beyond the caches; ceilings from FP32 to INT8. Guess "
                "first: how many times faster than memory is L1?",
            ),
            values={"mode": "machine"},
        ),
        Preset(
            id="profile",
            title=Text(zh="profiler 眼里的一步", en="A step as the profiler sees it"),
            story=Text(
                zh="批大小 1 的解码。先猜：一步要派发多少个算子，多少时间不在任何算子里？",
                en="Decode of one sequence. Guess first: how many operators does a step dispatch, and how "
                "much "
                "of it is spent in none?",
            ),
            values={"mode": "profile"},
        ),
        Preset(
            id="h100",
            title=Text(zh="没有的设备", en="A device one does not have"),
            story=Text(
                zh="Llama-3.1-8B 在 H100 上，屋顶来自数据手册。拖动批大小：解码的点从哪里起撞上平顶？",
                en="Llama-3.1-8B on an H100, roofs by the data sheet. Drag the batch size: from where on do "
                "decode's dots touch the level roof?",
            ),
            values={"mode": "devices", "batch": 64, "context": 2048},
        ),
    ],
)
