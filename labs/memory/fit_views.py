"""What fits: the frontier of batch and context, memory against the batch, and every device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from labs.memory.fit import fewest_devices, frontier, largest_batch, longest_context
from labs.memory.ledger import ledger, token_bytes, total_bytes, weight_bytes
from labs.memory.ledger_views import GIB, markdown
from labs.memory.precision import KV_TITLES
from labs.results import (
    Axis,
    Column,
    Lines,
    Mark,
    Markdown,
    Provenance,
    Series,
    Table,
    array,
)
from labs.simulator.hardware import device, devices
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.memory.ledger import Setting
    from labs.memory.precision import KVType

_ESTIMATED = Provenance.ESTIMATED


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
    return markdown("explanation", zh, en, _ESTIMATED)


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
    return markdown("explanation", zh, en, _ESTIMATED)
