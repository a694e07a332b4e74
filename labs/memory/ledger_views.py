"""What the memory ledger shows: the parts as stacked bars, their table, and what fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from labs.memory.fit import fewest_devices, largest_batch, longest_context
from labs.memory.ledger import PARTS, Part, ledger, sequence_bytes, token_bytes, total_bytes, weight_bytes
from labs.memory.precision import WEIGHT_TITLES
from labs.results import (
    Axis,
    Column,
    Markdown,
    Metric,
    Provenance,
    Table,
    Timeline,
    array,
)
from labs.simulator.model_shape import parameters
from labs.text import Text

if TYPE_CHECKING:
    from labs.memory.ledger import Setting

_ESTIMATED = Provenance.ESTIMATED
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
    return markdown("explanation", zh, en, _ESTIMATED)


def markdown(name: str, zh: str, en: str, provenance: Provenance) -> Markdown:
    return Markdown(
        id=name,
        title=Text(zh="你看到了什么，为什么", en="What you see, and why"),
        provenance=provenance,
        body=Text(zh=zh, en=en),
        source=Text(zh="由本次运行的数字写出", en="written from this run's figures"),
        wide=True,
    )
