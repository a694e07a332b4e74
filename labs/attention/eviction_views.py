"""What the eviction mode shows: what is kept, the loss and the recall against the share kept, the reasons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.attention.eviction import POLICIES, SINKS, Eviction
from labs.attention.predictions import KEPT_FORMULA, evicted_bytes
from labs.attention.stream import told
from labs.models.perplexity import paired_difference
from labs.results import (
    Axis,
    Column,
    Heatmap,
    Lines,
    Markdown,
    Metric,
    Provenance,
    Series,
    Table,
    Tick,
    TokenRow,
    Tokens,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.attention.evaluation import Score
    from labs.attention.eviction import Policy
    from labs.attention.eviction_run import Study
    from labs.attention.prompt import Prompt
    from labs.models.config import ModelConfig

_MEASURED = Provenance.MEASURED
NAMES: dict[Policy, Text] = {
    "full": Text(zh="全部保留", en="all kept"),
    "window": Text(zh="滑动窗口", en="sliding window"),
    "streaming": Text(zh=f"StreamingLLM（{SINKS} 个汇点）", en=f"StreamingLLM ({SINKS} sinks)"),
    "h2o": same("H2O"),
    "snapkv": same("SnapKV"),
}
TEXT = Text(
    zh="随应用提供的评测文本（英文）里的提示词，每条埋一句事实；各策略的 token 相同，配对比较",
    en="prompts from the evaluation text that comes with the app, a fact planted in each; all policies on "
    "the same tokens, compared in pairs",
)


def kept_map(study: Study, one: Prompt) -> Heatmap:
    """A row a policy: which share of all layers' KV heads still holds each position."""
    rows = [
        Eviction(policy, study.budget).kept(one.mass, one.recent).flatten(0, -2).float().mean(dim=0)
        for policy in POLICIES
    ]
    return Heatmap(
        id="kept",
        title=Text(zh="提示词读完之后还留着谁", en="What is left once the prompt is read"),
        help=Text(
            zh="一列一个位置。颜色：所有层、所有 KV 头中有多大比例还留着它。窗口与汇点是固定的；H2O 与 "
            "SnapKV 每层每头各挑各的。",
            en="A column is a position; the colour, in what share of all layers' KV heads it is still held. "
            "Window and sinks are fixed; with H2O and SnapKV each layer and head chooses for itself.",
        ),
        provenance=_MEASURED,
        unit="%",
        values=array([100 * row.numpy() for row in rows], "float32"),
        rows=Axis(
            title=Text(zh="策略", en="policy"),
            ticks=[Tick(at=index + 0.5, name=_short(policy)) for index, policy in enumerate(POLICIES)],
        ),
        columns=Axis(title=Text(zh="提示词中的位置", en="position in the prompt")),
        wide=True,
    )


def _short(policy: Policy) -> Text:
    return {"window": Text(zh="窗口", en="window"), "streaming": same("Streaming")}.get(policy, NAMES[policy])


def kept_tokens_view(study: Study, one: Prompt, words: list[str], fact: tuple[int, int]) -> Tokens:
    """The prompt's text, as the chosen layer and head still has it."""
    kept = study.eviction.kept(one.mass, one.recent)[study.layer, 0, study.kv_head]
    first, last = fact
    category = [
        (2 if kept[at] else 3) if first <= at <= last else (0 if kept[at] else 1) for at in range(len(words))
    ]
    return Tokens(
        id="kept_tokens",
        title=Text(
            zh=f"第 {study.layer} 层、KV 头 {study.kv_head} 留下的文字",
            en=f"The text that KV head {study.kv_head} of layer {study.layer} still has",
        ),
        provenance=_MEASURED,
        categories=[
            Text(zh="保留", en="kept"),
            Text(zh="丢弃", en="dropped"),
            Text(zh="事实，保留", en="fact, kept"),
            Text(zh="事实，丢弃", en="fact, dropped"),
        ],
        rows=[TokenRow(name=NAMES[study.policy], tokens=words, category=array(category, "int64"))],
        wide=True,
    )


def attention_heatmap(study: Study, weights: Tensor, visible: Tensor) -> Heatmap:
    """Full attention of the tokens that follow; what the policy has dropped by then is left blank."""
    seen = float((weights * visible).sum() / weights.sum())
    return Heatmap(
        id="attention",
        title=Text(
            zh=f"后续 token 的注意力（第 {study.layer} 层、KV 头 {study.kv_head}）",
            en=f"Attention of the tokens that follow (layer {study.layer}, KV head {study.kv_head})",
        ),
        help=Text(
            zh="行：提示词之后的查询；列：它能看的位置。空白处是策略已丢弃的（或尚未发生的）。"
            f"留下的部分占全部注意力的 {seen:.0%}。",
            en="Rows are queries behind the prompt, columns what they look at. Blank: dropped by the policy "
            f"(or still to come). What is left gets {seen:.0%} of all attention.",
        ),
        provenance=_MEASURED,
        values=array(weights.clamp(min=1e-5).masked_fill(~visible, math.nan), "float32"),
        rows=Axis(title=Text(zh="第几个后续 token", en="token behind the prompt")),
        columns=Axis(title=Text(zh="被看的位置", en="position looked at")),
        log=True,
        wide=True,
    )


def memory_metric(study: Study, config: ModelConfig, cache: Prompt) -> Metric:
    """Bytes of what the chosen policy keeps of one prompt, in FP16, counted from its choice."""
    kept = study.eviction.kept(cache.mass[:, :1], cache.recent[:, :1])
    return Metric(
        id="kept_bytes",
        title=Text(zh="留下的 KV（每条提示词，FP16）", en="KV kept (a prompt, FP16)"),
        provenance=_MEASURED,
        unit="B",
        value=float(kept.sum()) * 2 * config.head_dim * 2,
        predicted=evicted_bytes(config, study.budget),
        formula=KEPT_FORMULA,
        better="lower",
        source=Text(
            zh="各层各头实际留下的位置数 × 头维度 × 2 × 2 B",
            en="positions really kept by each layer and head × head dim × 2 × 2 B",
        ),
    )


def metrics(study: Study) -> Iterator[Metric]:
    """The chosen policy's loss and recall beside those of the full cache."""
    score, full = study.scores.get((study.policy, study.budget)), study.full
    if score is None or full is None:
        return
    difference = paired_difference(full.losses, score.losses)
    yield Metric(
        id="loss",
        title=Text(zh="损失增加（所选策略）", en="Loss added (by the chosen policy)"),
        provenance=_MEASURED,
        unit="nat",
        value=difference.mean,
        low=difference.mean - difference.stderr,
        high=difference.mean + difference.stderr,
        better="lower",
        help=Text(
            zh="后续文字每个 token 的平均 −ln p，减去全部保留时的。0.1 nat 约等于困惑度高 10%。",
            en="Mean -ln p a token of the text that follows, less that with all kept. 0.1 nat is about 10% "
            "more perplexity.",
        ),
        source=Text(zh=f"{TEXT.zh}；范围为一个标准误", en=f"{TEXT.en}; the range is one standard error"),
    )
    yield Metric(
        id="recall",
        title=Text(zh="事实复述正确的数字", en="Digits of the facts told rightly"),
        provenance=_MEASURED,
        unit="%",
        value=100 * score.recall,
        better="higher",
        help=Text(
            zh=f"每条提示词埋一个 4 位数，最后问它。全部保留时为 {full.recall:.0%}；瞎猜为 10%。",
            en="A number of 4 digits is planted in each prompt and asked for at the end. With all kept it "
            f"is {full.recall:.0%}; guessing gets 10%.",
        ),
        source=Text(
            zh=f"{score.recalled.numel()} 个数字，逐个贪心预测", en=f"{score.recalled.numel()} digits, greedy"
        ),
    )


def loss_curve(study: Study) -> Lines:
    assert study.full is not None
    series = []
    for policy in POLICIES:
        found = _of(study, policy)
        differences = [paired_difference(study.full.losses, score.losses) for _, score in found]
        values = [one.mean for one in differences]
        errors = [one.stderr for one in differences]
        series.append(
            Series(
                name=NAMES[policy],
                x=array([share for share, _ in found]),
                y=array(values),
                low=array([a - b for a, b in zip(values, errors, strict=True)]),
                high=array([a + b for a, b in zip(values, errors, strict=True)]),
            )
        )
    return Lines(
        id="loss_by_share",
        title=Text(zh="损失增加与保留比例", en="Loss added against the share kept"),
        help=Text(
            zh="0 是全部保留。阴影为一个标准误。没有汇点的窗口差得多：首个 token 一走，softmax "
            "的分母就变了样。",
            en="0 is all kept; shades are one standard error. The window without sinks is far off: once the "
            "first token is gone, softmax's denominator is another.",
        ),
        provenance=_MEASURED,
        unit="nat",
        x=_SHARE,
        y=Axis(title=Text(zh="每 token 损失增加", en="loss added a token"), unit="nat"),
        series=series,
        source=TEXT,
    )


_SHARE = Axis(title=Text(zh="保留的 KV", en="KV kept"), unit="%")


def recall_curve(study: Study) -> Lines:
    assert study.full is not None
    series = [
        Series(
            name=NAMES[policy],
            x=array([share for share, _ in _of(study, policy)]),
            y=array([100 * score.recall for _, score in _of(study, policy)]),
        )
        for policy in POLICIES
    ]
    for value, zh, en in ((100 * study.full.recall, "全部保留", "all kept"), (10.0, "瞎猜", "guessing")):
        series.append(
            Series(name=Text(zh=zh, en=en), x=array([0, 100]), y=array([value, value]), reference=True)
        )
    return Lines(
        id="recall_by_share",
        title=Text(zh="找回事实与保留比例", en="Facts recalled against the share kept"),
        help=Text(
            zh="困惑度看不出的损失：后文用不到的一句话，丢了也不影响困惑度，被问到时却答不出。",
            en="What perplexity does not show: a sentence that the text does not need costs no perplexity, "
            "and is missing when it is asked for.",
        ),
        provenance=_MEASURED,
        unit="%",
        x=_SHARE,
        y=Axis(title=Text(zh="数字正确率", en="digits right"), unit="%"),
        series=series,
        source=TEXT,
    )


def _of(study: Study, policy: Policy) -> list[tuple[float, Score]]:
    return [
        (100 * budget / study.tokens, score)
        for (name, budget), score in sorted(study.scores.items(), key=lambda item: item[0][1])
        if name == policy
    ]


def table(study: Study) -> Table:
    assert study.full is not None
    rows: list[list[Text | float | int | None]] = [
        [NAMES["full"], study.tokens, 100.0, study.full.losses.value, None, 100 * study.full.recall]
    ]
    for (policy, budget), score in sorted(study.scores.items(), key=lambda item: (item[0][1], item[0][0])):
        difference = paired_difference(study.full.losses, score.losses)
        rows.append(
            [
                NAMES[policy],
                budget,
                100 * budget / study.tokens,
                score.losses.value,
                difference.mean,
                100 * score.recall,
            ]
        )
    return Table(
        id="scores",
        title=Text(zh="各策略", en="The policies"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="策略", en="policy")),
            Column(title=Text(zh="预算", en="budget"), unit="token"),
            Column(title=Text(zh="保留", en="kept"), unit="%"),
            Column(
                title=Text(zh="困惑度", en="perplexity"),
                help=Text(
                    zh="平均每个 token 有多少个同样可能的选择；越低越好。",
                    en="Equally likely choices a token, on average; lower is better.",
                ),
            ),
            Column(title=Text(zh="损失增加", en="loss added"), unit="nat"),
            Column(title=Text(zh="数字正确", en="digits right"), unit="%"),
        ],
        rows=rows,
        source=TEXT,
        wide=True,
    )


def explanation(study: Study) -> Markdown:
    """The run's own figures, and what they follow from."""
    assert study.full is not None
    score = study.scores[study.policy, study.budget]
    added = paired_difference(study.full.losses, score.losses).mean
    name, share = NAMES[study.policy], study.budget / study.tokens
    zh = (
        f"**这一次。** {name.zh}：{study.tokens} 个 token 的提示词留下 {study.budget} 个（{share:.0%}）："
        f"损失增加 {added:.3f} nat，埋下的数字答对 {score.recall:.0%}（全部保留时 {study.full.recall:.0%}）。"
        "\n\n**为什么汇点要紧。** softmax 的权重必须加到 1；没什么可看的头把注意力倒给最前面的 token。"
        "丢了它们，分母骤变，所有权重都错：滑动窗口因此垮掉，同样的预算，分 4 个给开头就好。"
        "\n\n**困惑度与找回是两回事。** 困惑度由近处和常被看的 token 决定，H2O 留的正是它们；"
        "事实平时没人看，被问到之前与废话无异，于是先被丢掉。SnapKV 让提示词末尾的问题来投票："
    )
    en = (
        f"**This run.** {name.en} keeps {study.budget} of a prompt's {study.tokens} tokens ({share:.0%}): "
        f"{added:.3f} nat of loss more, and {score.recall:.0%} of the planted digits told rightly "
        f"({study.full.recall:.0%} with all kept).\n\n**Why sinks matter.** Softmax weights must sum to 1, "
        "and a head with nothing to look at leaves its attention with the first tokens. Without these the "
        "denominator jumps and all weights are wrong: a plain window collapses, and 4 of the same budget "
        "for the start mend it.\n\n**Perplexity and recall are two things.** Perplexity hangs on near and "
        "often-read tokens, which H2O keeps. Nobody reads a fact until it is asked for, so it is dropped "
        "first. SnapKV lets the end of the prompt vote, where the question is: "
    )
    if study.asked == "before":
        zh += "问题在压缩之前，它看的正是那句事实。换成“压缩之后”再看。"
        en += "here the question came before the cut, and it looks at that very fact. Now ask after it."
    else:
        zh += "这里问题在压缩之后才来，投票时没有它。换成“压缩之前”再看：换一个问题，被丢的也就找不回来了。"
        en += (
            "here it came after the cut and had no vote. Ask before it, and compare: what one question "
            "did not need is gone for the next."
        )
    if study.stream:
        more = told(study.stream)
        zh, en = zh + more.zh, en + more.en
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )
