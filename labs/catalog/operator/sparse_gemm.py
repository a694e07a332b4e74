"""Sparse matrices: formats on a real pruned layer, from where they are faster, activations, quantisation."""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.quantization.fields import Layer
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """Which side of sparsity to look at, and on which layer."""

    mode: Annotated[
        Literal["formats", "crossover", "shapes", "activations", "quantized"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="格式：剪过的真实层，各格式的数组与字节。交叉点：稀疏到几成才比稠密快。真实形状：2:4 在"
            "模型各层上的快慢。激活：SwiGLU 乘积里接近零的数。量化：稀疏与低位宽一起用。",
            en_help="Formats: a real pruned layer, arrays and bytes of each. Crossing: from which sparsity "
            "it is faster than dense. Real shapes: 2:4 at those of the model's layers. Activations: "
            "near-zero numbers of the SwiGLU product. Quantised: sparsity together with few bits.",
            choices={
                "formats": Text(zh="格式", en="formats"),
                "crossover": Text(zh="交叉点", en="crossing"),
                "shapes": Text(zh="2:4 与真实形状", en="2:4 at the real shapes"),
                "activations": Text(zh="激活稀疏", en="activations"),
                "quantized": Text(zh="加上量化", en="quantised"),
            },
            preview=False,
        ),
    ] = "formats"
    pattern: Annotated[
        Literal["unstructured", "two_four", "block"],
        Field(
            zh="剪枝模式",
            en="Pattern",
            zh_help="零可以在哪里：任何地方；每四个里恰好两个；或整块一起。",
            en_help="Where zeros may be: anywhere; two of every four; or whole blocks.",
            choices={
                "unstructured": Text(zh="非结构化", en="unstructured"),
                "two_four": same("2:4"),
                "block": Text(zh="整块", en="blocks"),
            },
            when={"mode": ["formats"]},
        ),
    ] = "unstructured"
    sparsity: Annotated[
        int,
        Field(
            zh="稀疏度",
            en="Sparsity",
            zh_help="零占的份额。2:4 总是 50%，不看这里。",
            en_help="Share of zeros. 2:4 is always 50%, whatever this says.",
            ge=0,
            le=95,
            step=5,
            unit="%",
            when={"mode": ["formats"]},
        ),
    ] = 50
    show: Annotated[
        Literal["coo", "csr", "csc", "bsr", "bitmap", "two_four"],
        Field(
            zh="画哪种格式",
            en="Format drawn",
            zh_help="COO：每个值带行号列号。CSR：行的起点、列号、值。CSC：按列。BSR：块的 CSR。位图：每个位"
            "置 1 位。2:4：值与 2 位位置。",
            en_help="COO: row and column with each value. CSR: row starts, columns, values. CSC: by "
            "column. BSR: CSR of blocks. Bitmap: a bit a place. 2:4: values and 2-bit places.",
            choices={
                "coo": same("COO"),
                "csr": same("CSR"),
                "csc": same("CSC"),
                "bsr": same("BSR"),
                "bitmap": Text(zh="位图", en="bitmap"),
                "two_four": same("2:4"),
            },
            when={"mode": ["formats"]},
        ),
    ] = "csr"
    dtype: Annotated[
        Literal["fp16", "fp32"],
        Field(
            zh="值的类型",
            en="Type of values",
            zh_help="值越小，索引占的份额越大。",
            en_help="The smaller the values, the more indices weigh.",
            choices={"fp16": same("fp16"), "fp32": same("fp32")},
            when={"mode": ["formats"]},
        ),
    ] = "fp16"
    score: Annotated[
        Literal["magnitude", "wanda"],
        Field(
            zh="按什么剪",
            en="Pruned by",
            zh_help="幅值：|权重|。Wanda：|权重| × 该输入通道激活的范数。",
            en_help="Magnitude: |weight|. Wanda: |weight| × norm of its input channel's activations.",
            choices={"magnitude": Text(zh="幅值", en="magnitude"), "wanda": same("Wanda")},
            when={"mode": ["formats", "quantized"]},
        ),
    ] = "magnitude"
    block: Annotated[
        Literal[8, 16, 32],
        Field(
            zh="块的边长",
            en="Block",
            zh_help="BSR 的块，也是整块剪枝的块。",
            en_help="Of BSR, and of pruning in blocks.",
            choices={"8": same("8"), "16": same("16"), "32": same("32")},
            when={"mode": ["formats", "crossover"]},
        ),
    ] = 16
    tokens: Annotated[
        Literal[1, 8, 32, 128],
        Field(
            zh="列数（token）",
            en="Columns (tokens)",
            zh_help="稠密操作数的列：解码是批大小，预填充是 token 数。",
            en_help="Of the dense operand: the batch in decode, the tokens in prefill.",
            choices={str(m): same(str(m)) for m in (1, 8, 32, 128)},
            when={"mode": ["crossover"]},
            preview=False,
        ),
    ] = 1
    source: Annotated[
        Literal["memory", "cache"],
        Field(
            zh="权重来自",
            en="Weights come from",
            zh_help="内存：轮流用多份副本，总量大过末级缓存，像整个模型那样。缓存：反复用同一份。",
            en_help="Memory: copies in turn, more than the last-level cache holds, as with a whole model. "
            "Cache: the same one again and again.",
            choices={"memory": Text(zh="内存", en="memory"), "cache": Text(zh="缓存", en="cache")},
            when={"mode": ["crossover", "shapes"]},
            preview=False,
        ),
    ] = "memory"
    share: Annotated[
        int,
        Field(
            zh="丢掉的激活",
            en="Activations dropped",
            zh_help="每层 down_proj 输入里，绝对值最小的多少当作零。",
            en_help="Which share of each down_proj's input, smallest first, counts as zero.",
            ge=10,
            le=90,
            step=5,
            unit="%",
            when={"mode": ["activations"]},
        ),
    ] = 50
    bits: Annotated[
        Literal[2, 3, 4, 6, 8],
        Field(
            zh="位宽",
            en="Bit width",
            zh_help="留下的值的位数。",
            en_help="Of the values that are kept.",
            choices={str(bits): same(str(bits)) for bits in (2, 3, 4, 6, 8)},
            when={"mode": ["quantized"]},
        ),
    ] = 4
    layer: Layer = 12
    module: Annotated[
        Literal["q_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        Field(
            zh="模块",
            en="Module",
            zh_help="该层的哪个线性层；激活稀疏总看 down_proj。",
            en_help="Which linear layer of the block; activation sparsity always looks at down_proj.",
            choices={name: same(name) for name in ("q_proj", "o_proj", "gate_proj", "up_proj", "down_proj")},
            when={"mode": ["formats", "crossover", "quantized"]},
        ),
    ] = "up_proj"


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What bytes say, before anything runs."""
    from labs.sparsity.predictions import predictions

    yield from predictions(params, ctx)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode; times are measured only when nothing is being dragged."""
    if params.mode == "formats":
        from labs.sparsity.formats_mode import run_formats

        yield from run_formats(ctx, params)
    elif params.mode == "activations":
        from labs.sparsity.activation_mode import run_activations

        yield from run_activations(ctx, params)
    elif ctx.preview:
        return
    elif params.mode == "crossover":
        from labs.sparsity.crossover_mode import run_crossover

        yield from run_crossover(ctx, params)
    elif params.mode == "shapes":
        from labs.sparsity.shapes_mode import run_shapes

        yield from run_shapes(ctx, params)
    else:
        from labs.sparsity.quantized_mode import run_quantized

        yield from run_quantized(ctx, params)


LAB = Lab(
    id="operator/sparse_gemm",
    title=Text(zh="稀疏 GEMM：少算与少读", en="Sparse GEMM: fewer products, fewer bytes"),
    summary=Text(
        zh="剪枝真实的一层，看 COO、CSR、BSR、位图、2:4 的数组与字节；实测稀疏到几成才比稠密快；再看激活稀"
        "疏，以及稀疏与量化一起用。",
        en="A real layer pruned: arrays and bytes of COO, CSR, BSR, bitmap and 2:4; from which sparsity "
        "each is really faster than dense; activation sparsity; and sparsity with quantisation.",
    ),
    sections=["2.3.2"],
    questions=[f"2.3.2-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(layer=0, module="q_proj", sparsity=70),
    needs_model=True,
    presets=[
        Preset(
            id="half_is_not_half",
            title=Text(zh="一半是零，省一半吗", en="Half zeros, half the bytes?"),
            story=Text(
                zh="fp16、50% 非结构化。先猜：CSR 比稠密小，还是大？",
                en="fp16, 50% unstructured. Guess first: is CSR smaller than dense, or larger?",
            ),
            values={"mode": "formats", "sparsity": 50, "show": "csr"},
        ),
        Preset(
            id="two_four",
            title=Text(zh="2:4 的元数据", en="The metadata of 2:4"),
            story=Text(
                zh="每四个留两个。先算：16 位时压缩后是稠密的几分之几？",
                en="Two of every four are kept. Work out first which share of dense is left with 16 bits.",
            ),
            values={"mode": "formats", "pattern": "two_four", "show": "two_four"},
        ),
        Preset(
            id="decode",
            title=Text(zh="解码：几成才快", en="Decode: from which sparsity"),
            story=Text(
                zh="一列，权重来自内存。先猜：CSR、BSR、2:4 各从几成起比稠密快？",
                en="One column, weights from memory. Guess first from which sparsity CSR, BSR and 2:4 win.",
            ),
            values={"mode": "crossover", "tokens": 1},
        ),
        Preset(
            id="prefill",
            title=Text(zh="预填充：比的是速率", en="Prefill: rates decide"),
            story=Text(
                zh="128 列，权重被复用，字节不再是瓶颈。先猜：CSR 的交叉点在哪里？BSR 呢？",
                en="128 columns: weights are reused, and bytes no longer decide. Where do CSR and BSR cross?",
            ),
            values={"mode": "crossover", "tokens": 128, "source": "cache"},
        ),
        Preset(
            id="real_shapes",
            title=Text(zh="2:4 在真实的层上", en="2:4 on the real layers"),
            story=Text(
                zh="模型各层的形状，1、8、64 个 token，与 torch 的稠密乘积相比。先猜：几个 token 起 2:4 开"
                "始输？",
                en="The shapes of the model's layers, 1, 8 and 64 tokens, beside torch's dense product. "
                "Guess first from how many tokens 2:4 loses.",
            ),
            values={"mode": "shapes"},
        ),
        Preset(
            id="activations",
            title=Text(zh="丢掉一半激活", en="Drop half of the activations"),
            story=Text(
                zh="down_proj 的输入丢掉最小的一半。先猜：损失涨多少？32 个 token 一批还省吗？",
                en="The smaller half of down_proj's input goes. Guess the loss, and what a batch of 32 "
                "saves.",
            ),
            values={"mode": "activations", "share": 50},
        ),
        Preset(
            id="bits",
            title=Text(zh="2:4 + INT4，还是 INT3", en="2:4 with INT4, or INT3"),
            story=Text(
                zh="两者位数差不多。先猜：哪个误差小？",
                en="Both take about as many bits. Guess first which errs less.",
            ),
            values={"mode": "quantized", "bits": 4},
        ),
    ],
)
