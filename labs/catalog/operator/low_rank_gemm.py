"""Low-rank products: when two thin ones beat one, what rank a layer needs, and what to merge or cache.

Long for its parameters and their texts; what it runs and shows stands in ``labs.low_rank``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

_PROJECTIONS = {
    name: same(name) for name in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
}


class Params(LabParams, frozen=True):
    """Which side of low-rank products to look at, and with what."""

    mode: Annotated[
        Literal["break_even", "kernel", "spectrum", "budget", "online", "adapters"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="平衡秩：两个细长乘法从多大的秩起不再划算。融合内核：中间结果留在片上。奇异值：真实的层低秩吗。"
            "预算：每层分多少秩。在线分解：几次乘法回本。适配器：LoRA 合并还是旁路。",
            en_help="Break-even: from which rank two thin products stop paying. Fused kernel: the "
            "product between "
            "stays on chip. Spectrum: is a real layer of low rank? Budget: a rank for each layer. "
            "Online: products "
            "that repay a decomposition. Adapters: LoRA merged or apart.",
            choices={
                "break_even": Text(zh="平衡秩", en="break-even"),
                "kernel": Text(zh="融合内核", en="fused kernel"),
                "spectrum": Text(zh="奇异值", en="spectrum"),
                "budget": Text(zh="预算", en="budget"),
                "online": Text(zh="在线分解", en="online"),
                "adapters": Text(zh="适配器", en="adapters"),
            },
            preview=False,
        ),
    ] = "break_even"
    shape: Annotated[
        Literal["o_proj", "k_proj", "gate_proj", "down_proj", "wide"],
        Field(
            zh="矩阵的形状",
            en="Shape",
            zh_help="模型里某个投影的形状；wide 是 4096 × 4096，大模型的一个投影。",
            en_help="Of a projection of the model; wide is 4096 × 4096, as larger models have.",
            choices={
                **{name: same(name) for name in ("o_proj", "k_proj", "gate_proj", "down_proj")},
                "wide": same("4096 × 4096"),
            },
            when={"mode": ["break_even", "adapters"]},
            preview=False,
        ),
    ] = "down_proj"
    layer: Annotated[
        int,
        Field(
            zh="层",
            en="Layer",
            zh_help="分解哪一层的权重。",
            en_help="Whose weight is decomposed.",
            ge=0,
            le="last_layer",
            when={"mode": ["spectrum", "online"]},
            preview=False,
        ),
    ] = 15
    projection: Annotated[
        Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        Field(
            zh="投影",
            en="Projection",
            zh_help="七个线性层里的哪一个；预算模式里是全部层的这一个。",
            en_help="Which of the seven linear layers; for a budget, this one in all layers.",
            choices=_PROJECTIONS,
            when={"mode": ["spectrum", "budget", "online"]},
            preview=False,
        ),
    ] = "q_proj"
    rank: Annotated[
        int,
        Field(
            zh="秩 r",
            en="Rank r",
            zh_help="两个因子的内维：x 先压到 r 个数，再展开。",
            en_help="The factors' inner dimension: x is squeezed into r numbers, then expanded.",
            ge=1,
            le=512,
            scale="log2",
            when={"mode": ["kernel", "online", "adapters"]},
            preview=False,
        ),
    ] = 16
    m: Annotated[
        int,
        Field(
            zh="m：一次算几行",
            en="m: rows at a time",
            zh_help="解码时是批大小，预填充时是 token 数。",
            en_help="The batch in decode, the tokens in prefill.",
            ge=1,
            le=512,
            scale="log2",
            when={"mode": ["break_even", "kernel", "budget", "online", "adapters"]},
            preview=False,
        ),
    ] = 1
    tokens: Annotated[
        int,
        Field(
            zh="预填充的 m",
            en="m of prefill",
            zh_help="与解码并列的第二条曲线：一次算这么多 token。",
            en_help="The second curve beside decode: so many tokens at a time.",
            ge=2,
            le=2048,
            scale="log2",
            when={"mode": ["break_even"]},
            preview=False,
        ),
    ] = 256
    target: Annotated[
        Literal["sm_80", "sm_90", "gfx942"],
        Field(
            zh="为哪种 GPU 编译",
            en="Compile for",
            zh_help="不需要 GPU：离线编译，看寄存器、溢出与共享内存。sm_80：A100；sm_90：H100；gfx942："
            "MI300。",
            en_help="No GPU is needed: compiled offline, for registers, spills and shared memory. sm_80: "
            "A100; "
            "sm_90: H100; gfx942: MI300.",
            choices={name: same(name) for name in ("sm_80", "sm_90", "gfx942")},
            when={"mode": ["kernel"]},
            preview=False,
        ),
    ] = "sm_80"
    aim: Annotated[
        Literal["weights", "outputs"],
        Field(
            zh="按什么分解",
            en="Decompose for",
            zh_help="权重：截断 W 的 SVD。输出：让 Wx 在真实激活上错得最少。",
            en_help="Weights: truncated SVD of W. Outputs: least error of Wx on real activations.",
            choices={"weights": Text(zh="权重", en="weights"), "outputs": Text(zh="输出", en="outputs")},
            when={"mode": ["budget"]},
            preview=False,
        ),
    ] = "outputs"
    goal: Annotated[
        Literal["parameters", "time", "error"],
        Field(
            zh="预算是什么",
            en="The budget is",
            zh_help="参数或时间：保留多少。误差：各层输出误差（均方根）不超过多少。",
            en_help="Parameters or time: the share to keep. Error: that of the outputs, root mean square "
            "of layers.",
            choices={
                "parameters": Text(zh="参数", en="parameters"),
                "time": Text(zh="时间", en="time"),
                "error": Text(zh="误差", en="error"),
            },
            when={"mode": ["budget"]},
            preview=False,
        ),
    ] = "parameters"
    keep: Annotated[
        int,
        Field(
            zh="保留",
            en="Keep",
            zh_help="这一种投影在全部层的参数或预测时间，保留多少。",
            en_help="Of this projection's parameters, or predicted seconds, in all layers.",
            ge=10,
            le=100,
            unit="%",
            when={"goal": ["parameters", "time"], "mode": ["budget"]},
            preview=False,
        ),
    ] = 25
    error: Annotated[
        int,
        Field(
            zh="允许的误差",
            en="Error allowed",
            zh_help="相对误差。奇异值模式：求达到它的秩；预算模式：各层的目标。",
            en_help="Relative. Spectrum: the rank that meets it; budget: what layers may have.",
            ge=1,
            le=90,
            unit="%",
            when={"mode": ["spectrum", "budget"]},
            preview=False,
        ),
    ] = 20
    adapters: Annotated[
        int,
        Field(
            zh="适配器个数",
            en="Adapters",
            zh_help="一批里各用各的，也是缓存模拟里的总数。",
            en_help="One for each row of the batch, and as many in the cache's simulation.",
            ge=2,
            le=32,
            scale="log2",
            when={"mode": ["adapters"]},
            preview=False,
        ),
    ] = 16
    steps: Annotated[
        int,
        Field(
            zh="每个请求的步数",
            en="Steps a request",
            zh_help="一个请求生成几个 token，缓存的模拟用它。",
            en_help="Tokens that a request generates, for the cache's simulation.",
            ge=1,
            le=1024,
            scale="log2",
            when={"mode": ["adapters"]},
            preview=False,
        ),
    ] = 64

    @property
    def kernel_sizes(self) -> dict[str, int]:
        """The model's gate projection, with these rows and this rank."""
        return {"m": self.m, "n": 1536, "k": 576, "rank": self.rank}


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the formulas say before anything runs."""
    from labs.low_rank.predictions import predictions

    yield from predictions(params, ctx)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode. A time measured while a slider moves would be no measurement: no previews."""
    if ctx.preview:
        return
    if params.mode == "break_even":
        from labs.low_rank.break_even_mode import run_break_even

        yield from run_break_even(ctx, projection=params.shape, tokens=params.tokens, batch=params.m)
    elif params.mode == "kernel":
        from labs.low_rank.kernel_mode import run_kernel

        yield from run_kernel(ctx, sizes=params.kernel_sizes, target=params.target)
    elif params.mode == "spectrum":
        from labs.low_rank.spectrum_mode import run_spectrum

        error = params.error / 100
        yield from run_spectrum(ctx, layer=params.layer, projection=params.projection, error=error)
    elif params.mode == "budget":
        from labs.low_rank.budget_mode import Setting, run_budget

        shares = (params.keep / 100, params.error / 100)
        yield from run_budget(ctx, Setting(params.projection, params.aim, params.goal, *shares, params.m))
    elif params.mode == "online":
        from labs.low_rank.online_mode import run_online

        sizes = {"layer": params.layer, "rank": params.rank, "rows": params.m}
        yield from run_online(ctx, projection=params.projection, **sizes)
    else:
        from labs.low_rank.adapters_mode import run_adapters

        sizes = {"rank": params.rank, "rows": params.m, "adapters": params.adapters, "steps": params.steps}
        yield from run_adapters(ctx, projection=params.shape, **sizes)


LAB = Lab(
    id="operator/low_rank_gemm",
    title=Text(zh="低秩 GEMM：两个细长的乘法", en="Low-rank GEMM: two thin products"),
    summary=Text(
        zh="把一个矩阵换成两个细长的：从多大的秩起才划算，真实的层要多大的秩，每层分多少；融合内核、在线分解、"
        "LoRA 的合并与旁路，都在本机量。",
        en="A matrix replaced by two thin ones: from which rank it pays, what rank real layers need and "
        "how to "
        "share a budget; a fused kernel, decomposing online, LoRA merged or apart, measured on this machine.",
    ),
    sections=["2.3.3"],
    questions=[f"2.3.3-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(mode="spectrum", layer=3, projection="k_proj"),
    presets=[
        Preset(
            id="break_even",
            title=Text(zh="从多大的秩起不划算", en="From which rank it stops paying"),
            story=Text(
                zh="down_proj，解码与预填充。先算：参数打平的秩是 n·k ÷ (n+k)；实测的平衡点会高还是低？",
                en="down_proj in decode and prefill. Work out n k / (n + k) first: does the measured "
                "break-even lie "
                "above or below?",
            ),
            values={"mode": "break_even", "shape": "down_proj"},
        ),
        Preset(
            id="wide",
            title=Text(zh="换成大矩阵", en="A large matrix"),
            story=Text(
                zh="4096 × 4096：启动与中间结果的占比小了。先猜：平衡点离参数打平的 2048 近了还是远了？",
                en="4096 × 4096: calls and the product between weigh less. Guess first: is the "
                "break-even nearer to "
                "the 2048 of parameters?",
            ),
            values={"mode": "break_even", "shape": "wide", "tokens": 64},
        ),
        Preset(
            id="fused",
            title=Text(zh="中间结果不出片", en="The product between stays on chip"),
            story=Text(
                zh="秩 16 的融合内核。先算：不融合要多搬 2·m·r 个数；秩到多大就放不下了？",
                en="The fused kernel at rank 16. Work out first: unfused moves 2 m r numbers more. At "
                "which rank does "
                "it stop fitting?",
            ),
            values={"mode": "kernel", "rank": 16, "m": 64},
        ),
        Preset(
            id="spectrum",
            title=Text(zh="真实的层低秩吗", en="Is a real layer of low rank"),
            story=Text(
                zh="第 15 层 q_proj。先猜：误差 20% 要 576 里的多少秩？看输出误差时呢？",
                en="q_proj of layer 15. Guess first: for an error of 20%, what rank of 576? And for the "
                "outputs?",
            ),
            values={"mode": "spectrum", "layer": 15, "projection": "q_proj"},
        ),
        Preset(
            id="budget",
            title=Text(zh="每层分多少秩", en="A rank for each layer"),
            story=Text(
                zh="全部 q_proj 只留 25% 的参数。先猜：哪些层分得多？贪心比统一的秩好多少困惑度？",
                en="25% of all q_proj's parameters. Guess first: which layers get more, and how much "
                "perplexity does "
                "greedy gain over one rank for all?",
            ),
            values={"mode": "budget", "projection": "q_proj", "keep": 25},
        ),
        Preset(
            id="online",
            title=Text(zh="当场分解值不值", en="Decomposing on the spot"),
            story=Text(
                zh="q_proj，秩 64。先猜：分解一次抵多少次乘法？几次回本？",
                en="q_proj, rank 64. Guess first: how many products does a decomposition cost, and "
                "how many repay "
                "it?",
            ),
            values={"mode": "online", "projection": "q_proj", "rank": 64},
        ),
        Preset(
            id="adapters",
            title=Text(zh="LoRA：合并还是旁路", en="LoRA: merged or apart"),
            story=Text(
                zh="16 个适配器，秩 16。先猜：合并几步回本？一批各用各的，哪种快？",
                en="16 adapters of rank 16. Guess first: after how many steps is a merge repaid? Which "
                "way is faster "
                "where each row has its own?",
            ),
            values={"mode": "adapters", "rank": 16, "adapters": 16},
        ),
    ],
)
