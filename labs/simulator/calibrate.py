"""A cost table of this machine's engine: its own steps, timed at a few batch sizes, contexts and chunks."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from labs.simulator.table_cost import Timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from labs.engine.engine import Engine
    from labs.simulator.table_cost import Kind

BATCHES: Final = (1, 2, 4, 8)
CONTEXTS: Final = (16, 256)
CHUNKS: Final = (16, 64, 128, 256)
DECODES: Final = 9  # steps at each point, of which the median is taken
REPEATS: Final = 3
MOST_S: Final = 60.0


def calibrate(
    engine: Engine,
    add: Callable[[list[int], int], object],
    check: Callable[[], None] = lambda: None,
    repeats: int = REPEATS,
) -> list[Timed]:
    """Times in about ``MOST_S`` at most, on a slow machine at fewer points; the engine must be idle, and is
    again.

    Prefills are timed ``repeats`` times, decodes over ``DECODES`` steps; medians of both are kept.
    ``add`` gives it a prompt and how many tokens to generate, whatever they are. Its budget of tokens is to
    be ``max(CHUNKS)``, and its prefix cache off.
    """
    deadline = time.perf_counter() + MOST_S
    rows: list[Timed] = []
    for _ in _steps(engine, add, [(32, 2)], check):
        pass  # the first step of all warms up
    for chunk in CHUNKS:  # one of each first: without them there is no table
        rows += _prefill(engine, add, chunk, check)
    for context in CONTEXTS:
        for batch in (size for size in BATCHES if size <= engine.scheduler.most_sequences):
            if len(rows) > 2 * len(CHUNKS) and time.perf_counter() > deadline:
                return _medians(rows)
            rows.append(_decode(engine, add, batch, context, check))
    for _ in range(repeats - 1):
        for chunk in CHUNKS:
            if time.perf_counter() > deadline:
                return _medians(rows)
            rows += _prefill(engine, add, chunk, check)
    return _medians(rows)


def _medians(rows: list[Timed]) -> list[Timed]:
    """A row a point: a neighbour that disturbed one of its repeats does not tell."""
    points: dict[tuple[Kind, int, int], list[float]] = {}
    for row in rows:
        points.setdefault((row.kind, row.tokens, row.context), []).append(row.seconds)
    return [Timed(*point, statistics.median(seconds)) for point, seconds in points.items()]


def _decode(
    engine: Engine,
    add: Callable[[list[int], int], object],
    batch: int,
    context: int,
    check: Callable[[], None],
) -> Timed:
    steps = [
        (seconds, tokens)
        for seconds, prefill, decodes, tokens in _steps(engine, add, [(context, DECODES + 4)] * batch, check)
        if not prefill and decodes == batch
    ]
    seconds = statistics.median(step[0] for step in steps)
    return Timed("decode", batch, round(statistics.median(step[1] for step in steps)), seconds)


def _prefill(
    engine: Engine, add: Callable[[list[int], int], object], chunk: int, check: Callable[[], None]
) -> Iterator[Timed]:
    """A prompt that is one chunk, and the last chunk of a prompt that is longer."""
    whole = max(CHUNKS)
    [first, *_] = _steps(engine, add, [(chunk, 1)], check)
    yield Timed("prefill", chunk, 0, first[0])
    *_, last = _steps(engine, add, [(whole + chunk, 1)], check)
    yield Timed("prefill", chunk, whole, last[0])


def _steps(
    engine: Engine,
    add: Callable[[list[int], int], object],
    requests: list[tuple[int, int]],
    check: Callable[[], None],
) -> list[tuple[float, int, int, int]]:
    """``(seconds, prefill tokens, decode rows, tokens stored)`` of each step, until all is served."""
    for number, (prompt, limit) in enumerate(requests):
        add([(7 * number + position) % 1000 for position in range(prompt)], limit)
    found = []
    while engine.busy:
        check()
        record = engine.step()
        assert record is not None, "an engine with requests has something to do"
        seconds = record.schedule_s + record.model_s + record.sample_s
        found.append((seconds, record.prefill_tokens, record.decode_tokens, record.kv_tokens))
    return found
