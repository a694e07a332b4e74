"""What the memory ledger shows: the parts as stacked bars, what fits, and the check on the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from labs.memory.fit import fewest_devices, frontier, largest_batch, longest_context
from labs.memory.ledger import PARTS, Part, ledger, sequence_bytes, token_bytes, total_bytes, weight_bytes
from labs.memory.precision import KV_TITLES, WEIGHT_TITLES
from labs.results import (
    Axis,
    Column,
    Lines,
    Mark,
    Markdown,
    Metric,
    Provenance,
    Series,
    Table,
    Timeline,
    array,
)
from labs.simulator.hardware import device, devices
from labs.simulator.model_shape import parameters
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.memory.engine_check import Checked
    from labs.memory.ledger import Setting
    from labs.memory.precision import KVType

_ESTIMATED, _MEASURED = Provenance.ESTIMATED, Provenance.MEASURED
GIB = 2**30

PART_TITLES: dict[Part, Text] = {
    "embeddings": Text(zh="嵌入与输出头", en="embedding and head"),
    "attention": Text(zh="注意力权重", en="attention weights"),
    "ffn": Text(zh="FFN 与专家权重", en="FFN and expert weights"),
    "kv": Text(zh="KV 缓存", en="KV cache"),
    "fragmentation": Text(zh="块内碎片", en="last-block waste"),
    "workspace": Text(zh="激活工作区", en="activation workspace"),
    "logits": Text(zh="logits 超出部分", en="logits beyond it"),
    "runtime": Text(zh="运行时", en="runtime"),
}
_FREE = Text(zh="空闲", en="free")
_RESERVED = Text(zh="不给引擎用", en="not the engine's")
_FORMULAS: dict[Part, Text] = {
    "embeddings": Text(zh="其余参数 × 2 B，含归一化", en="other parameters × 2 B"),
    "attention": Text(zh="层数 ×（Q、K、V、O）", en="layers × (Q, K, V, O)"),
    "ffn": Text(zh="层数 × 3 × 宽 × FFN 宽", en="layers × 3 × width × FFN"),
    "kv": Text(zh="批 × 上下文 × 每 token", en="batch × context × a token's"),
    "fragmentation": Text(zh="批 × (块 − 1)/2 个空槽", en="batch × (block − 1)/2 slots"),
    "workspace": Text(zh="每步 token × 一层峰值", en="tokens × one layer's peak"),
    "logits": Text(zh="批 × 词表 × 6 B，超出的", en="batch × vocabulary × 6 B"),
    "runtime": Text(zh="参数：上下文与内核", en="a parameter"),
}


def stacked(setting: Setting, capacity: float, room: float, title: Text) -> Timeline:
    """Each lane is one device, its bytes laid end to end: one sequence, the setting, the largest batch."""
    most = largest_batch(setting, room)
    batches = sorted({1, setting.batch, max(1, most)})
    lanes, rows = [], []
    categories = [PART_TITLES[part] for part in PARTS] + [_FREE, _RESERVED]
    for batch in batches:
        mark = "  ←" if batch == setting.batch else ""
        lanes.append(Text(zh=f"批大小 {batch}{mark}", en=f"batch {batch}{mark}"))
        at = 0.0
        parts = ledger(msgspec.structs.replace(setting, batch=batch))
        sizes = [parts[part] for part in PARTS]
        if sum(sizes) <= room:  # a batch that is too large just reaches beyond
            sizes += [room - sum(sizes), capacity - room]
        for index, size in enumerate(sizes):
            if size > 0:
                rows.append((len(lanes) - 1, at, at + size, index, size))
            at += size
    lane, first, last, category, value = (array(column) for column in zip(*rows, strict=True))
    return Timeline(
        id="bytes",
        title=title,
        provenance=_ESTIMATED,
        unit="B",
        x=Axis(title=Text(zh="一台设备的显存", en="memory of one device"), unit="B"),
        lanes=lanes,
        lane=lane.astype(np.int64),
        start=first,
        end=last,
        category=category.astype(np.int64),
        categories=categories,
        label=[categories[int(index)] for index in category],
        value=value,
        value_name=Text(zh="字节", en="bytes"),
        source=Text(
            zh="按模型形状逐项计算；各项公式见下表", en="counted from the model's shape; formulas below"
        ),
        wide=True,
    )


def parts_table(setting: Setting, room: float) -> Table:
    """Every part with its share and its formula."""
    parts = ledger(setting)
    total = sum(parts.values())
    rows: list[list[Text | float | int | None]] = [
        [PART_TITLES[part], size / GIB, 100 * size / total, _FORMULAS[part]] for part, size in parts.items()
    ]
    rows.append(
        [
            Text(zh="合计", en="total"),
            total / GIB,
            100.0,
            Text(zh=f"可用 {room / GIB:.1f} GiB", en=f"{room / GIB:.1f} GiB to use"),
        ]
    )
    return Table(
        id="parts",
        title=Text(zh="显存账本（每台设备）", en="The ledger (one device)"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="去向", en="part")),
            Column(title=Text(zh="大小", en="size"), unit="GiB"),
            Column(title=Text(zh="占比", en="share"), unit="%"),
            Column(
                title=Text(zh="怎么算", en="counted as"),
                help=Text(
                    zh="嵌入、输出头、归一化与偏置保持 16 位（FP32 权重时 32 位），共享的嵌入只算一次；MoE "
                    "要装下全部"
                    "专家；滑动窗口层只留窗口；工作区由各层轮流使用，logits 与它不同时需要，只算多出来的部"
                    "分。",
                    en="Embedding, head, norms and biases keep 16 bits (32 with FP32 weights), a tied "
                    "table counts "
                    "once; all experts must be there; a windowed layer keeps its window; the layers take "
                    "turns in "
                    "the workspace, and logits, not needed together with it, count only where they exceed "
                    "it.",
                ),
            ),
        ],
        rows=rows,
        highlight=len(rows) - 1,
        source=Text(zh="labs.memory.ledger", en="labs.memory.ledger"),
        wide=True,
    )


def fit_metrics(setting: Setting, room: float) -> list[Metric]:
    """Total, largest batch, longest context."""
    formula = Text(zh="账本各项之和 ≤ 可用显存，二分查找", en="all parts together fit the room; bisection")
    return [
        Metric(
            id="total",
            title=Text(zh="每台设备合计", en="Total on one device"),
            provenance=_ESTIMATED,
            unit="B",
            value=total_bytes(setting),
            source=Text(zh="账本各项之和", en="the sum of the ledger"),
            better="lower",
        ),
        Metric(
            id="token_bytes",
            title=Text(zh="每 token 的 KV", en="KV of one token"),
            provenance=_ESTIMATED,
            unit="B",
            value=token_bytes(setting),
            source=Text(zh="全部层，一台设备上", en="all layers, on one device"),
            better="lower",
        ),
        Metric(
            id="largest_batch",
            title=Text(
                zh=f"上下文 {setting.context} 时的最大批", en=f"Largest batch at {setting.context} tokens"
            ),
            provenance=_ESTIMATED,
            value=largest_batch(setting, room),
            source=formula,
            better="higher",
        ),
        Metric(
            id="longest_context",
            title=Text(
                zh=f"批大小 {setting.batch} 时的最长上下文", en=f"Longest context at batch {setting.batch}"
            ),
            provenance=_ESTIMATED,
            unit="token",
            value=longest_context(setting, room),
            source=Text(
                zh=f"{formula.zh}；不看模型自身的上限", en=f"{formula.en}; the model's own limit aside"
            ),
            better="higher",
        ),
    ]


def check_metrics(checked: Checked) -> list[Metric]:
    """Bytes of the engine, predicted and measured."""
    rows: list[tuple[str, Text, tuple[float, float], Text]] = [
        (
            "engine_weights",
            Text(zh="引擎的权重", en="The engine's weights"),
            checked.weights,
            Text(zh="逐个存储累加真实张量的字节", en="bytes of the real tensors, each storage once"),
        ),
        (
            "engine_kv",
            Text(zh="引擎的 KV 存储", en="The engine's KV store"),
            checked.kv,
            Text(zh="KV 存储的真实张量，含 scale", en="the store's real tensors, scales included"),
        ),
        (
            "engine_workspace",
            Text(zh="一步的激活峰值", en="Peak of a step's activations"),
            checked.workspace,
            Text(
                zh="真实预填充，逐算子跟踪存储的分配与释放",
                en="a real prefill, storages followed operation by operation",
            ),
        ),
    ]
    return [
        Metric(
            id=name,
            title=title,
            provenance=_MEASURED,
            unit="B",
            value=measured,
            predicted=predicted,
            formula=Text(
                zh="同一本账，形状取已加载的模型", en="the same ledger, for the loaded model's shape"
            ),
            source=source,
        )
        for name, title, (predicted, measured), source in rows
    ]


def check_table(checked: Checked) -> Table:
    """The cross-checks: the allocator's own peak, and the process's growth."""
    rows: list[list[Text | float | int | None]] = []
    cross: list[tuple[Text, float, float | None]] = [
        (Text(zh="权重：真实张量", en="weights: real tensors"), *checked.weights),
        (Text(zh="KV：真实张量", en="KV: real tensors"), *checked.kv),
        (Text(zh="激活：逐算子跟踪", en="activations: by operation"), *checked.workspace),
        (
            Text(zh="激活：分配器自己的峰值", en="activations: the allocator's peak"),
            checked.workspace[0],
            checked.allocator,
        ),
    ]
    if checked.resident is not None:
        text = Text(zh="进程常驻内存的增长（权重 + KV）", en="growth of the process (weights + KV)")
        cross.append((text, *checked.resident))
    for text, predicted, measured in cross:
        error = None if not measured else 100 * (predicted - measured) / measured
        rows.append([text, predicted / 2**20, None if measured is None else measured / 2**20, error])
    return Table(
        id="check",
        title=Text(zh="预测与引擎的真实分配", en="Predicted and really allocated by the engine"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="什么", en="what")),
            Column(title=Text(zh="预测", en="predicted"), unit="MiB", provenance=_ESTIMATED),
            Column(title=Text(zh="实测", en="measured"), unit="MiB"),
            Column(title=Text(zh="误差", en="error"), unit="%"),
        ],
        rows=rows,
        source=Text(
            zh="常驻内存只增长在首次运行：之后分配器重用释放过的页，数字会偏小",
            en="the process grows in the first run only: later ones reuse pages that were freed, and show "
            "less",
        ),
        wide=True,
    )


def ledger_explanation(setting: Setting, capacity: float, room: float, name: Text) -> Markdown:
    """What this ledger says, from its own figures."""
    parts = ledger(setting)
    weights, kv = weight_bytes(setting), parts["kv"] + parts["fragmentation"]
    total, most = sum(parts.values()), largest_batch(setting, room)
    shape, one = setting.shape, sequence_bytes(setting)
    fits_zh = "装得下" if total <= room else f"**装不下**，差 {(total - room) / GIB:.1f} GiB"
    fits_en = "It fits" if total <= room else f"It does **not fit**, by {(total - room) / GIB:.1f} GiB"
    needed = fewest_devices(setting, room)
    zh = (
        f"- {shape.name}：{parameters(shape) / 1e9:.2f}B 参数，{WEIGHT_TITLES[setting.weights].zh} 权重"
        f" {weights / GIB:.2f} GiB，是固定成本；KV 每 token {token_bytes(setting) / 1024:.1f} KiB，"
        f"一条 {setting.context} token 的序列 {one / GIB:.3f} GiB，按批线性增长。\n"
        f"- 批大小 {setting.batch}：KV 共 {kv / GIB:.2f} GiB，"
        + (
            f"已超过权重（从批大小 {int(weights // one) + 1} 起）。"
            if kv > weights
            else f"要到批大小 {int(weights // one) + 1} 才超过权重。"
        )
        + f"\n- {name.zh}：可用 {room / GIB:.1f} / {capacity / GIB:.1f} GiB。{fits_zh}；最多 {most} 条同时"
        "在跑。"
    )
    en = (
        f"- {shape.name}: {parameters(shape) / 1e9:.2f}B parameters, {weights / GIB:.2f} GiB of weights in "
        f"{WEIGHT_TITLES[setting.weights].en}, a fixed cost; a token's KV is "
        f"{token_bytes(setting) / 1024:.1f} "
        f"KiB, a sequence of {setting.context} tokens {one / GIB:.3f} GiB, linear in the batch.\n"
        f"- Batch {setting.batch}: {kv / GIB:.2f} GiB of KV, "
        + (
            f"more than the weights (from batch {int(weights // one) + 1} on)."
            if kv > weights
            else f"less than the weights up to batch {int(weights // one)}."
        )
        + f"\n- {name.en}: {room / GIB:.1f} of {capacity / GIB:.1f} GiB to use. {fits_en}; at most {most} "
        "sequences run at once."
    )
    if total > room and needed is not None:
        zh += f"\n- 张量并行到 **{needed}** 台就装得下。"
        en += f"\n- With tensor parallelism **{needed}** devices hold it."
    if parts["workspace"] > 0:
        share = 100 * parts["workspace"] / total
        zh += (
            f"\n- 激活只占 {share:.1f}%：推理不留给反向传播，各层轮流用同一块工作区，"
            "与层数无关，只随一步的 token 数增长。"
        )
        en += (
            f"\n- Activations are {share:.1f} %: nothing is kept for a backward pass and the layers take "
            "turns in "
            "one workspace, so it does not grow with depth, only with the tokens of a step."
        )
    return _markdown("explanation", zh, en, _ESTIMATED)


def frontier_lines(setting: Setting, room: float) -> Lines:
    """The largest batch at each context, for the KV types and degrees of tensor parallelism."""
    contexts = [2**power for power in range(8, 21, 2)]
    series = []
    kinds: tuple[KVType, ...] = ("bf16", "fp8") if setting.kv != "fp32" else ("fp32", "bf16")
    degrees = sorted({setting.tensor_parallel, 2 * setting.tensor_parallel})
    for degree in degrees:
        if setting.shape.heads % degree:
            continue
        for kind in kinds:
            one = msgspec.structs.replace(setting, kv=kind, tensor_parallel=degree)
            batches = frontier(one, room, contexts)
            zh, en = f"{KV_TITLES[kind].zh} KV，{degree} 台", f"{KV_TITLES[kind].en} KV, {degree} device"
            values = [float(batch) if batch else np.nan for batch in batches]
            series.append(
                Series(
                    name=Text(zh=zh, en=en + ("s" if degree > 1 else "")), x=array(contexts), y=array(values)
                )
            )
    return Lines(
        id="frontier",
        title=Text(zh="可行边界：批大小与上下文", en="The feasible frontier: batch and context"),
        provenance=_ESTIMATED,
        x=Axis(title=Text(zh="每条序列的上下文", en="context of each sequence"), unit="token", log=True),
        y=Axis(title=Text(zh="最大批大小", en="largest batch"), log=True),
        series=series,
        marks=[Mark(x=float(setting.context), name=Text(zh="当前", en="now"))],
        source=Text(
            zh="曲线上方装不下；没有点：一条也装不下",
            en="above a curve it does not fit; no point: not even one",
        ),
        wide=True,
    )


def batch_lines(setting: Setting, room: float) -> Lines:
    """Bytes against the batch: a fixed part, and one that grows."""
    most = max(2 * setting.batch, int(1.3 * largest_batch(setting, room)), 8)
    batches = sorted({max(1, round(most * step / 32)) for step in range(33)})
    ledgers = [ledger(msgspec.structs.replace(setting, batch=batch)) for batch in batches]
    weights = [one["embeddings"] + one["attention"] + one["ffn"] for one in ledgers]
    steps = [one["workspace"] + one["logits"] for one in ledgers]
    totals = [sum(one.values()) for one in ledgers]
    named = [
        (Text(zh="权重", en="weights"), weights, False),
        (Text(zh="激活与 logits", en="activations and logits"), steps, False),
        (
            Text(zh="KV 与碎片", en="KV and waste"),
            [one["kv"] + one["fragmentation"] for one in ledgers],
            False,
        ),
        (Text(zh="合计", en="total"), totals, False),
        (Text(zh="可用显存", en="room"), [room] * len(batches), True),
    ]
    return Lines(
        id="batch",
        title=Text(
            zh=f"显存随批大小（上下文 {setting.context}）",
            en=f"Memory against the batch ({setting.context} tokens)",
        ),
        provenance=_ESTIMATED,
        unit="B",
        x=Axis(title=Text(zh="批大小", en="batch")),
        y=Axis(title=Text(zh="一台设备的显存", en="memory of one device"), unit="B"),
        series=[
            Series(name=name, x=array(batches), y=array(values), reference=reference)
            for name, values, reference in named
        ],
        markers=False,
        source=Text(zh="账本逐点重算", en="the ledger, counted at each point"),
        wide=True,
    )


def device_table(setting: Setting, share: float) -> Table:
    """Every device of the table: how many it takes, and what fits then."""
    rows: list[list[Text | float | int | None]] = []
    for name in devices():
        one = device(name)
        room = share * one.memory_bytes
        needed = fewest_devices(setting, room)
        wide = setting if needed is None else msgspec.structs.replace(setting, tensor_parallel=needed)
        rows.append(
            [
                same(_short(one.title)),
                one.memory_bytes / GIB,
                needed,
                None if needed is None else total_bytes(wide) / GIB,
                None if needed is None else largest_batch(wide, room),
            ]
        )
    return Table(
        id="devices",
        title=Text(zh="各种设备要几台", en="How many of each device it takes"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="设备", en="device")),
            Column(title=Text(zh="显存", en="memory"), unit="GiB", provenance=Provenance.REPORTED),
            Column(
                title=Text(zh="最少台数", en="fewest"),
                help=Text(
                    zh="张量并行的 2 的幂；空：64 台内装不下，或注意力头不能均分",
                    en="powers of two, tensor parallel; empty: not with 64, or the heads cannot be divided",
                ),
            ),
            Column(title=Text(zh="此时每台", en="each has"), unit="GiB"),
            Column(title=Text(zh="最大批", en="largest batch")),
        ],
        rows=rows,
        source=Text(
            zh="显存容量来自 hardware.toml 的来源", en="capacities from the sources in hardware.toml"
        ),
        wide=True,
    )


def _short(title: str) -> str:
    """A device's title without its maker and without what stands in brackets, for a narrow column."""
    return title.partition(" ")[2].partition(" (")[0]


def fit_explanation(setting: Setting, room: float) -> Markdown:
    """Why the frontier is a hyperbola, and what moves it."""
    free = room - weight_bytes(setting) - setting.runtime_bytes
    if free <= 0:
        return _too_large(setting, room)
    doubled = msgspec.structs.replace(setting, kv="fp8" if setting.kv == "bf16" else "bf16")
    most, more = largest_batch(setting, room), largest_batch(doubled, room)
    longest, limit = longest_context(setting, room), setting.shape.context
    token = token_bytes(setting) / 1024
    zh = (
        f"- 固定成本（权重、运行时）之后剩 {free / GIB:.1f} GiB 给 KV 与激活。批大小 × 上下文 ≤ 剩余 ÷ "
        f"{token:.1f} KiB，对数坐标里是斜率 −1 的直线：上下文翻倍，批减半。"
        "带滑动窗口的层超过窗口后不再增长，线会变平。\n"
        f"- KV 换成 {KV_TITLES[doubled.kv].zh}：最大批从 {most} 到 {more}。\n"
        f"- 批大小 {setting.batch} 时最长 {longest} token；模型自己支持 {limit}。"
    )
    en = (
        f"- After the fixed costs (weights, runtime) {free / GIB:.1f} GiB are left for KV and activations. "
        f"Batch × context is at most that over {token:.1f} KiB: on log axes a line of slope −1, where twice "
        "the context means half the batch. A layer with a sliding window stops growing at its window, and "
        "the "
        "line flattens.\n"
        f"- KV in {KV_TITLES[doubled.kv].en}: the largest batch goes from {most} to {more}.\n"
        f"- At batch {setting.batch} at most {longest} tokens; the model itself supports {limit}."
    )
    return _markdown("explanation", zh, en, _ESTIMATED)


def _too_large(setting: Setting, room: float) -> Markdown:
    """Where the fixed cost alone does not fit."""
    weights, needed = weight_bytes(setting) / GIB, fewest_devices(setting, room)
    zh = f"每台的权重 {weights:.1f} GiB 就超过了可用的 {room / GIB:.1f} GiB，一条也装不下，边界图里没有线。"
    en = (
        f"The weights alone, {weights:.1f} GiB a device, exceed the room of {room / GIB:.1f} GiB: not one "
        "sequence fits, and the frontier has no line."
    )
    if needed is not None:
        zh += f"张量并行到 **{needed}** 台才装得下；把“张量并行”调上去再看。"
        en += f" **{needed}** devices hold it: raise tensor parallel and look again."
    return _markdown("explanation", zh, en, _ESTIMATED)


def check_explanation(checked: Checked, name: str) -> Markdown:
    """Why the engine's bytes are what they are."""
    errors = [abs(p - m) / m for p, m in (checked.weights, checked.kv, checked.workspace)]
    zh = (
        f"{name} 的真实分配与账本的最大误差 **{100 * max(errors):.2f}%**。权重与 KV 是确定的字节数，应当分"
        "毫不差；"
        "激活峰值取决于实现：Python 变量名会让张量活到下次赋值，上一层的 gate、up 因此一直留到这一层算出自"
        "己的。"
        "用的不是框架“大概”的系数，而是逐个张量的生与死。"
    )
    en = (
        f"What {name} really allocates differs from the ledger by at most **{100 * max(errors):.2f} %**. "
        "Weights and "
        "KV are definite bytes and should agree to the last one; the peak of activations depends on the "
        "code: a "
        "Python name keeps its tensor until it is assigned again, so the previous layer's gate and up stay "
        "until "
        "this layer has its own. No rule-of-thumb factor is used, only the birth and death of each tensor."
    )
    return _markdown("check_explanation", zh, en, _MEASURED)


def _markdown(name: str, zh: str, en: str, provenance: Provenance) -> Markdown:
    return Markdown(
        id=name,
        title=Text(zh="你看到了什么，为什么", en="What you see, and why"),
        provenance=provenance,
        body=Text(zh=zh, en=en),
        source=Text(zh="由本次运行的数字写出", en="written from this run's figures"),
        wide=True,
    )
