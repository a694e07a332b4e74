"""The ledger checked against the engine: bytes predicted and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.memory.ledger_views import markdown
from labs.results import (
    Column,
    Markdown,
    Metric,
    Provenance,
    Table,
)
from labs.text import Text

if TYPE_CHECKING:
    from labs.memory.engine_check import Checked

_ESTIMATED, _MEASURED = Provenance.ESTIMATED, Provenance.MEASURED


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
    return markdown("check_explanation", zh, en, _MEASURED)
