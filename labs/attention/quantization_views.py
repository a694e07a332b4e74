"""What the quantised mode shows: keys and values as they are, errors and losses of each layout, the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.attention.predictions import QUANTISED_FORMULA
from labs.attention.quantized_kv import FULL, GROUP, KVFormat, quantized
from labs.formulas.kv_compression import bits_per_number, quantized_kv_bytes, sealed_tokens
from labs.models.perplexity import paired_difference
from labs.quantization.config import QuantizerConfig
from labs.relative_error import relative_error
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Heatmap,
    Markdown,
    Metric,
    Provenance,
    Table,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.attention.quantization_run import Study
    from labs.attention.quantized_kv import Along
    from labs.models.config import ModelConfig

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_ALONG: dict[Along, Text] = {
    "channel": Text(zh="逐通道", en="per channel"),
    "token": Text(zh="逐 token", en="per token"),
}
_SAMPLES = Text(
    zh="评测文本的提示词，配对比较；KV 真正量化再反量化，用的是读出来的数",
    en="prompts of the evaluation text, compared in pairs; KV is really quantised and read back",
)


def name_of(kv: KVFormat) -> Text:
    if kv.bits == 16:
        return Text(zh="不量化", en="not quantised")
    keys, values = _ALONG[kv.keys], _ALONG[kv.values]
    return Text(
        zh=f"INT{kv.bits}：K {keys.zh}，V {values.zh}", en=f"INT{kv.bits}: K {keys.en}, V {values.en}"
    )


SHORT = Text(
    zh="K/V 各自的分组方向：C 逐通道，T 逐 token。KIVI 是 K 逐通道、V 逐 token（C/T）。",
    en="How K and V are grouped: C per channel, T per token. KIVI is C for K and T for V (C/T).",
)


def short_name(kv: KVFormat) -> Text:
    if kv.bits == 16:
        return name_of(kv)
    return same(f"INT{kv.bits} {kv.keys[0].upper()}/{kv.values[0].upper()}")


def magnitudes(study: Study, keys: Tensor, values: Tensor) -> Iterator[Heatmap]:
    """``|K|`` and ``|V|`` of one head, ``[P, D]``: tokens down, channels across."""
    texts = {
        "keys": Text(
            zh="几条竖线：同几个通道在所有 token 上都大。跨通道共用 scale 的组被它们撑大。",
            en="Vertical lines: the same few channels are large at all tokens. A group across channels must "
            "stretch its scale for them.",
        ),
        "values": Text(
            zh="没有固定的大通道；逐 token 分组，一个 token 的误差不会波及别的 token。",
            en="No channel is always large; grouped by token, one token's error stays its own.",
        ),
    }
    for name, part in (("keys", keys), ("values", values)):
        magnitude = part.abs()
        letter = name[0].upper()
        where = f"{study.layer}"
        yield Heatmap(
            id=name,
            title=Text(
                zh=f"|{letter}|：第 {where} 层、KV 头 {study.kv_head}",
                en=f"|{letter}|: layer {where}, KV head {study.kv_head}",
            ),
            help=texts[name],
            provenance=_MEASURED,
            values=array(magnitude, "float32"),
            rows=Axis(title=same("token")),
            columns=Axis(title=Text(zh="通道", en="channel")),
        )


def error_bars(study: Study, keys: Tensor, values: Tensor) -> Bars:
    """Relative rounding error of K and V in the chosen bits, either way to group."""
    bits = min(study.chosen.bits, 8)

    def error(x: Tensor, along: Along) -> float:
        return relative_error(quantized(x, bits, along), x)

    return Bars(
        id="errors",
        title=Text(zh=f"INT{bits} 的相对误差", en=f"Relative error in INT{bits}"),
        help=Text(
            zh="误差的范数 ÷ 本身的范数，只看这一层这一头。",
            en="Norm of the error over the norm itself, of this layer and head alone.",
        ),
        provenance=_MEASURED,
        unit="%",
        categories=[same("K"), same("V")],
        y=Axis(title=Text(zh="相对误差", en="relative error"), unit="%"),
        series=[
            BarSeries(name=_ALONG[along], values=array([100 * error(x, along) for x in (keys, values)]))
            for along in ("channel", "token")
        ],
    )


def metrics(study: Study) -> Iterator[Metric]:
    full, score = study.scores[FULL], study.scores.get(study.chosen)
    if score is None:
        return
    difference = paired_difference(full.losses, score.losses)
    yield Metric(
        id="loss",
        title=Text(zh="损失增加（所选格式）", en="Loss added (by the chosen format)"),
        provenance=_MEASURED,
        unit="nat",
        value=difference.mean,
        low=difference.mean - difference.stderr,
        high=difference.mean + difference.stderr,
        better="lower",
        source=Text(zh=f"{_SAMPLES.zh}；范围为一个标准误", en=f"{_SAMPLES.en}; one standard error"),
    )
    yield Metric(
        id="recall",
        title=Text(zh="事实复述正确的数字", en="Digits of the facts told rightly"),
        provenance=_MEASURED,
        unit="%",
        value=100 * score.recall,
        better="higher",
        help=Text(
            zh=f"不量化时 {full.recall:.0%}；瞎猜为 10%。一个 token 也没丢，只是每个都模糊了些。",
            en=f"{full.recall:.0%} without quantising; guessing gets 10%. No token is gone, each is only a "
            "bit blurred.",
        ),
    )


def _ordered(study: Study) -> list[KVFormat]:
    return sorted(study.scores, key=lambda kv: (-kv.bits, kv.keys, kv.values))


def loss_bars(study: Study) -> Bars:
    full = study.scores[FULL]
    formats = [kv for kv in _ordered(study) if kv != FULL]
    found = [paired_difference(full.losses, study.scores[kv].losses) for kv in formats]
    return Bars(
        id="losses",
        title=Text(zh="各种格式的损失增加", en="Loss added by each format"),
        help=SHORT,
        provenance=_MEASURED,
        unit="nat",
        categories=[short_name(kv) for kv in formats],
        y=Axis(title=Text(zh="每 token 损失增加", en="loss added a token"), unit="nat"),
        series=[
            BarSeries(
                name=Text(zh="损失增加", en="loss added"),
                values=array([one.mean for one in found]),
                low=array([one.mean - one.stderr for one in found]),
                high=array([one.mean + one.stderr for one in found]),
            )
        ],
        source=_SAMPLES,
        wide=True,
    )


def expected_bytes(kv: KVFormat, tokens: int, config: ModelConfig) -> float:
    """Of one prompt's cache."""
    numbers = 2 * config.layers * config.kv_heads * config.head_dim
    if kv.bits == 16:
        return 2.0 * tokens * numbers
    return quantized_kv_bytes(
        tokens,
        numbers_a_token=numbers,
        bits=kv.bits,
        group=GROUP,
        residual=kv.residual,
        keys_by_channel=kv.keys == "channel",
        values_by_channel=kv.values == "channel",
    )


def memory_metric(study: Study, config: ModelConfig) -> Metric:
    """Bytes of one prompt's cache, packed: counted from what the quantiser stores."""
    kv, total = study.chosen, 0.0
    for along in (kv.keys, kv.values):
        sealed = sealed_tokens(study.tokens, kv.residual, GROUP if along == "channel" else 1)
        rows, columns = (config.head_dim, sealed) if along == "channel" else (sealed, config.head_dim)
        heads = config.layers * config.kv_heads
        total += heads * ((study.tokens - sealed) * config.head_dim * 2 + stored_bytes(kv, rows, columns))
    return Metric(
        id="kv_bytes",
        title=Text(zh="一条提示词的 KV", en="KV of one prompt"),
        provenance=_MEASURED,
        unit="B",
        value=total,
        predicted=expected_bytes(kv, study.tokens, config),
        formula=QUANTISED_FORMULA,
        better="lower",
        help=Text(
            zh="不量化（FP16）为 "
            f"{expected_bytes(KVFormat(16, kv.keys, kv.values), study.tokens, config):,.0f} B。",
            en=f"{expected_bytes(KVFormat(16, kv.keys, kv.values), study.tokens, config):,.0f} B without "
            "quantising (FP16).",
        ),
        source=Text(
            zh="编码紧凑打包，加每组一个 FP16 的 scale 与最小值，加未量化的最近 token",
            en="packed codes, an FP16 scale and minimum a group, and the latest tokens in full",
        ),
    )


def stored_bytes(kv: KVFormat, rows: int, columns: int) -> int:
    """Of a packed matrix, by the quantiser's own count."""
    if rows * columns == 0:
        return 0
    if kv.bits == 16:
        return rows * columns * 2
    return QuantizerConfig(kv.bits, "asymmetric", "group", GROUP, "float").storage_bytes(rows, columns)


def table(study: Study, config: ModelConfig) -> Table:
    full = study.scores[FULL]
    order = _ordered(study)
    rows: list[list[Text | float | int | None]] = []
    whole = expected_bytes(FULL, study.tokens, config)
    for kv in order:
        score = study.scores[kv]
        difference = paired_difference(full.losses, score.losses)
        rows.append(
            [
                short_name(kv),
                16.0 if kv.bits == 16 else bits_per_number(kv.bits, GROUP),
                100 * expected_bytes(kv, study.tokens, config) / whole,
                score.losses.value,
                None if kv == FULL else difference.mean,
                100 * score.recall,
            ]
        )
    return Table(
        id="formats",
        title=Text(zh="各种格式", en="The formats"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="格式", en="format"), help=SHORT),
            Column(
                title=Text(zh="每个数", en="a number"),
                unit="bit",
                provenance=_ESTIMATED,
                help=Text(
                    zh=f"含每 {GROUP} 个数一个 FP16 的 scale 和最小值：多 1 位。",
                    en=f"With an FP16 scale and minimum for each {GROUP} numbers: 1 bit more.",
                ),
            ),
            Column(
                title=Text(zh="占 FP16", en="of FP16"),
                unit="%",
                provenance=_ESTIMATED,
                help=Text(
                    zh="含未量化的最近 token；序列越长，越接近左边一列所说的比例。",
                    en="With the latest tokens in full; the longer the sequence, the closer to the column on "
                    "the left.",
                ),
            ),
            Column(title=Text(zh="困惑度", en="perplexity")),
            Column(title=Text(zh="损失增加", en="loss added"), unit="nat"),
            Column(title=Text(zh="数字正确", en="digits right"), unit="%"),
        ],
        rows=rows,
        highlight=order.index(study.chosen),
        source=Text(zh=f"{_SAMPLES.zh}；{QUANTISED_FORMULA.zh}", en=f"{_SAMPLES.en}; {QUANTISED_FORMULA.en}"),
        wide=True,
    )


def _price(kv: KVFormat) -> Text:
    """What is not quantised, and what a group costs besides."""
    if "channel" in (kv.keys, kv.values):
        waiting = Text(
            zh=f"逐通道的组要凑满 {GROUP} 个 token 才能量化，所以最近的 {kv.residual} 个到 "
            f"{kv.residual + GROUP - 1} 个 token 保持原样：它们恰好也最常被看。",
            en=f"A group per channel needs {GROUP} tokens before it can be quantised, so the latest "
            f"{kv.residual} to {kv.residual + GROUP - 1} stay as they are; they are also those looked at "
            "most. ",
        )
    elif kv.residual:
        waiting = Text(
            zh=f"最近的 {kv.residual} 个 token 保持原样：它们恰好也最常被看。",
            en=f"The latest {kv.residual} tokens stay as they are; they are also those looked at most. ",
        )
    else:
        waiting = Text(
            zh="一个 token 也不留原样，最常被看的最近几个也不例外。",
            en="No token stays as it is, not even the latest, which are looked at most. ",
        )
    return Text(
        zh=f"\n\n**代价。** {waiting.zh}位宽再低，每组的 scale 与最小值也还要 1 位。",
        en=f"\n\n**The price.** {waiting.en}However few the bits, a group's scale and minimum take one more.",
    )


def explanation(study: Study) -> Markdown:
    full, kv = study.scores[FULL], study.chosen
    added = {one: paired_difference(full.losses, score.losses).mean for one, score in study.scores.items()}
    zh = f"**这一次。** {name_of(kv).zh}：损失增加 {added[kv]:.3f} nat，数字答对 "
    f"{study.scores[kv].recall:.0%}。"
    en = (
        f"**This run.** {name_of(kv).en}: {added[kv]:.3f} nat of loss more, {study.scores[kv].recall:.0%} of "
        "digits right."
    )
    kivi, tokens = (KVFormat(2, "channel", layout, kv.residual) for layout in ("token", "channel"))
    plain = KVFormat(2, "token", "token", kv.residual)
    if {kivi, plain, tokens} <= set(added):
        zh += (
            f"\n\n**两位时方向决定成败。** KIVI（K 逐通道、V 逐 token）增加 {added[kivi]:.3f} nat；K 也逐 "
            f"token 是 {added[plain]:.3f}，V 也逐通道是 {added[tokens]:.3f}。K 有几个始终很大的通道：逐 "
            "token 分组时，同组的小通道都被它们的 scale 抹平；逐通道分组时，大通道只影响自己。V "
            "没有这样的通道，而输出是对 token 加权求和，误差该留在各自的 token 里。"
        )
        en += (
            "\n\n**At two bits the direction decides.** KIVI (K per channel, V per token) adds "
            f"{added[kivi]:.3f} nat; with K per token as well it is {added[plain]:.3f}, with V per channel "
            f"as well {added[tokens]:.3f}. K has a few channels that are always large: grouped by token, "
            "their scale flattens the small ones beside them; by channel they hurt only themselves. V has "
            "none, and the output is a weighted sum over tokens, so each token's error should stay its own."
        )
    price = _price(kv)
    zh, en = zh + price.zh, en + price.en
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )
