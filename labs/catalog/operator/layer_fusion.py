"""Layer fusion: a real block of the model, its operators merged side by side and one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.fusion.layers.run import Setting
    from labs.results import Result


_INT8 = {"products": ["int8"]}


def _switch(zh: str, en: str, zh_help: str, en_help: str, when: dict[str, list[Any]] | None = None) -> Field:
    return Field(zh=zh, en=en, zh_help=zh_help, en_help=en_help, when=when)


class Params(LabParams, frozen=True):
    phase: Annotated[
        Literal["prefill", "decode"],
        Field(
            zh="阶段",
            en="Phase",
            zh_help="预填充一次算完所有 token；解码只算最后一个，其余的 K、V 在缓存里。",
            en_help="Prefill computes all tokens at once; decode only the last, over a cache of the others.",
            choices={"prefill": Text(zh="预填充", en="prefill"), "decode": Text(zh="解码", en="decode")},
        ),
    ] = "decode"
    tokens: Annotated[
        int,
        Field(
            zh="上下文",
            en="Context",
            zh_help="序列的 token 数，含新的。",
            en_help="Tokens of the sequence, the new ones included.",
            ge=16,
            le=1024,
            scale="log2",
            unit="token",
        ),
    ] = 256
    layer: Annotated[
        int,
        Field(
            zh="第几层",
            en="Block",
            zh_help="融合哪一层；它的输入是模型读一段真实文本时的激活。",
            en_help="Which block to fuse; what enters it are activations of the model reading a real text.",
            ge=1,
            le="last_layer",
            preview=False,
        ),
    ] = 10
    products: Annotated[
        Literal["fp32", "int8"],
        Field(
            zh="归一化之后的乘法",
            en="Products after a norm",
            zh_help="INT8（W8A8）：权重每个输出通道、激活每个 token 一个缩放，整数相乘，再乘回缩放。"
            "QKV 与 gate、up 如此；o 与 down 仍是 fp32。",
            en_help="INT8 (W8A8): weights with a scale an output channel, activations with a scale a token; "
            "integers are multiplied, then scaled. So for QKV, gate and up; o and down stay in fp32.",
            choices={"fp32": same("FP32"), "int8": same("INT8 (W8A8)")},
        ),
    ] = "fp32"
    qkv: Annotated[
        bool,
        _switch(
            "QKV 一次乘",
            "QKV as one product",
            "水平融合：三个权重并排，输入读一次，只乘一次。",
            "Horizontal: three weights side by side, the input read once, one product.",
        ),
    ] = True
    gate_up: Annotated[
        bool,
        _switch(
            "gate 与 up 一次乘",
            "gate and up as one",
            "水平融合：MLP 的两个投影并成一个。",
            "Horizontal: the MLP's two projections become one.",
        ),
    ] = True
    norm: Annotated[
        bool,
        _switch(
            "残差 + RMSNorm",
            "residual + RMSNorm",
            "垂直融合：残差相加和归一化的 8 个算子在一遍里做完。",
            "Vertical: the residual's addition and the norm, 8 operators, in one pass.",
        ),
    ] = True
    quantise: Annotated[
        bool,
        _switch(
            "残差 + RMSNorm + 量化",
            "residual + RMSNorm + quantise",
            "垂直融合：归一化的结果在同一个内核里就变成 INT8，一行一个缩放；含上一步，再省 7 个算子。",
            "Vertical: the norm's result becomes INT8 in the same kernel, with a scale a row; contains the "
            "step above and takes 7 operators more.",
            _INT8,
        ),
    ] = True
    scales: Annotated[
        bool,
        _switch(
            "乘法里缩放",
            "scales inside products",
            "垂直融合：整数的和还在寄存器里就乘上两个缩放（乘法的尾声，epilogue），不先写出 INT32。",
            "Vertical: integer sums are scaled while they are in registers (the product's epilogue), not "
            "written as INT32 first.",
            _INT8,
        ),
    ] = True
    activation: Annotated[
        bool,
        _switch(
            "SwiGLU 一遍",
            "SwiGLU in one pass",
            "垂直融合：SiLU 的结果不写回内存，当场乘 up。",
            "Vertical: SiLU's result is not written but multiplied by up at once.",
        ),
    ] = True
    rope: Annotated[
        bool,
        _switch(
            "RoPE + 写入",
            "RoPE and its stores",
            "垂直融合：Q、K 的旋转（旋转位置编码），连同写进 KV 缓存。",
            "Vertical: the rotary positions of Q and K, and the stores into the KV cache.",
        ),
    ] = True
    attention: Annotated[
        bool,
        _switch(
            "softmax 进注意力",
            "softmax inside attention",
            "垂直融合：分数矩阵不写回内存（FlashAttention 的做法；CPU 上是 SDPA 的 flash 实现）。",
            "Vertical: scores are never written (as FlashAttention does; on a CPU, SDPA's flash path).",
        ),
    ] = True


STEPS = ("qkv", "gate_up", "norm", "quantise", "scales", "activation", "rope", "attention")
_OFF: dict[str, bool] = dict.fromkeys(STEPS, False)


def _setting(params: Params) -> Setting:
    from labs.fusion.layers.run import Setting

    wanted: Any = frozenset(step for step in STEPS if getattr(params, step))
    return Setting(params.phase == "decode", params.tokens, params.layer, params.products == "int8", wanted)


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Kernels by the graph alone."""
    from labs.formulas.decoder_block import groups
    from labs.formulas.fusion import kernels

    setting = _setting(params)
    flow = setting.flow(ctx)
    yield Prediction(
        id="kernels",
        title=Text(zh="融合后一层的 kernel 数", en="Kernels a block after fusing"),
        value=len(kernels(flow, groups(flow, frozenset(setting.steps)))),
        unit="",
        formula=Text(
            zh=f"图里 {len(flow.ops)} 个算子，每个框算一个",
            en=f"{len(flow.ops)} operators, a box counts once",
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    from labs.fusion.layers.run import run_layers

    yield from run_layers(ctx, _setting(params))


LAB = Lab(
    id="operator/layer_fusion",
    title=Text(zh="层级融合", en="Layer fusion"),
    summary=Text(
        zh="把模型真实的一层拆成几十个算子，再一步一步合起来：少了多少 kernel、多少字节、多少时间。",
        en="A real block of the model as dozens of operators, merged step by step: how many kernels, how "
        "many bytes and how much time that saves.",
    ),
    sections=["2.2.1"],
    questions=[f"2.2.1-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(
        tokens=32,
        layer=1,
        products="int8",
        qkv=False,
        gate_up=False,
        norm=False,
        activation=False,
        rope=False,
        attention=False,
    ),
    presets=[
        Preset(
            id="decode",
            title=Text(zh="解码：省的是调用", en="Decode: calls are saved"),
            story=Text(
                zh="只算一个 token，激活几 KB，权重 14 MB。先猜：字节省下几成？时间呢？",
                en="One token: activations of some KB, weights of 14 MB. Guess first: what share of the "
                "bytes goes? And of the time?",
            ),
            values={"phase": "decode", "tokens": 256},
        ),
        Preset(
            id="prefill",
            title=Text(zh="预填充：省的是字节", en="Prefill: bytes are saved"),
            story=Text(
                zh="256 个 token：分数矩阵有 9 × 256 × 256。先猜：哪一步省下的字节最多？",
                en="256 tokens: scores of 9 × 256 × 256. Guess first: which step saves most bytes?",
            ),
            values={"phase": "prefill", "tokens": 256},
        ),
        Preset(
            id="horizontal",
            title=Text(zh="只做水平融合", en="Horizontal only"),
            story=Text(
                zh="QKV、gate 与 up 各并成一次乘。先猜：少几个 kernel？字节变不变？",
                en="QKV, and gate and up, one product each. Guess first: how many kernels less? Do the bytes "
                "change?",
            ),
            values={**_OFF, "qkv": True, "gate_up": True},
        ),
        Preset(
            id="quantise",
            title=Text(zh="残差 + 归一化 + 量化", en="Residual, norm and quantise"),
            story=Text(
                zh="W8A8 在每次乘法前多出 7 个小算子，乘法后多出 3 个。先猜：不融合时它比 fp32 快吗？"
                "哪一步最值？",
                en="W8A8 puts 7 small operators before each product and 3 behind it. Guess first: unfused, "
                "is it faster than fp32? Which step pays most?",
            ),
            values={"phase": "prefill", "tokens": 256, "products": "int8"},
        ),
        Preset(
            id="norms",
            title=Text(zh="只融合残差与归一化", en="Residual and norm only"),
            story=Text(
                zh="两处各 8 个算子合成一个。先算：一层少几个 kernel？",
                en="Twice 8 operators become one. Work out first: how many kernels less in a block?",
            ),
            values={**_OFF, "phase": "prefill", "norm": True},
        ),
    ],
)
