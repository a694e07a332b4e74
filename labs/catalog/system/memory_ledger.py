"""Where the memory of inference goes, what fits, what offloading costs, and what activations reuse.

Long for its parameters and their texts; what it runs and shows stands in ``labs.memory``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from labs.spec import Field, Lab, LabError, LabParams, Prediction, Preset
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.precision import KVType, Weights
    from labs.memory.ledger import Setting
    from labs.results import Result
    from labs.simulator.hardware import Device

_COUNTED = ["ledger", "fit", "offload"]
# The engine's own run in the check: small, so that it takes about a second.
_CHECK_SEQUENCES, _CHECK_CONTEXT, _CHECK_CHUNK = 4, 512, 128


class Params(LabParams, frozen=True):
    """What to look at; which model on which device; the load; and what the two measured parts run."""

    mode: Annotated[
        Literal["ledger", "fit", "offload", "activations"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="账本：显存花在哪。装得下：批大小与上下文的边界。卸载：权重或 KV 放到主机内存、磁盘。"
            "激活：一个真实 block 里张量的生与死。",
            en_help="Ledger: where memory goes. Fit: the frontier of batch and context. Offload: weights "
            "or KV in "
            "host memory or on disk. Activations: the births and deaths of one real block's tensors.",
            choices={
                "ledger": Text(zh="账本", en="ledger"),
                "fit": Text(zh="装得下多少", en="what fits"),
                "offload": Text(zh="卸载", en="offloading"),
                "activations": Text(zh="激活复用", en="activation reuse"),
            },
        ),
    ] = "ledger"
    model_name: Annotated[
        Literal[
            "loaded",
            "llama-2-7b",
            "llama-2-13b",
            "llama-2-70b",
            "llama-3-8b",
            "llama-3-70b",
            "llama-3.1-8b",
            "llama-3.1-70b",
            "llama-3.1-405b",
            "llama-3.2-1b",
            "llama-3.2-3b",
            "qwen2.5-0.5b",
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
            "smollm2-135m",
        ],
        Field(
            zh="模型",
            en="Model",
            zh_help="形状来自各模型公开的 config.json；“已加载的”是这台机器上正在用的模型。",
            en_help="Shapes from the models' published config.json; 'the loaded one' is what this machine "
            "runs.",
            choices=None,
            when={"mode": list(_COUNTED)},
        ),
    ] = "llama-3.1-8b"
    config: Annotated[
        str,
        Field(
            zh="config.json 路径",
            en="Path of a config.json",
            zh_help="填了就代替上面的模型：一个 config.json，或含有它的文件夹。只读形状，不读权重。",
            en_help="Instead of the model above: a config.json, or the folder that holds one. Only the "
            "shape is read.",
            when={"mode": list(_COUNTED)},
            preview=False,
        ),
    ] = ""
    device: Annotated[
        Literal[
            "this-machine",
            "a100-40gb-pcie",
            "a100-80gb-sxm",
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
            "m2-ultra",
            "m3-max",
            "m3-ultra",
            "m4-max",
        ],
        Field(
            zh="设备",
            en="Device",
            zh_help="容量与带宽来自厂商公开数据；“本机”取现在可用的内存。",
            en_help="Capacity and bandwidths as published; 'this machine' has the memory that is free now.",
            choices=None,
            when={"mode": list(_COUNTED)},
        ),
    ] = "a100-80gb-sxm"
    tensor_parallel: Annotated[
        Literal[1, 2, 4, 8, 16],
        Field(
            zh="张量并行",
            en="Tensor parallel",
            zh_help="几台设备共同切分每一层。权重按台数切；KV 按 KV 头切，头不够时有重复；MLA 的潜向量每台"
            "一份。",
            en_help="Devices that cut every layer between them. Weights are divided by their number, KV by "
            "KV heads "
            "(repeated where there are too few); MLA's latent stands on each.",
            when={"mode": ["ledger", "fit"]},
        ),
    ] = 1
    weights: Annotated[
        Literal["fp32", "bf16", "fp8", "int8", "int4"],
        Field(
            zh="权重类型",
            en="Weights",
            zh_help="各层矩阵的类型；嵌入、输出头和归一化保持 16 位。INT4 每 128 个权重另存一个 16 位 "
            "scale。",
            en_help="Of the layers' matrices; embedding, head and norms keep 16 bits. INT4 has a 16-bit "
            "scale for "
            "each group of 128.",
            when={"mode": list(_COUNTED)},
        ),
    ] = "bf16"
    kv: Annotated[
        Literal["fp32", "bf16", "fp8", "int8"],
        Field(
            zh="KV 类型",
            en="KV type",
            zh_help="KV 缓存每个元素的类型。INT8 每个 token、每个头另存一个 FP32 scale。",
            en_help="Type of the cached elements. INT8 has an FP32 scale for each token and head.",
            when={"mode": list(_COUNTED)},
        ),
    ] = "bf16"
    batch: Annotated[
        int,
        Field(
            zh="批大小",
            en="Batch",
            zh_help="同时在跑的序列数。",
            en_help="Sequences that run at once.",
            ge=1,
            le=4096,
            scale="log2",
            when={"mode": ["ledger", "fit"]},
        ),
    ] = 32
    context: Annotated[
        int,
        Field(
            zh="上下文",
            en="Context",
            zh_help="每条序列的 token 数，提示词与输出合计。",
            en_help="Tokens of each sequence, prompt and answer together.",
            ge=128,
            le=2**20,
            scale="log2",
            unit="token",
            when={"mode": list(_COUNTED)},
        ),
    ] = 8192
    chunk: Annotated[
        int,
        Field(
            zh="一步的 token 上限",
            en="Tokens a step",
            zh_help="预填充分块（chunked prefill）的 token 预算：激活工作区按它增长。",
            en_help="The token budget of chunked prefill: the activations' workspace grows with it.",
            ge=128,
            le=131072,
            scale="log2",
            unit="token",
            when={"mode": ["ledger", "fit"]},
        ),
    ] = 2048
    block_size: Annotated[
        Literal[1, 8, 16, 32, 64, 128, 256],
        Field(
            zh="KV 块大小",
            en="KV block size",
            zh_help="分页 KV 缓存一块几个 token；每条序列的最后一块平均空一半。",
            en_help="Tokens a block of the paged cache; a sequence's last block is half empty on average.",
            when={"mode": ["ledger", "fit"]},
        ),
    ] = 16
    free_window: Annotated[
        bool,
        Field(
            zh="释放滑出窗口的 KV",
            en="Free what left the window",
            zh_help="滑动窗口注意力的层只看最近的窗口；关掉则像旧引擎那样全部留着。",
            en_help="Layers with sliding-window attention see the window only; off: an engine that keeps "
            "all.",
            when={"mode": ["ledger", "fit"]},
        ),
    ] = True
    memory_share: Annotated[
        float,
        Field(
            zh="引擎可用的比例",
            en="The engine's share",
            zh_help="显存中引擎敢用的部分，相当于 vLLM 的 gpu_memory_utilization（曾默认 0.9，现为 0.92）。",
            en_help="Of the memory, like vLLM's gpu_memory_utilization (0.92 by default, once 0.9).",
            ge=0.1,
            le=1.0,
            step=0.01,
            when={"mode": list(_COUNTED)},
        ),
    ] = 0.9
    runtime_gib: Annotated[
        float,
        Field(
            zh="运行时开销",
            en="Runtime",
            zh_help="驱动上下文与内核代码，因卡与版本而异。默认 1.3 GiB：Hugging Face 文档在一块 GPU 上量到"
            "的值。",
            en_help="The driver's context and kernels; varies with card and version. 1.3 GiB by default: "
            "what Hugging "
            "Face's documentation measured on one GPU.",
            ge=0.0,
            le=16.0,
            step=0.1,
            unit="GiB",
            when={"mode": ["ledger", "fit"]},
        ),
    ] = 1.3
    check: Annotated[
        bool,
        Field(
            zh="与真实引擎核对",
            en="Check on the engine",
            zh_help="在已加载的模型上真正建好权重与 KV 存储、跑一步预填充，量它们的字节，与同一本账比较。"
            "模型选“loaded”时用所选的类型，否则用 FP32。",
            en_help="Build weights and KV store of the loaded model, run a prefill step, measure their "
            "bytes and "
            "compare them with the same ledger. In the chosen types where the model is the loaded one, "
            "else FP32.",
            when={"mode": ["ledger"]},
            preview=False,
        ),
    ] = True
    tokens: Annotated[
        int,
        Field(
            zh="真实前向的 token 数",
            en="Tokens of the real pass",
            zh_help="卸载：每层为这么多 token 计算一次。激活：被跟踪的前向有这么多 token。",
            en_help="Offloading: each layer is computed for so many tokens. Activations: the traced pass "
            "has so many.",
            ge=1,
            le=1024,
            scale="log2",
            unit="token",
            when={"mode": ["offload", "activations"]},
            preview=False,
        ),
    ] = 128
    layers: Annotated[
        int,
        Field(
            zh="流过的层数",
            en="Layers streamed",
            zh_help="写进文件再逐层读回的层数；每层 FP32。",
            en_help="Layers that are written to a file and read back one by one, in FP32.",
            ge=2,
            le=64,
            when={"mode": ["offload"]},
            preview=False,
        ),
    ] = 12


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Of the traced block; the ledger's own prediction stands beside each figure that the engine measures."""
    if params.mode != "activations" or ctx.preview or _missing(ctx):
        return
    config = ctx.model_config()
    yield Prediction(
        id="peak",
        title=Text(zh="用完即放的峰值", en="Peak when freed after use"),
        value=4.0 * params.tokens * (2 * config.hidden + 3 * config.intermediate),
        unit="B",
        formula=Text(
            zh="T × (2C + 3F) × 4 B：残差、归一化各 C；silu 后的 gate、up、二者之积各 F",
            en="T × (2C + 3F) × 4 B: residual and norm, C each; gate after silu, up, their product, F each",
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """What is counted shows at once, what is measured follows; a preview only counts."""
    from labs.memory import runs

    if params.mode == "activations":
        if not ctx.preview:
            yield from runs.trace_activations(ctx, params.tokens)
        return
    setting = _setting(params, ctx)
    if params.mode == "offload":
        if not ctx.preview:
            device = _device(params)
            yield from runs.measure_offload(
                ctx, setting, device, params.memory_share, params.tokens, params.layers
            )
        return
    capacity, where = _capacity(params, ctx)
    room = params.memory_share * capacity
    if params.mode == "fit":
        yield from runs.show_fit(setting, room, params.memory_share)
        return
    yield from runs.show_ledger(setting, capacity, room, where)
    if not params.check or ctx.preview:
        return
    missing = runs.missing_model(ctx)
    if missing is not None:
        yield missing
        return
    weights, kv = _engine_types(params)
    yield from runs.check_engine(ctx, weights, kv, _CHECK_SEQUENCES, _CHECK_CONTEXT, _CHECK_CHUNK)


def _engine_types(params: Params) -> tuple[Weights, KVType]:
    """The chosen types where the loaded model is looked at and the engine has them, else FP32."""
    own = params.model_name == "loaded" and not params.config.strip()
    weights: Weights = params.weights if own and params.weights != "fp8" else "fp32"
    kv: KVType = params.kv if own and params.kv != "fp8" else "fp32"
    return weights, kv


def _setting(params: Params, ctx: Context) -> Setting:
    """LabError for a config that cannot be read, or heads that cannot be divided."""
    from labs.memory.engine_ledger import shape_of
    from labs.memory.ledger import Setting
    from labs.simulator.models import model, model_or_config

    if params.config.strip():
        shape = model_or_config(params.config.strip())
    elif params.model_name == "loaded":
        shape = shape_of(ctx.model_config(), "loaded model")
    else:
        shape = model(params.model_name)
    offload = params.mode == "offload"
    return Setting(
        shape=shape,
        weights=params.weights,
        kv=params.kv,
        batch=1 if offload else params.batch,
        context=params.context,
        chunk=params.chunk,
        block_size=params.block_size,
        tensor_parallel=1 if offload else params.tensor_parallel,
        free_window=params.free_window,
        runtime_bytes=params.runtime_gib * 2**30,
    )


def _device(params: Params) -> Device | None:
    """None is this machine, which is measured."""
    from labs.simulator.hardware import device

    return None if params.device == "this-machine" else device(params.device)


def _capacity(params: Params, ctx: Context) -> tuple[float, Text]:
    """Bytes of one device, and its name."""
    from labs.memory_budget import free_bytes
    from labs.text import same

    device = _device(params)
    if device is not None:
        return device.memory_bytes, same(device.title)
    free = free_bytes(ctx.device)
    if free is None:
        raise LabError(
            Text(
                zh="这个系统不告知可用内存，请选一种设备",
                en="this system does not tell its free memory: choose a device",
            )
        )
    return float(free), Text(zh="本机（现在可用的内存）", en="this machine (memory free now)")


def _missing(ctx: Context) -> bool:
    try:
        ctx.model_config()
    except LabError:
        return True
    return False


LAB = Lab(
    id="system/memory_ledger",
    title=Text(zh="显存账本", en="The memory ledger"),
    summary=Text(
        zh="任何模型在任何设备上，显存花在哪、装得下多少、卸载要付多少、激活怎样复用；并在真实引擎上逐字节"
        "核对。",
        en="For any model on any device: where memory goes, how much fits, what offloading costs and how "
        "activations "
        "are reused; checked to the byte on the real engine.",
    ),
    sections=["3.1.2"],
    questions=[f"3.1.2-0{number}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(tokens=32, layers=2),
    presets=[
        Preset(
            id="chat_8b",
            title=Text(zh="8B 模型，80 GB 卡", en="An 8B model on an 80 GB card"),
            story=Text(
                zh="先猜：32 条 8K 的对话，权重和 KV 谁大？激活占几成？再看真实引擎的核对误差。",
                en="Guess first: 32 chats of 8K, are weights or KV larger, and what share have "
                "activations? Then see "
                "by how much the real engine differs.",
            ),
            values={"mode": "ledger"},
        ),
        Preset(
            id="no_gqa",
            title=Text(zh="没有 GQA 的代价", en="What GQA saves"),
            story=Text(
                zh="Llama-2-7B 每个头都有自己的 KV，每 token 512 KiB，是 8B 模型的 4 倍。先猜最大批会掉到多"
                "少。",
                en="Llama-2-7B has KV for every head: 512 KiB a token, four times the 8B model's. Guess "
                "where the "
                "largest batch falls.",
            ),
            values={"model_name": "llama-2-7b", "context": 4096, "check": False},
        ),
        Preset(
            id="consumer",
            title=Text(zh="24 GB 消费卡", en="A 24 GB consumer card"),
            story=Text(
                zh="同一个 8B 模型放进 RTX 4090：先猜 INT4 权重加 FP8 KV 能把可行边界往外推多少。",
                en="The same 8B model in an RTX 4090: guess how far INT4 weights and FP8 KV push the "
                "frontier out.",
            ),
            values={"mode": "fit", "device": "rtx-4090", "weights": "int4", "kv": "fp8"},
        ),
        Preset(
            id="deepseek",
            title=Text(zh="671B 的 MLA 与 MoE", en="MLA and 671B of experts"),
            story=Text(
                zh="DeepSeek-V3：专家权重占了几乎全部，MLA 的 KV 却小得出奇。先猜每 token 的 KV 比 8B 模型"
                "大还是小。",
                en="DeepSeek-V3: experts are nearly everything, and MLA's KV is strangely small. Guess "
                "whether a token's "
                "KV is larger or smaller than the 8B model's.",
            ),
            values={
                "model_name": "deepseek-v3",
                "device": "h200-sxm",
                "weights": "fp8",
                "tensor_parallel": 8,
                "context": 32768,
                "check": False,
            },
        ),
        Preset(
            id="window",
            title=Text(zh="滑动窗口", en="Sliding windows"),
            story=Text(
                zh="gpt-oss 一半的层只看 128 个 token。先猜：上下文加倍，KV 加倍吗？",
                en="Half of gpt-oss's layers see 128 tokens only. Guess: does twice the context take twice "
                "the KV?",
            ),
            values={"mode": "fit", "model_name": "gpt-oss-20b", "weights": "int4", "device": "h100-sxm"},
        ),
        Preset(
            id="streaming",
            title=Text(zh="一个 token：全在等", en="One token: all waiting"),
            story=Text(
                zh="权重逐层从文件流过，只算一个 token。先猜：预取能快多少？",
                en="Weights stream from a file, layer by layer, for a single token. Guess how much "
                "prefetching gains.",
            ),
            values={"mode": "offload", "tokens": 1},
        ),
        Preset(
            id="hidden",
            title=Text(zh="许多 token：藏住加载", en="Many tokens: loading hidden"),
            story=Text(
                zh="同样的层，一遍算 256 个 token。先猜加载和计算谁长，预取藏住几成。",
                en="The same layers for 256 tokens at once. Guess which is longer, and what share "
                "prefetching hides.",
            ),
            values={"mode": "offload", "tokens": 256},
        ),
        Preset(
            id="lifetimes",
            title=Text(zh="张量的生与死", en="Births and deaths"),
            story=Text(
                zh="跟踪一个真实 block。先猜：它写出的全部张量，同一时刻活着的占几成？拖动时间轴看内存池怎"
                "样被反复使用。",
                en="A real block, traced. Guess what share of all it writes is alive at once; drag the "
                "time to see the "
                "arena used again and again.",
            ),
            values={"mode": "activations", "tokens": 256},
        ),
    ],
)
