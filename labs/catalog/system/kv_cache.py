"""The KV cache at work: the real engine fills, shares, copies and gives back blocks, event by event.

Long for its fourteen parameters and their texts; what it runs and shows stands in ``labs.kv_cache``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabError, LabParams, Prediction, Preset
from labs.text import Text, same

PROMPTS = "What is a cache?\nName three large cities.\nWhy is the sky blue?\nWrite a line about the sea."
SYSTEM = (
    "You are a helpful assistant on a ship. Answer in one short and friendly sentence. Never make up "
    "facts, and say so when you do not know. Use plain words that a child would understand."
)


class Params(LabParams, frozen=True):
    """What is asked, how it is answered, and how the cache is laid out."""

    prompts: Annotated[
        str,
        Field(
            zh="提示词",
            en="Prompts",
            zh_help="一行一条，每条是一个请求，最多 16 条（写在一行里就用 | 隔开）。模型只懂英语，请写英文。",
            en_help="One a line, each a request, 16 at most (on one line, with | between). The model knows "
            "English only.",
            preview=False,
            lines=4,
        ),
    ] = PROMPTS
    system_prompt: Annotated[
        str,
        Field(
            zh="系统提示词（公共前缀）",
            en="System prompt (shared prefix)",
            zh_help="放在每条提示词之前。前缀缓存让它只算一次、只存一份。留空则由模型的模板自带一句。",
            en_help="Stands before each prompt; the prefix cache computes and stores it once. Left empty, "
            "the model's template puts in a sentence of its own.",
            preview=False,
            lines=3,
        ),
    ] = SYSTEM
    samples: Annotated[
        int,
        Field(
            zh="并行采样数 n",
            en="Parallel samples n",
            zh_help="每条提示词要几个回答。提示词只算一次，各回答共用它的块；大于 1 时温度为 0.8。",
            en_help="Answers a prompt. The prompt is computed once and all share its blocks; above 1 the "
            "temperature is 0.8.",
            ge=1,
            le=8,
            step=1,
            preview=False,
        ),
    ] = 1
    beams: Annotated[
        int,
        Field(
            zh="束宽",
            en="Beams",
            zh_help="束搜索保留几条最可能的续写；0 表示不用束搜索。大于 0 时不看并行采样数。",
            en_help="Beam search keeps so many likeliest continuations; 0: none. Above 0, n is not used.",
            ge=0,
            le=6,
            step=1,
            when={"allocation": ["paged"]},
            preview=False,
        ),
    ] = 0
    new_tokens: Annotated[
        int,
        Field(
            zh="最多生成",
            en="New tokens at most",
            zh_help="每个回答的上限；模型可以提前结束。",
            en_help="The limit of each answer; the model may end earlier.",
            ge=1,
            le=128,
            scale="log2",
            unit="token",
            preview=False,
        ),
    ] = 24
    arrive_every: Annotated[
        int,
        Field(
            zh="到达间隔",
            en="A request every",
            zh_help="每隔几步来一个请求；0 表示同时到达。一步就是模型算一次。",
            en_help="Steps between requests; 0: all at once. A step is one pass of the model.",
            ge=0,
            le=32,
            step=1,
            unit="step",
            preview=False,
        ),
    ] = 3
    allocation: Annotated[
        Literal["paged", "reserved"],
        Field(
            zh="分配方式",
            en="Allocation",
            zh_help="分页：写满一块再要一块，块不必相邻。预留：一来就占下“提示词 + 上限”的连续内存，不共享。",
            en_help="Paged: another block when one is full, anywhere. Reserved: contiguous memory for prompt "
            "and limit from the start, and nothing is shared.",
            choices={
                "paged": Text(zh="分页", en="paged"),
                "reserved": Text(zh="连续预留", en="reserved"),
            },
            preview=False,
        ),
    ] = "paged"
    block_size: Annotated[
        int,
        Field(
            zh="块大小",
            en="Block size",
            zh_help="一块装多少个 token 的 KV。小块浪费少，块表长；vLLM 在 GPU 上默认 16。",
            en_help="Tokens whose KV a block holds. Small blocks waste less and need longer tables.",
            ge=1,
            le=128,
            scale="log2",
            unit="token",
            preview=False,
        ),
    ] = 16
    blocks: Annotated[
        int,
        Field(
            zh="块数",
            en="Blocks",
            zh_help="池里有多少块。调小就会不够用：有的序列要排队，有的会被抢占。",
            en_help="Blocks of the pool. With few of them sequences must wait or are preempted.",
            ge=2,
            le=512,
            scale="log",
            unit="block",
            preview=False,
        ),
    ] = 48
    prefix_cache: Annotated[
        bool,
        Field(
            zh="前缀缓存",
            en="Prefix cache",
            zh_help="按内容记住算完的整块：以后提示词开头相同，就直接引用，不再计算。",
            en_help="Remembers full blocks by their contents: a later prompt that starts alike refers to "
            "them.",
            when={"allocation": ["paged"]},
            preview=False,
        ),
    ] = True
    preemption: Annotated[
        Literal["recompute", "swap"],
        Field(
            zh="抢占方式",
            en="Preemption",
            zh_help="块不够时后来者让位。重算：丢掉 KV，回来再算。换出：KV 搬到主机内存，回来再搬进来。"
            "束搜索总是换出。",
            en_help="When blocks run out, who came last gives way. Recompute: KV is dropped and computed "
            "again. "
            "Swap: it goes to host memory and comes back. Beams always swap.",
            choices={
                "recompute": Text(zh="重算", en="recompute"),
                "swap": Text(zh="换出", en="swap"),
            },
            when={"allocation": ["paged"]},
            preview=False,
        ),
    ] = "recompute"
    kv: Annotated[
        Literal["fp32", "bf16", "int8"],
        Field(
            zh="KV 的数字格式",
            en="KV format",
            zh_help="每个数 4、2 或 1 字节；INT8 另有每 token、每头一个 4 字节的缩放因子。",
            en_help="4, 2 or 1 bytes a number; INT8 adds a scale of 4 bytes for each token and head.",
            choices={"fp32": same("FP32"), "bf16": same("BF16"), "int8": same("INT8")},
            preview=False,
        ),
    ] = "fp32"
    compare_to: Annotated[
        int,
        Field(
            zh="不用缓存，比到长度",
            en="Without a cache, up to",
            zh_help="另外实测：不用缓存、每个 token 都重算全文要多久。到这个长度为止；0 表示不测。",
            en_help="Also measured: how long a token takes without a cache, the whole text computed again. "
            "Up to "
            "this length; 0: not at all.",
            ge=0,
            le=1024,
            step=32,
            unit="token",
            preview=False,
        ),
    ] = 128


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the formulas say before anything is allocated or computed."""
    from labs.kv_cache.geometry import token_bytes

    config = ctx.model_config()
    each = token_bytes(config, params.kv)
    formula = Text(
        zh=f"2 × {config.layers} 层 × {config.kv_heads} 个 KV 头 × {config.head_dim} 维 × 每个数的字节",
        en=f"2 × {config.layers} layers × {config.kv_heads} KV heads × {config.head_dim} × bytes a number",
    )
    yield Prediction(
        id="token_bytes",
        title=Text(zh="每个 token 的 KV", en="KV of a token"),
        value=each,
        unit="B",
        formula=formula,
    )
    yield Prediction(
        id="pool_bytes",
        title=Text(zh="KV 缓存池", en="KV cache pool"),
        value=each * params.blocks * params.block_size,
        unit="B",
        formula=Text(zh="块数 × 块大小 × 每 token 字节", en="blocks × block size × bytes a token"),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Serve the prompts while their blocks are drawn, then time tokens without a cache."""
    if ctx.preview:  # what the engine does cannot be guessed from a part of it
        return
    from labs.engine.serving import Setting, make_engine
    from labs.kv_cache import scenario as scenarios
    from labs.kv_cache.lab_run import serve, without_cache

    if params.beams and params.allocation == "reserved":
        zh = f"束宽 {params.beams}：束之间要共享块，预留的连续内存做不到；请改用分页，或把束宽设为 0"
        en = f"{params.beams} beams share blocks, which reserved memory cannot do: choose paged, or 0 beams"
        raise LabError(Text(zh=zh, en=en))
    tokenizer = ctx.model().tokenizer
    asked = scenarios.lines_of(params.prompts)
    prompts = [scenarios.chat_ids(tokenizer, params.system_prompt, one) for one in asked]
    sampling = scenarios.sampling(
        samples=params.samples, beams=params.beams, new_tokens=params.new_tokens, seed=ctx.seed
    )
    scenario = scenarios.Scenario(prompts, sampling, params.arrive_every)
    setting = Setting(
        blocks=params.blocks,
        block_size=params.block_size,
        most_sequences=scenarios.MOST_SEQUENCES,
        prefix_cache=params.prefix_cache,
        reserved=params.allocation == "reserved",
        preemption=params.preemption,
        kv=params.kv,
    )
    engine = make_engine(ctx, setting)
    served = yield from serve(ctx, engine, setting, scenario)
    yield from without_cache(ctx, served, params.compare_to)


LAB = Lab(
    id="system/kv_cache",
    title=Text(zh="KV Cache 可视化", en="The KV cache visualiser"),
    summary=Text(
        zh="输入提示词，看真实引擎怎样一块块地填、共享、写时复制、收回 KV 缓存；可播放、暂停、单步、拖动。",
        en="Type prompts and watch the real engine fill, share, copy and give back blocks of the KV cache: "
        "play, pause, step, scrub.",
    ),
    sections=["3.1.1"],
    questions=[f"3.1.1-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(prompts="Hi | Hello", new_tokens=6, blocks=24, compare_to=32, arrive_every=1),
    presets=[
        Preset(
            id="shared_prefix",
            title=Text(zh="共用的系统提示词", en="A shared system prompt"),
            story=Text(
                zh="四个请求的开头相同。先猜：四条序列要几份系统提示词的块？看“共享”事件和带角标的块。",
                en="Four requests start alike. Guess first: how many copies of the system prompt's blocks? "
                "Watch the share events and the blocks with a count.",
            ),
            values={"arrive_every": 3},
        ),
        Preset(
            id="samples",
            title=Text(zh="并行采样与写时复制", en="Parallel samples, copy on write"),
            story=Text(
                zh="一条提示词，四个回答。分叉时不搬数据，第一次写共用的最后一块才复制：猜要复制几块。",
                en="One prompt, four answers. A fork moves nothing; the first write into the shared last "
                "block copies it. Guess how many blocks are copied.",
            ),
            values={
                "prompts": "Tell me a story about a lighthouse.",
                "samples": 4,
                "new_tokens": 32,
                "compare_to": 0,
            },
        ),
        Preset(
            id="beams",
            title=Text(zh="束搜索", en="Beam search"),
            story=Text(
                zh="四条束不断分叉、被剪。看共享的块怎样变成一棵树，剪掉的束怎样立刻还块。",
                en="Four beams fork and are pruned all the time. Watch shared blocks become a tree, and "
                "pruned beams give back theirs at once.",
            ),
            values={
                "prompts": "Describe the sea in one sentence.",
                "system_prompt": "Be brief.",
                "beams": 4,
                "new_tokens": 16,
                "block_size": 4,
                "blocks": 96,
                "compare_to": 0,
            },
        ),
        Preset(
            id="preemption",
            title=Text(zh="块用完了：抢占", en="Out of blocks: preemption"),
            story=Text(
                zh="池子放不下四条写长的序列。猜谁让位；再把抢占方式改成换出，看重算的 token 变成几个。",
                en="The pool cannot hold four growing sequences. Guess who gives way; then choose swap, and "
                "see how many tokens are computed again.",
            ),
            values={
                "system_prompt": "Be brief.",
                "blocks": 12,
                "block_size": 8,
                "new_tokens": 32,
                "arrive_every": 1,
                "prefix_cache": False,
                "compare_to": 0,
            },
        ),
        Preset(
            id="big_blocks",
            title=Text(zh="块太大，浪费多", en="Big blocks waste"),
            story=Text(
                zh="同样的请求，每块 64 个 token。先算每条序列平均空几个槽，再看“存有 token”与“已分配”的差。",
                en="The same requests with 64 tokens a block. Work out the empty slots a sequence first, "
                "then look at the gap between allocated and filled.",
            ),
            values={"block_size": 64, "blocks": 16, "compare_to": 0},
        ),
        Preset(
            id="reserved",
            title=Text(zh="分页之前：连续预留", en="Before paging: reserved"),
            story=Text(
                zh="一来就占下最长可能的连续内存，回答却常常提前结束。看有几条序列能同时跑，谁在排队。",
                en="Contiguous memory for the longest possible answer, from the start, and answers often end "
                "early. See how many run at once, and who waits.",
            ),
            values={
                "allocation": "reserved",
                "new_tokens": 64,
                "blocks": 24,
                "arrive_every": 1,
                "compare_to": 0,
            },
        ),
        Preset(
            id="no_cache",
            title=Text(zh="没有缓存会怎样", en="No cache at all"),
            story=Text(
                zh="每个 token 都重算全文。先猜：长 512 时慢几倍？计算量差近 400 倍，时间差多少？",
                en="Every token computes the whole text again. Guess first: how much slower at 512 tokens? "
                "FLOPs differ nearly 400 times; does time?",
            ),
            values={"prompts": "What is a cache?", "new_tokens": 8, "compare_to": 512},
        ),
    ],
)
