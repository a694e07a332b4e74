"""A recording as results that the window replays: events, blocks, the time of sequences, their words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.engine.events import EventKind
from labs.results import (
    Axis,
    BlockChanges,
    BlockMap,
    Owner,
    TableChanges,
    Timeline,
    TokenRow,
    Tokens,
    Trace,
    array,
    ints,
)
from labs.results import EventKind as TraceKind
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.engine.events import Event
    from labs.engine.recording import Recording
    from labs.models.tokenizer import ModelTokenizer
    from labs.results import Provenance

CLOCK = "events"

_PHASES = {
    "waiting": Text(zh="排队", en="waiting"),
    "prefill": Text(zh="预填充", en="prefill"),
    "decode": Text(zh="解码", en="decode"),
    "padding": Text(zh="填充（白算）", en="padding (wasted)"),
    "preempted": Text(zh="被抢占，等重算", en="preempted, to recompute"),
    "swapped": Text(zh="被抢占，KV 在主机内存", en="preempted, KV in host memory"),
}

_KINDS: dict[EventKind, tuple[Text, Text]] = {
    EventKind.ARRIVE: (
        Text(zh="到达", en="arrive"),
        Text(zh="{name} 到达，提示词 {tokens} 个 token", en="{name} arrives, a prompt of {tokens} tokens"),
    ),
    EventKind.ADMIT: (
        Text(zh="开始", en="admit"),
        Text(
            zh="{name} 开始运行，前缀缓存省下 {tokens} 个 token",
            en="{name} starts; the prefix cache spares it {tokens} tokens",
        ),
    ),
    EventKind.ALLOCATE: (
        Text(zh="分配", en="allocate"),
        Text(zh="{name} 分到块 {blocks}", en="{name} gets block {blocks}"),
    ),
    EventKind.SHARE: (
        Text(zh="共享", en="share"),
        Text(zh="{name} 共用块 {blocks}", en="{name} shares block {blocks}"),
    ),
    EventKind.COPY: (
        Text(zh="写时复制", en="copy on write"),
        Text(
            zh="{name} 要写共享的块，先复制：{blocks}",
            en="{name} is to write a shared block, copied: {blocks}",
        ),
    ),
    EventKind.EVICT: (
        Text(zh="淘汰", en="evict"),
        Text(zh="忘掉缓存的块 {blocks}", en="cached block {blocks} is forgotten"),
    ),
    EventKind.RELEASE: (
        Text(zh="释放", en="release"),
        Text(zh="{name} 交还块 {blocks}", en="{name} gives up block {blocks}"),
    ),
    EventKind.CACHE: (
        Text(zh="留作缓存", en="keep cached"),
        Text(zh="块 {blocks} 无主，内容留着", en="block {blocks} has no owner, its contents are kept"),
    ),
    EventKind.PREEMPT: (
        Text(zh="抢占", en="preempt"),
        Text(zh="{name} 被抢占（{reason}）", en="{name} is preempted ({reason})"),
    ),
    EventKind.RESUME: (
        Text(zh="恢复", en="resume"),
        Text(
            zh="{name} 恢复运行，已有 {tokens} 个 token 的 KV",
            en="{name} resumes, the KV of {tokens} tokens there",
        ),
    ),
    EventKind.STEP: (
        Text(zh="一步", en="step"),
        Text(
            zh="算完一步：{rows} 条序列，{tokens} 个 token，{took:.1f} ms",
            en="a step: {rows} sequences, {tokens} tokens, {took:.1f} ms",
        ),
    ),
    EventKind.TOKEN: (
        Text(zh="新词元", en="token"),
        Text(zh="{name} 生成 {word}", en="{name} says {word}"),
    ),
    EventKind.FINISH: (
        Text(zh="结束", en="finish"),
        Text(zh="{name} 结束（{reason}）", en="{name} ends ({reason})"),
    ),
}

_NONE = "–"  # where a text must not be empty

_REASONS = {
    "": same(_NONE),
    "recompute": Text(zh="稍后重算", en="to be recomputed"),
    "swap": Text(zh="KV 换出到主机", en="KV swapped out"),
    "length": Text(zh="到达长度上限", en="length reached"),
    "eos": Text(zh="结束符", en="end token"),
    "stop": Text(zh="停止词", en="stop string"),
    "cancelled": Text(zh="取消", en="cancelled"),
    "pruned": Text(zh="束被剪掉", en="beam pruned"),
}


def name_of(sequence: int) -> Text:
    return same(f"#{sequence}" if sequence >= 0 else _NONE)


def trace(
    recording: Recording,
    provenance: Provenance,
    tokenizer: ModelTokenizer | None = None,
    at: int | None = None,
) -> Trace:
    """The events. Their index is what the other results of this module follow; ``at`` is where to stand."""
    events = recording.events
    kinds = [kind for kind in _KINDS if any(event.kind is kind for event in events)]
    names = [name_of(-1), *map(name_of, recording.sequences)]
    number = {-1: 0, **{sequence: index for index, sequence in enumerate(recording.sequences, start=1)}}
    blocks, words = _Names(), _Names()
    reasons = list(_REASONS)
    columns: dict[str, list[int]] = {
        key: [] for key in ("name", "tokens", "blocks", "reason", "rows", "word")
    }
    for event in events:
        columns["name"].append(number[event.sequence])
        columns["tokens"].append(event.tokens)
        columns["blocks"].append(blocks.index(_blocks_text(event.kind, event.blocks)))
        columns["reason"].append(reasons.index(event.reason) if event.reason in reasons else 0)
        columns["rows"].append(len(event.rows))
        columns["word"].append(words.index(_word(event, tokenizer)))
    return Trace(
        id=CLOCK,
        title=Text(zh="调度与内存事件", en="Events of scheduler and memory"),
        provenance=provenance,
        unit="s",
        wide=True,
        times=array([event.time_s for event in events]),
        kinds=[TraceKind(name=_KINDS[kind][0], template=_KINDS[kind][1]) for kind in kinds],
        kind_index=ints(kinds.index(event.kind) for event in events),
        columns={
            **{key: ints(values) for key, values in columns.items()},
            "took": array([_took_ms(event) for event in events]),
        },
        names={
            "name": names,
            "blocks": blocks.texts(),
            "reason": list(_REASONS.values()),
            "word": words.texts(),
        },
        at=at,
    )


def block_map(recording: Recording, count: int, provenance: Provenance, title: Text, help: Text) -> BlockMap:
    """Who holds each of the ``count`` physical blocks, and every sequence's block table."""
    number = {sequence: index for index, sequence in enumerate(recording.sequences)}
    rows, tables = recording.blocks, recording.tables
    return BlockMap(
        id="blocks",
        title=title,
        help=help,
        provenance=provenance,
        unit="token",
        wide=True,
        count=count,
        block_size=recording.block_size,
        owners=[Owner(name=name_of(sequence)) for sequence in recording.sequences],
        changes=BlockChanges(
            event=ints(row.event for row in rows),
            block=ints(row.block for row in rows),
            owner=ints(number.get(row.owner, row.owner) for row in rows),
            shared=ints(row.owners for row in rows),
            filled=ints(row.filled for row in rows),
        ),
        tables=TableChanges(
            event=ints(row.event for row in tables),
            owner=ints(number[row.sequence] for row in tables),
            logical=ints(row.logical for row in tables),
            block=ints(row.block for row in tables),
        ),
        clock=CLOCK,
    )


def timeline(
    recording: Recording,
    provenance: Provenance,
    *,
    id: str = "timeline",
    title: Text | None = None,
    help: Text | None = None,
    clock: str = CLOCK,
) -> Timeline:
    """A lane a sequence: when it waited, and each step that computed something of it."""
    number = {sequence: index for index, sequence in enumerate(recording.sequences)}
    spans = sorted(recording.spans, key=lambda span: (span.start_s, span.sequence))
    phases = [phase for phase in _PHASES if any(span.phase == phase for span in spans)]
    return Timeline(
        id=id,
        title=title or Text(zh="每条序列在每一步做了什么", en="What each sequence did in each step"),
        help=help,
        provenance=provenance,
        unit="token",
        wide=True,
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        lanes=[name_of(sequence) for sequence in recording.sequences],
        lane=ints(number[span.sequence] for span in spans),
        start=array([span.start_s for span in spans]),
        end=array([span.end_s for span in spans]),
        category=ints(phases.index(span.phase) for span in spans),
        categories=[_PHASES[phase] for phase in phases],
        value=array([float(span.tokens) for span in spans]),
        value_name=Text(zh="计算的 token", en="tokens computed"),
        clock=clock,
    )


def spoken(
    recording: Recording, provenance: Provenance, tokenizer: ModelTokenizer, prompts: dict[int, list[int]]
) -> Tokens:
    """What each sequence was asked (``prompts``: ids by sequence) and says, token by token.

    For a fork ``prompts`` hold all that it takes over from its parent, which appears when it forks.
    """
    said: dict[int, list[tuple[int, int]]] = {}
    forked: dict[int, int] = {}
    arrived: set[int] = set()
    for index, event in enumerate(recording.events):
        if event.kind is EventKind.TOKEN:
            said.setdefault(event.sequence, []).append((index, event.tokens))
        elif event.kind is EventKind.ARRIVE:
            arrived.add(event.sequence)
        elif event.kind is EventKind.SHARE and event.sequence not in arrived:
            forked.setdefault(event.sequence, index)
    rows = []
    for sequence in recording.sequences:
        prompt, answer = prompts.get(sequence, []), said.get(sequence, [])
        ids = [*prompt, *(token for _, token in answer)]
        start, category = (forked[sequence], 2) if sequence in forked else (-1, 0)
        rows.append(
            TokenRow(
                name=name_of(sequence),
                tokens=[tokenizer.decode([one]) for one in ids],
                event=ints([start] * len(prompt) + [index for index, _ in answer]),
                category=ints([category] * len(prompt) + [1] * len(answer)),
            )
        )
    inherited = [Text(zh="分叉时继承", en="inherited by the fork")] if forked else []
    return Tokens(
        id="tokens",
        title=Text(zh="提示词与回答", en="Prompts and answers"),
        provenance=provenance,
        wide=True,
        rows=rows,
        categories=[Text(zh="提示词", en="prompt"), Text(zh="生成", en="generated"), *inherited],
        clock=CLOCK,
    )


def _took_ms(event: Event) -> float:
    return 1e3 * (event.time_s - event.start_s) if event.kind is EventKind.STEP else 0.0


def _word(event: Event, tokenizer: ModelTokenizer | None) -> str:
    if event.kind is not EventKind.TOKEN or tokenizer is None:
        return _NONE
    return repr(tokenizer.decode([event.tokens]))


class _Names:
    """Texts, each once, by their index."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}

    def index(self, text: str) -> int:
        return self._index.setdefault(text, len(self._index))

    def texts(self) -> list[Text]:
        return [same(text) for text in self._index]


_MOST_BLOCKS_TOLD = 8


def _blocks_text(kind: EventKind, blocks: tuple[int, ...]) -> str:
    if not blocks:
        return _NONE
    if kind is EventKind.COPY:
        return f"{blocks[0]} → {blocks[1]}"
    told = ", ".join(map(str, blocks[:_MOST_BLOCKS_TOLD]))
    more = len(blocks) - _MOST_BLOCKS_TOLD
    return f"{told} … (+{more})" if more > 0 else told
