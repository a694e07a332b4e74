"""A run as a serving engine records it: sequences take blocks, share a prefix, end, and leave blocks cached.

The results name one clock, so that they move together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.gui.lab.samples import Result, both

KINDS = {
    "arrive": (
        "到达",
        "arrive",
        "{sequence} 到达，{tokens} 个词元",
        "{sequence} arrives with {tokens} tokens",
    ),
    "allocate": ("分配", "allocate", "{sequence} 取得块 {block}", "{sequence} allocates block {block}"),
    "share": ("共享", "share", "{sequence} 共享块 {block}", "{sequence} shares block {block}"),
    "token": ("词元", "token", "{sequence} 生成一个词元", "{sequence} generates a token"),
    "finish": ("结束", "finish", "{sequence} 结束，释放它的块", "{sequence} finishes and frees its blocks"),
}
WORDS = ["The", " cache", " holds", " keys", " and", " values", ",", " block", " by", " block", ".\n", " So"]
COUNT, SIZE, STEP_S = 64, 16, 0.004


class Recorder:
    """Serves ``sequences`` requests on COUNT blocks and writes down what it does."""

    def __init__(self, sequences: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.sequences = sequences
        self.events: list[tuple[float, str, int, int, int]] = []
        self.changes: list[tuple[int, int, int, int, int]] = []
        self.tables: list[tuple[int, int, int, int]] = []
        self.bars: list[tuple[int, float, float, int]] = []
        self.tokens: dict[int, list[tuple[str, int]]] = {one: [] for one in range(sequences)}
        self.used: list[tuple[float, int]] = []
        self.free = list(range(COUNT))
        self.blocks: dict[int, list[int]] = {}
        self.references: dict[int, int] = {}
        self.now = 0.0

    def record(self) -> Recorder:
        for sequence in range(self.sequences):
            self.arrive(sequence)
            for _ in range(int(self.rng.integers(10, 40))):
                self.generate(int(self.rng.choice(list(self.blocks))))
            if sequence >= 3:
                self.finish(min(self.blocks))
        return self

    def event(self, kind: str, sequence: int, block: int = 0, tokens: int = 0) -> int:
        self.now += STEP_S * float(self.rng.uniform(0.2, 1.8))
        self.events.append((self.now, kind, sequence, block, tokens))
        self.used.append((self.now, COUNT - len(self.free)))
        return len(self.events) - 1

    def arrive(self, sequence: int) -> None:
        start, prompt = self.now, int(self.rng.integers(20, 70))
        event = self.event("arrive", sequence, tokens=prompt)
        self.blocks[sequence] = []
        parent = next((one for one in self.blocks if one != sequence and sequence % 3 == 2), None)
        if parent is not None:
            self.take(sequence, self.blocks[parent][0], "share", SIZE)
        for place in range(len(self.blocks[sequence]), -(-prompt // SIZE)):
            self.take(sequence, self.free.pop(0), "allocate", min(SIZE, prompt - place * SIZE))
        self.tokens[sequence] = [(WORDS[i % len(WORDS)], event) for i in range(prompt)]
        self.bars.append((sequence, start, self.now, 0))

    def take(self, sequence: int, block: int, how: str, filled: int) -> None:
        event = self.event(how, sequence, block)
        self.references[block] = self.references.get(block, 0) + 1
        self.tables.append((event, sequence, len(self.blocks[sequence]), block))
        self.blocks[sequence].append(block)
        self.changes.append((event, block, self.owner(block), self.references[block], filled))

    def owner(self, block: int) -> int:
        return min(one for one, blocks in self.blocks.items() if block in blocks)

    def generate(self, sequence: int) -> None:
        length, start = len(self.tokens[sequence]), self.now
        if length % SIZE == 0:
            self.take(sequence, self.free.pop(0), "allocate", 0)
        event = self.event("token", sequence)
        last = self.blocks[sequence][-1]
        self.changes.append((event, last, sequence, self.references[last], length % SIZE + 1))
        self.tokens[sequence].append((WORDS[length % len(WORDS)], event))
        self.bars.append((sequence, start, self.now, 1))

    def finish(self, sequence: int) -> None:
        event = self.event("finish", sequence)
        for place, block in enumerate(self.blocks.pop(sequence)):
            self.references[block] -= 1
            self.tables.append((event, sequence, place, -1))
            if self.references[block]:
                self.changes.append((event, block, self.owner(block), self.references[block], SIZE))
            else:
                owner = -2 if place == 0 else -1
                self.changes.append((event, block, owner, 0, SIZE if place == 0 else 0))
                self.free += [block] if owner == -1 else []


def recorded(sequences: int = 8, seed: int = 0) -> dict[str, Result]:
    """``trace``, ``block_map``, ``timeline``, ``tokens``, ``lines`` of a run, as the worker sends them."""
    run = Recorder(sequences, seed).record()
    names = [both(f"序列 {one}", f"sequence {one}") for one in range(sequences)]
    return {
        "trace": _trace(run, names),
        "block_map": _block_map(run, names),
        "timeline": _timeline(run, names),
        "tokens": _tokens(run, names),
        "lines": _lines(run),
    }


def trace(**changes: Any) -> Result:
    return recorded()["trace"] | changes


def block_map(**changes: Any) -> Result:
    return recorded()["block_map"] | changes


def timeline(**changes: Any) -> Result:
    return recorded()["timeline"] | changes


def tokens(**changes: Any) -> Result:
    return recorded()["tokens"] | changes


def common(kind: str, zh: str, en: str) -> Result:
    return {
        "kind": kind,
        "id": kind if kind != "trace" else "replay",
        "title": both(zh, en),
        "provenance": "measured",
        "unit": "",
        "help": both("录下的一次运行。", "A recorded run."),
        "wide": False,
    }


def _trace(run: Recorder, names: list[dict[str, str]]) -> Result:
    times, kinds, sequence, block, tokens = zip(*run.events, strict=True)
    order = list(KINDS)
    return common("trace", "回放", "Replay") | {
        "times": np.array(times),
        "kinds": [{"name": both(k[0], k[1]), "template": both(k[2], k[3])} for k in KINDS.values()],
        "kind_index": np.array([order.index(kind) for kind in kinds]),
        "columns": {"sequence": np.array(sequence), "block": np.array(block), "tokens": np.array(tokens)},
        "names": {"sequence": names},
        "at": None,
    }


def _block_map(run: Recorder, names: list[dict[str, str]]) -> Result:
    changes, tables = np.array(run.changes), np.array(run.tables)
    keys = ("event", "block", "owner", "shared", "filled")
    return common("block_map", "物理块", "Physical blocks") | {
        "count": COUNT,
        "block_size": SIZE,
        "owners": [{"name": name} for name in names],
        "changes": {key: changes[:, place] for place, key in enumerate(keys)},
        "tables": {key: tables[:, i] for i, key in enumerate(("event", "owner", "logical", "block"))},
        "clock": "replay",
    }


def _timeline(run: Recorder, names: list[dict[str, str]]) -> Result:
    lane, start, end, category = (np.array(column) for column in zip(*run.bars, strict=True))
    return common("timeline", "请求的时间线", "Timeline of requests") | {
        "unit": "",
        "x": {"title": both("时间", "Time"), "unit": "s", "log": False, "ticks": []},
        "lanes": names,
        "lane": lane,
        "start": start,
        "end": end,
        "category": category,
        "categories": [both("预填充", "prefill"), both("解码", "decode")],
        "label": [both(f"步 {i}", f"step {i}") for i in range(len(lane))],
        "value": np.arange(len(lane), dtype=float),
        "value_name": both("步号", "step"),
        "clock": "replay",
    }


def _tokens(run: Recorder, names: list[dict[str, str]]) -> Result:
    rows = []
    for sequence, tokens in run.tokens.items():
        texts, events = zip(*tokens, strict=True)
        events = np.array(events)
        category = (events != events[0]).astype(np.int64)
        rows.append({"name": names[sequence], "tokens": list(texts), "event": events, "category": category})
    return common("tokens", "生成的文本", "Generated text") | {
        "rows": [row | {"value": None} for row in rows],
        "categories": [both("提示", "prompt"), both("生成", "generated")],
        "value_name": None,
        "clock": "replay",
    }


def _lines(run: Recorder) -> Result:
    times, used = zip(*run.used, strict=True)
    curve = {"name": both("占用", "in use"), "x": np.array(times), "y": np.array(used, dtype=float)}
    return common("lines", "占用的块", "Blocks in use") | {
        "x": {"title": both("时间", "Time"), "unit": "s", "log": False},
        "y": {"title": both("块", "Blocks"), "unit": "", "log": False},
        "series": [
            curve | {"low": None, "high": None, "provenance": None, "labels": None, "reference": False}
        ],
        "marks": [],
        "markers": False,
        "clock": "replay",
    }
