"""One access, lane by lane: which sectors or banks it touches, and which lanes have to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import BANKS, LINE_BYTES, SECTOR_BYTES, WORD_BYTES
from labs.gpu.language import WARP
from labs.gpu.pattern import lines_touched
from labs.gpu.pattern_text import COUNTED as SOURCE
from labs.results import (
    EventKind,
    Provenance,
    TileRuns,
    Tiles,
    TileTensor,
    Trace,
    array,
)
from labs.text import Text

if TYPE_CHECKING:
    from labs.gpu.memory_access import SharedRequest
    from labs.gpu.pattern import Pattern
    from labs.results import Array

CLOCK = "lanes"
SIMULATED = Provenance.SIMULATED
# Beyond this the picture is cut: what is left out repeats.
MOST_LINES, MOST_THREADS = 64, 256
WANTED, MOVED = 0, 1


def global_trace(pattern: Pattern) -> Trace:
    """An event a thread: is its sector one that an earlier lane of its warp has asked for already?"""
    first, new = _sectors(pattern)
    return _trace(
        pattern,
        [
            ("新扇区", "new sector", "扇区 {place} 要搬", "sector {place} has to be moved"),
            ("同一扇区", "same sector", "扇区 {place} 已在搬", "sector {place} is moved already"),
        ],
        array(~new, np.int64),
        first,
    )


def shared_trace(pattern: Pattern, requests: list[SharedRequest]) -> Trace:
    """An event a thread: in which pass its bank serves it."""
    cycle = np.concatenate([request.cycle for request in requests])[:MOST_THREADS]
    places = pattern.index[:MOST_THREADS] * pattern.element_bytes // WORD_BYTES % BANKS
    kinds = [
        ("头一拍", "first pass", "bank {place}，第 1 拍就拿到", "bank {place}, served in the first pass"),
        ("要等", "has to wait", "bank {place}，等到第 {wait} 拍", "bank {place}, served in pass {wait}"),
    ]
    return _trace(pattern, kinds, array(cycle > 0, np.int64), places, wait=cycle + 1)


def _trace(
    pattern: Pattern, kinds: list[tuple[str, str, str, str]], kind: Array, place: Array, **more: Array
) -> Trace:
    threads = np.arange(min(len(pattern.index), MOST_THREADS))
    return Trace(
        id=CLOCK,
        title=Text(zh="逐 lane 回放", en="Lane by lane"),
        provenance=SIMULATED,
        times=array(threads),
        steps=True,
        kinds=[
            EventKind(
                name=Text(zh=name_zh, en=name_en),
                template=Text(
                    zh=f"warp {{warp}} lane {{lane}}：元素 {{element}}，{zh}",
                    en=f"warp {{warp}}, lane {{lane}}: element {{element}}, {en}",
                ),
            )
            for name_zh, name_en, zh, en in kinds
        ],
        kind_index=kind,
        columns={
            "warp": array(threads // WARP, np.int64),
            "lane": array(threads % WARP, np.int64),
            "element": array(pattern.index[: len(threads)], np.int64),
            "place": array(place[: len(threads)], np.int64),
            **{name: array(values, np.int64) for name, values in more.items()},
        },
        at=WARP - 1,  # the first warp has asked for all that it wants
        source=SOURCE,
        wide=True,
    )


def _sectors(pattern: Pattern) -> tuple[Array, Array]:
    """Of each thread shown: its sector, and whether it is the first of its warp there."""
    sectors = pattern.addresses // SECTOR_BYTES
    new = np.zeros_like(sectors, dtype=bool)
    for warp, row in enumerate(sectors):
        new[warp, np.unique(row, return_index=True)[1]] = True
    return sectors.ravel()[:MOST_THREADS], new.ravel()[:MOST_THREADS]


def global_tiles(pattern: Pattern) -> Tiles:
    """Rows of 128-byte lines, those that are touched; a cell is an element, at most a word."""
    lines = lines_touched(pattern)[:MOST_LINES]
    cell = min(pattern.element_bytes, WORD_BYTES)
    rows: list[tuple[int, int, int, int, int]] = []  # event, row, start, stop, category
    _, new = _sectors(pattern)
    for thread, address in enumerate(pattern.index[:MOST_THREADS] * pattern.element_bytes):
        row = int(np.searchsorted(lines, address // LINE_BYTES))
        if row == len(lines) or lines[row] != address // LINE_BYTES:
            continue
        within = address % LINE_BYTES
        sector = within // SECTOR_BYTES * SECTOR_BYTES
        if new[thread]:
            rows.append((thread, row, sector // cell, (sector + SECTOR_BYTES) // cell, MOVED))
        rows.append((thread, row, within // cell, (within + pattern.element_bytes) // cell, WANTED))
    shown = f"{len(lines)}" if len(lines) < MOST_LINES else f"{MOST_LINES}+"
    return _tiles(
        Text(
            zh=f"全局内存：一行 128 字节（{shown} 行），一格 {cell} 字节，每 32 字节是一个扇区",
            en=f"Global memory: a row is 128 bytes ({shown} rows), a cell {cell}, 32 bytes a sector",
        ),
        rows,
        (len(lines), LINE_BYTES // cell),
        [Text(zh="有 lane 要", en="wanted by a lane"), Text(zh="白搬", en="moved, not wanted")],
    )


def shared_tiles(pattern: Pattern, requests: list[SharedRequest]) -> Tiles:
    """A row of 32 words, a column a bank; coloured by whether the word comes in the first pass."""
    words = pattern.index[:MOST_THREADS] * pattern.element_bytes // WORD_BYTES
    rows_touched = np.unique(words // BANKS)[:MOST_LINES]
    wide = max(1, pattern.element_bytes // WORD_BYTES)
    cycle = np.concatenate([request.cycle for request in requests])
    rows = []
    for thread, word in enumerate(words):
        row = int(np.searchsorted(rows_touched, word // BANKS))
        if row < len(rows_touched) and rows_touched[row] == word // BANKS:
            rows.append((thread, row, word % BANKS, word % BANKS + wide, int(cycle[thread] > 0)))
    return _tiles(
        Text(
            zh="共享内存：一列一个 bank，一格一个 4 字节的字",
            en="Shared memory: a column is a bank, a cell a word of 4 bytes",
        ),
        rows,
        (len(rows_touched), BANKS),
        [Text(zh="头一拍给出", en="given in the first pass"), Text(zh="要等的", en="has to wait")],
    )


def lanes_against_sectors(pattern: Pattern) -> Tiles:
    """Of the first warp: which of the sectors moved, in ascending order, each lane wants."""
    sectors = pattern.addresses[0] // SECTOR_BYTES
    distinct, place = np.unique(sectors, return_inverse=True)
    _, new = _sectors(pattern)
    rows = [(lane, lane, int(at), int(at) + 1, int(not new[lane])) for lane, at in enumerate(place)]
    return _tiles(
        Text(zh="warp 0：一行一个 lane，一列一个扇区", en="Warp 0: a row a lane, a column a sector"),
        rows,
        (WARP, len(distinct)),
        [Text(zh="新扇区", en="new sector"), Text(zh="同一扇区", en="same sector")],
        name="lanes_against",
        tensor=Text(zh="lane × 扇区", en="lanes × sectors"),
    )


def lanes_against_banks(pattern: Pattern, request: SharedRequest) -> Tiles:
    """Of the first warp: which banks each lane asks, and the pass in which it is served."""
    words = max(1, pattern.element_bytes // WORD_BYTES)
    banks = pattern.addresses[0] // WORD_BYTES % BANKS
    values = np.full((WARP, BANKS), np.nan)
    for word in range(words):
        values[np.arange(WARP), banks + word] = request.cycle + 1
    rows = [
        (lane, lane, int(bank), int(bank) + words, int(request.cycle[lane] > 0))
        for lane, bank in enumerate(banks)
    ]
    return _tiles(
        Text(
            zh="warp 0：一行一个 lane，一列一个 bank；数字是第几拍",
            en="Warp 0: a row a lane, a column a bank; the number is its pass",
        ),
        rows,
        (WARP, BANKS),
        [Text(zh="头一拍给出", en="given in the first pass"), Text(zh="要等的", en="has to wait")],
        name="lanes_against",
        tensor=Text(zh="lane × bank", en="lanes × banks"),
        values=values,
    )


def _tiles(
    title: Text,
    rows: list[tuple[int, int, int, int, int]],
    shape: tuple[int, int],
    categories: list[Text],
    *,
    name: str = "memory",
    tensor: Text | None = None,
    values: Array | None = None,
) -> Tiles:
    event, row, start, stop, category = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    named = tensor or Text(zh="内存", en="memory")
    return Tiles(
        id=name,
        title=title,
        provenance=SIMULATED,
        tensors=[TileTensor(name=named, rows=shape[0], columns=shape[1], values=values)],
        runs=TileRuns(
            event=event, tensor=np.zeros_like(event), row=row, start=start, stop=stop, category=category
        ),
        categories=categories,
        clock=CLOCK,
        source=SOURCE,
        wide=True,
    )
