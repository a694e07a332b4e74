"""Automatic fusion: a pattern matcher and a cost model to edit, and Inductor on the same graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.results import Result


class Params(LabParams, frozen=True):
    """Which piece of the model, who fuses it, and by which patterns and costs."""

    mode: Annotated[
        Literal["patterns", "dynamo", "inductor", "xla"],
        Field(
            zh="谁来融合",
            en="Who fuses",
            zh_help="自己的模式：按下面的规则改写 FX 图（PyTorch 的计算图）。Dynamo：torch.compile "
            "的前端，只捕获"
            "图，看函数断在哪里。Inductor：它的后端，编译要几秒到二十秒，可随时停止。XLA：通过 "
            "JAX（可选安装）。",
            en_help="Your patterns: the rules below rewrite the FX graph (PyTorch's own). Dynamo: the "
            "front of "
            "torch.compile, capturing only; where does a function break? Inductor: its backend; it takes "
            "some seconds, at most about twenty, and can be stopped. XLA: through JAX, an optional extra.",
            choices={
                "patterns": Text(zh="自己的模式", en="patterns"),
                "dynamo": same("Dynamo"),
                "inductor": same("Inductor"),
                "xla": same("XLA"),
            },
            preview=False,
        ),
    ] = "patterns"
    subject: Annotated[
        Literal["mlp", "norm", "chain"],
        Field(
            zh="融合什么",
            en="What is fused",
            zh_help="SmolLM2 第 10 层的一段，输入是模型读真实文本时的激活；或自己写的链。",
            en_help="A piece of SmolLM2's block 10 on activations of a real text, or a chain of your own.",
            choices={
                "mlp": same("MLP (SwiGLU)"),
                "norm": Text(zh="残差 + RMSNorm", en="add + RMSNorm"),
                "chain": Text(zh="自己的链", en="my chain"),
            },
            preview=False,
        ),
    ] = "mlp"
    chain: Annotated[
        str,
        Field(
            zh="链",
            en="Chain",
            zh_help="一行一个 名字 = 表达式，最后可以 return。张量：x、residual、delta、gate、up、w_norm、"
            "w_gate、w_up、w_down。算子：+ - * / neg exp tanh sigmoid silu relu sqrt rsqrt square mean sum "
            "linear。空着用自带的。",
            en_help="Lines of name = expression, then perhaps return. Tensors: x, residual, delta, gate, up, "
            "w_norm, w_gate, w_up, w_down. Operators: + - * / neg exp tanh sigmoid silu relu sqrt rsqrt "
            "square mean sum linear. Empty: the one that comes with the lab.",
            lines=4,
            language="python",
            when={"subject": ["chain"], "mode": ["patterns", "inductor", "xla"]},
            preview=False,
        ),
    ] = ""
    function: Annotated[
        str,
        Field(
            zh="函数",
            en="Function",
            zh_help="Python 函数 forward，参数名就是张量名（见“链”）。空着用自带的，每个都断在不同的地方。"
            "在单独的进程里执行。",
            en_help="A Python function forward whose parameters are names of tensors (see the chain). "
            "Empty: the "
            "one that comes with the lab; each breaks in another way. It runs in a process of its own.",
            lines=8,
            language="python",
            when={"mode": ["dynamo"]},
            preview=False,
        ),
    ] = ""
    patterns: Annotated[
        str,
        Field(
            zh="模式",
            en="Patterns",
            zh_help="一行一个 表达式 -> 新 kernel 的名字；名字匹配任何张量，同名必须是同一个。"
            "按次序试。空着用自带的三条。",
            en_help="Lines of expression -> name of the kernel. A name matches any tensor, the same name the "
            "same tensor. Tried in this order. Empty: the three that come with the lab.",
            lines=5,
            language="python",
            when={"mode": ["patterns"]},
            preview=False,
        ),
    ] = ""
    escaping: Annotated[
        Literal["write", "refuse"],
        Field(
            zh="中间结果另有人读",
            en="A result inside is read outside",
            zh_help="多写一份：kernel 把它也写出来（多输出融合）。拒绝匹配：kernel 只写一个结果，"
            "好比只会单输出的"
            "编译器。",
            en_help="Write it too: the kernel has several outputs. Refuse the match: it has one only, as "
            "in a "
            "compiler that knows no other.",
            choices={
                "write": Text(zh="多写一份", en="write it too"),
                "refuse": Text(zh="拒绝匹配", en="refuse the match"),
            },
            when={"mode": ["patterns"]},
            preview=False,
        ),
    ] = "write"
    tokens: Annotated[
        int,
        Field(
            zh="token 数",
            en="Tokens",
            zh_help="张量的行数。1 相当于解码，多则相当于预填充。",
            en_help="Rows of the tensors. One is like decoding, many like prefill.",
            ge=1,
            le=512,
            scale="log2",
            unit="token",
            preview=False,
        ),
    ] = 64
    bandwidth: Annotated[
        float,
        Field(
            zh="代价模型：带宽",
            en="Cost model: bandwidth",
            zh_help="省下的字节除以它。0：在这台机器上用同样大小的张量测。",
            en_help="Divides the bytes spared. 0: measured on this machine, on tensors of this size.",
            ge=0,
            le=10000,
            unit="GB/s",
            when={"mode": ["patterns"]},
            preview=False,
        ),
    ] = 0.0
    dispatch: Annotated[
        float,
        Field(
            zh="代价模型：每次调用",
            en="Cost model: a call",
            zh_help="框架派发一个算子的开销，乘省下的调用数。0：测一次空调用。",
            en_help="What dispatching one operator costs, times the calls spared. 0: an empty call is "
            "measured.",
            ge=0,
            le=1000,
            unit="µs",
            when={"mode": ["patterns"]},
            preview=False,
        ),
    ] = 0.0


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Bytes that SwiGLU as one kernel spares, with pencil and paper; other patterns are the user's."""
    if params.mode != "patterns" or params.subject != "mlp" or params.patterns.strip():
        return
    yield Prediction(
        id="spared",
        title=Text(zh="省下的读写", en="Bytes spared"),
        value=2 * params.tokens * ctx.model_config().intermediate * 4,
        unit="B",
        formula=Text(
            zh="silu(gate) 不写也不读：2 × token × FFN 宽 × 4 字节",
            en="silu(gate) is neither written nor read: 2 × tokens × FFN width × 4 bytes",
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """By the user's patterns, by Inductor or XLA; or Dynamo alone, on a function."""
    from labs.fusion.compilers.dynamo_run import run_dynamo
    from labs.fusion.compilers.dynamo_subjects import FUNCTIONS
    from labs.fusion.compilers.fx_run import run_patterns
    from labs.fusion.compilers.fx_subjects import CHAINS, PATTERNS
    from labs.fusion.compilers.fx_views import Written
    from labs.fusion.compilers.inductor_run import run_inductor
    from labs.fusion.compilers.xla_run import run_xla

    own = params.subject == "chain" and params.chain.strip()
    chain = params.chain if own else CHAINS[params.subject]
    edits = "chain" if params.subject == "chain" else ""
    if params.mode == "dynamo":
        function = params.function if params.function.strip() else FUNCTIONS[params.subject]
        yield from run_dynamo(ctx, function, params.tokens)
    elif params.mode == "patterns":
        written = Written(chain, params.patterns if params.patterns.strip() else PATTERNS, edits)
        single = params.escaping == "refuse"
        costs = params.bandwidth * 1e9, params.dispatch * 1e-6
        yield from run_patterns(ctx, written, params.tokens, *costs, single=single)
    else:
        backend = run_inductor if params.mode == "inductor" else run_xla
        yield from backend(ctx, chain, edits, params.tokens)


def _preset(name: str, zh: str, en: str, story_zh: str, story_en: str, **values: object) -> Preset:
    return Preset(id=name, title=Text(zh=zh, en=en), story=Text(zh=story_zh, en=story_en), values=values)


LAB = Lab(
    id="operator/compiler_fusion",
    title=Text(zh="编译器自动融合", en="Automatic fusion by compilers"),
    summary=Text(
        zh="写几条融合规则，在模型真实的计算图上匹配、改写、生成 C++ kernel；用自己的代价模型预计收益，"
        "再和实测、和 kernel 自己的读写比。"
        "也可以看 Dynamo 把函数断在哪里，Inductor 和 XLA 怎样融合同一张图：它们的代码、分组和理由。",
        en="Write a few rules of fusion: they are matched on a real graph of the model, rewritten, and made "
        "into C++ kernels. Predict the gain by a cost model of your own and compare, with the clock and "
        "with the "
        "kernels' own loads. Or see where Dynamo breaks a function, and how Inductor and XLA fuse the same "
        "graph: their code, groups and reasons.",
    ),
    sections=["2.2.3"],
    questions=[f"2.2.3-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(tokens=8),
    presets=[
        _preset(
            "swiglu",
            "SwiGLU：一条规则",
            "SwiGLU: one rule",
            "先猜：三个矩阵乘之间省下的这点读写，占 MLP 时间的百分之几？",
            "Guess first: of the MLP's time, what share do the bytes between its three products make?",
            subject="mlp",
            tokens=128,
        ),
        _preset(
            "norm",
            "残差要留着：匹配被拒",
            "The residual stays: a refused match",
            "第二条规则连残差相加一起吞，可是 h 还有人要读。先猜：会融合成什么？",
            "The second rule swallows the residual's addition, but h is still read. Guess first: what "
            "gets fused?",
            subject="norm",
            tokens=128,
            escaping="refuse",
        ),
        _preset(
            "outputs",
            "h 也写出来：多输出",
            "h is written as well: two outputs",
            "同样的规则，允许 kernel 多写一份 h。先算：七步并成一个 kernel，字节比上一个少多少？",
            "The same rules, and a kernel may write h as well. Work out first: with all seven steps in one "
            "kernel, how many bytes less than before?",
            subject="norm",
            tokens=128,
        ),
        _preset(
            "breaks",
            "Dynamo：断在哪里",
            "Dynamo: where it breaks",
            "一个 if、一个 print。先猜：捕获成几张图？然后改到只剩一张。",
            "One if, one print. Guess first: how many graphs? Then change it until one is left.",
            mode="dynamo",
            subject="mlp",
            tokens=128,
        ),
        _preset(
            "inductor",
            "Inductor：它怎么融合",
            "Inductor: how it fuses",
            "同一段残差 + RMSNorm 交给 torch.compile。先猜：几个循环变成几个？h 要留着，它拒绝了哪一对？",
            "The same residual + RMSNorm given to torch.compile. Guess first: how many loops "
            "become how many? h is kept: which pair does it refuse?",
            mode="inductor",
            subject="norm",
            tokens=128,
        ),
        _preset(
            "xla",
            "XLA：同一段，另一个编译器",
            "XLA: the same piece, another compiler",
            "残差 + RMSNorm 通过 JAX 交给 XLA。先猜：它剩几个 kernel，与 Inductor 差在哪里？",
            "Residual + RMSNorm given to XLA through JAX. Guess first: how many kernels are left, and "
            "where does "
            "it differ from Inductor?",
            mode="xla",
            subject="norm",
            tokens=128,
        ),
        _preset(
            "chain",
            "一条长链",
            "A long chain",
            "六七个逐元素算子一次融合。先算：少几次调用、少多少读写？",
            "All elementwise operators at once. Work out first: how many calls and bytes less?",
            subject="chain",
            tokens=128,
            patterns="(tanh((silu(a) * b) * 0.5) + b) * sigmoid(tanh((silu(a) * b) * 0.5) + b) -> chain\n",
        ),
    ],
)
