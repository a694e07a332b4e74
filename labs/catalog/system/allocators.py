"""Six allocators, written out, under the same requests; eviction of cached prefixes; what alignment costs.

Long for its fifteen parameters and their texts; what it runs stands in ``labs.memory``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.memory import eviction_run
    from labs.memory.allocators import lab_run

_FRAGMENTATION = {"mode": ["fragmentation"]}
_SERVING = {"mode": ["fragmentation"], "requests_of": ["serving"]}
_EVICTION = {"mode": ["eviction"]}


class Params(LabParams, frozen=True):
    """What is looked at, and under which requests."""

    mode: Annotated[
        Literal["fragmentation", "eviction", "alignment"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="碎片：六种分配器处理同样的内存请求。淘汰：前缀缓存满了，丢掉谁。对齐：浪费多少，快多"
            "少。",
            en_help="Fragmentation: six allocators under the same requests. Eviction: what a full prefix "
            "cache "
            "forgets. Alignment: what it wastes and what it speeds up.",
            choices={
                "fragmentation": Text(zh="碎片", en="fragmentation"),
                "eviction": Text(zh="淘汰", en="eviction"),
                "alignment": Text(zh="对齐", en="alignment"),
            },
        ),
    ] = "fragmentation"
    requests_of: Annotated[
        Literal["serving", "tensors"],
        Field(
            zh="谁要内存",
            en="Who asks",
            zh_help="序列的 KV：引擎的调度器服务 Llama-3-8B 的请求（模拟 A100），每 token 128 KiB，逐 "
            "token 增长。"
            "临时张量：大小从 512 B 到 64 MiB，用完就还。",
            en_help="KV of sequences: the engine's scheduler serves Llama-3-8B (on a simulated A100), 128 "
            "KiB a "
            "token, growing token by token. Temporary tensors: 512 B to 64 MiB, freed after use.",
            choices={
                "serving": Text(zh="序列的 KV", en="KV of sequences"),
                "tensors": Text(zh="临时张量", en="temporary tensors"),
            },
            when=_FRAGMENTATION,
        ),
    ] = "serving"
    allocator: Annotated[
        Literal["first_fit", "best_fit", "buddy", "slab", "caching", "paged"],
        Field(
            zh="展示哪个分配器",
            en="Allocator shown",
            zh_help="首次适应：最低的够大的洞。最佳适应：最小的够大的洞。伙伴：2 的幂，成对分裂合并。"
            "slab：按大小类"
            "切好。缓存：像 PyTorch，释放后留着。分页：全是同样大的页。",
            en_help="First fit: the lowest hole that is large enough. Best fit: the smallest. Buddy: "
            "powers of "
            "two, split and merged in pairs. Slab: size classes. Caching: as PyTorch, keeps what is freed. "
            "Pages: all alike.",
            choices={
                "first_fit": Text(zh="首次适应", en="first fit"),
                "best_fit": Text(zh="最佳适应", en="best fit"),
                "buddy": Text(zh="伙伴", en="buddy"),
                "slab": same("slab"),
                "caching": Text(zh="缓存", en="caching"),
                "paged": Text(zh="分页", en="pages"),
            },
            when=_FRAGMENTATION,
        ),
    ] = "first_fit"
    growth: Annotated[
        Literal["reserve", "copy"],
        Field(
            zh="连续分配怎样增长",
            en="How one piece grows",
            zh_help="预留：一来就要“提示词 + 回答上限”那么大一段。搬家：先要刚好的，满了就换两倍大的一段并"
            "复制，"
            "那一刻两段都得在。分页不受影响。",
            en_help="Reserve: prompt and answer limit from the start. Copy: what is needed, and when full a "
            "piece twice as large, with both there while it is copied. Pages do neither.",
            choices={
                "reserve": Text(zh="按上限预留", en="reserve the limit"),
                "copy": Text(zh="翻倍并复制", en="double and copy"),
            },
            when=_SERVING,
        ),
    ] = "reserve"
    arena_mib: Annotated[
        Literal[256, 512, 1024, 2048, 4096, 8192],
        Field(
            zh="内存大小",
            en="Arena",
            zh_help="分配器管的一整块内存。2 的幂，因为伙伴系统只会切这样的。",
            en_help="The memory that is handed out. A power of two, as the buddy system needs it.",
            unit="MiB",
            choices={str(size): same(f"{size}") for size in (256, 512, 1024, 2048, 4096, 8192)},
            when=_FRAGMENTATION,
        ),
    ] = 2048
    requests: Annotated[
        int,
        Field(
            zh="请求数",
            en="Requests",
            zh_help="序列的条数；张量是它的 10 倍，淘汰是它的 20 倍。",
            en_help="Sequences; ten times as many tensors, twenty times as many requests of the eviction "
            "mode.",
            ge=16,
            le=256,
            step=16,
            when={"mode": ["fragmentation", "eviction"]},
            preview=False,
        ),
    ] = 96
    answer_limit: Annotated[
        int,
        Field(
            zh="回答上限",
            en="Answer limit",
            zh_help="每个请求最多生成多少 token（max_tokens），预留就按它；实际平均只有约 200 个。",
            en_help="Tokens that each request may generate (max_tokens), and so what is reserved; about "
            "200 are "
            "generated on average.",
            ge=256,
            le=4096,
            scale="log2",
            unit="token",
            when=_SERVING,
        ),
    ] = 1024
    page_tokens: Annotated[
        int,
        Field(
            zh="页大小",
            en="Page size",
            zh_help="分页时一页装多少个 token 的 KV；16 个就是 2 MiB。",
            en_help="Tokens whose KV a page holds; 16 are 2 MiB.",
            ge=1,
            le=256,
            scale="log2",
            unit="token",
            when=_FRAGMENTATION,
        ),
    ] = 16
    cache_blocks: Annotated[
        int,
        Field(
            zh="前缀缓存",
            en="Prefix cache",
            zh_help="能留多少块，每块 512 个 token（Llama-3-8B 是 64 MiB）。",
            en_help="Blocks of 512 tokens that it holds (64 MiB each for Llama-3-8B).",
            ge=16,
            le=4096,
            scale="log2",
            unit="block",
            when=_EVICTION,
        ),
    ] = 256
    documents: Annotated[
        int,
        Field(
            zh="文档数",
            en="Documents",
            zh_help="多少篇会被反复当作前缀的文档（系统提示词、知识库、对话），平均 8 块长。",
            en_help="Documents that recur as prefixes (system prompts, a knowledge base, chats), 8 blocks "
            "long "
            "on average.",
            ge=10,
            le=1000,
            scale="log",
            when=_EVICTION,
        ),
    ] = 200
    skew: Annotated[
        float,
        Field(
            zh="热度偏斜",
            en="Skew",
            zh_help="Zipf 指数：排第 r 的文档被问到的机会正比于 r 的 −α 次方。0 是一样热，1 左右常见。",
            en_help="Zipf's exponent: the document of rank r is asked for in proportion to r to the power of "
            "minus this. 0: all alike; about 1 is common.",
            ge=0,
            le=1.5,
            step=0.1,
            when=_EVICTION,
        ),
    ] = 0.9
    own: Annotated[
        int,
        Field(
            zh="各自的新块",
            en="Blocks of its own",
            zh_help="每个请求在文档后面还有几块自己的内容（问题和回答），以后没人再用。",
            en_help="Blocks that each request adds to its document (question and answer), which nobody asks "
            "for again.",
            ge=0,
            le=4,
            step=1,
            unit="block",
            when=_EVICTION,
        ),
    ] = 1
    one_off: Annotated[
        float,
        Field(
            zh="一次性请求",
            en="One-off requests",
            zh_help="多少比例的请求带着一篇以后再也不出现的文档（例如批量总结）。",
            en_help="The share of requests whose document never comes again, such as a batch of summaries.",
            ge=0,
            le=0.8,
            step=0.1,
            when=_EVICTION,
        ),
    ] = 0.0
    fashion: Annotated[
        int,
        Field(
            zh="热点更换",
            en="Change of fashion",
            zh_help="每隔多少个请求，热度的排名挪动四分之一；0 表示从不。",
            en_help="Requests after which the ranks move on by a quarter; 0: never.",
            ge=0,
            le=2000,
            step=100,
            unit="request",
            when=_EVICTION,
        ),
    ] = 0
    evictable: Annotated[
        Literal["ends", "any"],
        Field(
            zh="可淘汰的块",
            en="What may be evicted",
            zh_help="只从末尾：后面没有缓存块的才能丢（SGLang 的基数树）。任意：丢了前面的，后面的就成了没"
            "用的孤块。",
            en_help="Ends only: what no cached block continues (SGLang's radix tree). Any: without its "
            "beginning, the rest of a prefix is of no use.",
            choices={
                "ends": Text(zh="只从末尾", en="ends only"),
                "any": Text(zh="任意", en="any block"),
            },
            when=_EVICTION,
        ),
    ] = "ends"
    alignment: Annotated[
        int,
        Field(
            zh="对齐",
            en="Alignment",
            zh_help="每次分配都取整到它的倍数。",
            en_help="Each allocation is rounded up to a multiple of this.",
            ge=1,
            le=65536,
            scale="log2",
            unit="B",
            when={"mode": ["alignment"]},
        ),
    ] = 512


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the formulas say before anything is handed out."""
    from labs.memory.allocators import lab_run
    from labs.memory.eviction_run import predicted_lru

    if params.mode == "eviction":
        yield Prediction(
            id="lru_hits",
            title=Text(zh="LRU 命中率", en="LRU's hit ratio"),
            value=predicted_lru(_eviction(params), ctx.seed),
            unit="%",
            formula=Text(
                zh="Che 近似：解出一篇没人问的文档能留多久，再看它在那之前被问到的机会",
                en="Che's approximation: how long a document stays unasked for, and how likely it is asked "
                "for by then",
            ),
        )
    elif params.mode == "alignment":
        yield Prediction(
            id="waste",
            title=Text(zh="对齐的浪费", en="Waste of alignment"),
            value=lab_run.alignment_waste(params.alignment),
            unit="%",
            formula=Text(
                zh="每次平均多给 (A − 1) ÷ 2 字节，占给出的比例",
                en="(A − 1) / 2 bytes more each on average, as a share of what is granted",
            ),
        )
    elif found := lab_run.predicted_internal(_setting(params), params.allocator):
        yield Prediction(
            id="internal",
            title=Text(zh="内部碎片", en="Internal fragmentation"),
            value=100 * found[0],
            unit="%",
            formula=found[1],
        )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """The chosen mode."""
    from labs.memory.allocators import lab_run
    from labs.memory.eviction_run import evict

    if params.mode == "fragmentation":
        yield from lab_run.fragmentation(ctx, _setting(params), params.allocator)
    elif params.mode == "eviction":
        yield from evict(ctx, _eviction(params), lab_run.deployment())
    else:
        yield from lab_run.aligned(ctx, params.alignment, budget_s=0.15)


def _setting(params: Params) -> "lab_run.Setting":
    from labs.memory.allocators.lab_run import Setting, arena

    return Setting(
        serving=params.requests_of == "serving",
        growth=params.growth if params.requests_of == "serving" else "reserve",
        capacity=arena(params.arena_mib),
        requests=params.requests,
        answer_limit=params.answer_limit,
        page_tokens=params.page_tokens,
    )


def _eviction(params: Params) -> "eviction_run.Setting":
    from labs.memory.eviction_run import Setting

    return Setting(
        requests=20 * params.requests,
        documents=params.documents,
        skew=params.skew,
        own=params.own,
        one_off=params.one_off,
        fashion=params.fashion,
        cache_blocks=params.cache_blocks,
        ends_only=params.evictable == "ends",
    )


LAB = Lab(
    id="system/allocators",
    title=Text(zh="内存分配器与淘汰", en="Allocators and eviction"),
    summary=Text(
        zh="六种手写的分配器处理同一批真实调度出来的内存请求，看碎片怎样长出来；前缀缓存满了丢谁；对齐值多"
        "少。",
        en="Six allocators, written out, under the same requests of the real scheduler: watch fragmentation "
        "grow. What a full prefix cache should forget. What alignment is worth.",
    ),
    sections=["3.1.3"],
    questions=[f"3.1.3-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(requests=16, arena_mib=512),
    presets=[
        Preset(
            id="reserve",
            title=Text(zh="按上限预留", en="Reserve the limit"),
            story=Text(
                zh="2 GiB 内存，最多只需要 1 GiB。先猜：一来就占下上限，96 个请求放得下几个？看有颜色而空"
                "着的格子。",
                en="An arena of 2 GiB, and never more than 1 GiB is needed. Guess: with the limit "
                "reserved, how "
                "many of 96 requests find room? Look at cells that are coloured and empty.",
            ),
            values={"requests": 128},
        ),
        Preset(
            id="copy",
            title=Text(zh="翻倍并复制", en="Double and copy"),
            story=Text(
                zh="不预留，满了就换两倍大的一段。猜要复制几 GiB；再看洞有多大：空闲够，一段却不够。",
                en="Nothing is reserved; when full, move to twice the room. Guess how many GiB are "
                "copied, and "
                "look at the holes: enough is free, but not in one piece.",
            ),
            values={"growth": "copy", "arena_mib": 1024},
        ),
        Preset(
            id="pages",
            title=Text(zh="分页", en="Pages"),
            story=Text(
                zh="同样的请求、只有 1 GiB。猜内部碎片：平均半页除以序列长度。看颜色散乱，却几乎不浪费。",
                en="The same requests in 1 GiB. Guess the internal fragmentation: half a page over a "
                "sequence's "
                "length. The colours are scattered, and hardly a slot is lost.",
            ),
            values={"allocator": "paged", "arena_mib": 1024},
        ),
        Preset(
            id="buddy",
            title=Text(zh="伙伴系统与张量", en="Buddies and tensors"),
            story=Text(
                zh="大小从 512 B 到 64 MiB 的临时张量。先算：取整到 2 的幂平均浪费几成？再和表里 slab 的四"
                "档比。",
                en="Temporary tensors of 512 B to 64 MiB. First work out what rounding to powers of two "
                "wastes "
                "on average, then compare with slab's four classes a doubling.",
            ),
            values={"requests_of": "tensors", "allocator": "buddy", "arena_mib": 512},
        ),
        Preset(
            id="caching",
            title=Text(zh="像 PyTorch 那样缓存", en="Caching, as PyTorch does"),
            story=Text(
                zh="960 个张量，猜向设备要了几次内存（cudaMalloc）？再看“握着的”比“需要的”高出多少。",
                en="960 tensors: guess how often the device is asked for memory (cudaMalloc). Then "
                "see "
                "how far what is held lies above what is needed.",
            ),
            values={"requests_of": "tensors", "allocator": "caching", "arena_mib": 512},
        ),
        Preset(
            id="eviction",
            title=Text(zh="淘汰谁", en="Whom to evict"),
            story=Text(
                zh="200 篇文档按 Zipf 热度被问。猜 LRU 和 LFU 谁高、离预知未来的上界多远；再看 FIFO 为何和"
                " LRU 重合。",
                en="200 documents, asked for by Zipf's law. Guess whether LRU or LFU does better and how "
                "far off "
                "the bound is; then see why FIFO and LRU coincide.",
            ),
            values={"mode": "eviction"},
        ),
        Preset(
            id="fashion",
            title=Text(zh="热点会变", en="The fashion changes"),
            story=Text(
                zh="每 400 个请求换一批热点。看 LFU 抱着旧热点不放，谁恢复得最快。",
                en="Other documents are in after each 400 requests. See LFU hold on to the old ones, and who "
                "recovers first.",
            ),
            values={"mode": "eviction", "fashion": 400, "cache_blocks": 512},
        ),
        Preset(
            id="scan",
            title=Text(zh="一次性的长提示词", en="Prompts that come once"),
            story=Text(
                zh="三成请求的文档再也不会出现。猜它们把 LRU 的命中率冲掉多少，LFU 为何不上当。",
                en="Three requests in ten bring a document that never returns. Guess what that does to "
                "LRU, and "
                "why LFU is not fooled.",
            ),
            values={"mode": "eviction", "one_off": 0.3},
        ),
        Preset(
            id="alignment",
            title=Text(zh="对齐值多少", en="What alignment is worth"),
            story=Text(
                zh="在本机实测：偏移几个字节，读取慢多少？行距恰好是 4096 B，又会怎样？先猜再看。",
                en="Measured here: how much slower is a read from a few bytes off? And rows exactly 4096 B "
                "apart? Guess first.",
            ),
            values={"mode": "alignment"},
        ),
    ],
)
