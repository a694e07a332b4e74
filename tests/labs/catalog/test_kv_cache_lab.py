"""The KV cache visualiser on the real model: what it says of bytes, sharing and waste is so."""

from __future__ import annotations

import pytest

from labs.catalog.system import kv_cache
from labs.context import Context, Session
from labs.kv_cache.scenario import lines_of
from labs.kv_cache.token_times import lengths_up_to
from labs.results import BlockMap, Lines, Markdown, Metric, Table, Tokens, Trace
from labs.runner import execute
from labs.spec import LabError

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


def results(session: Session, **values: object) -> dict[str, object]:
    small = {"new_tokens": 4, "blocks": 64, "compare_to": 0, "arrive_every": 2} | values
    params = kv_cache.Params(**small)  # type: ignore[arg-type]
    return {result.id: result for result in execute(kv_cache.LAB, params, Context(session))}


def metric(found: dict[str, object], name: str) -> Metric:
    result = found[name]
    assert isinstance(result, Metric)
    return result


def said(found: dict[str, object]) -> list[list[str]]:
    tokens = found["tokens"]
    assert isinstance(tokens, Tokens)
    return [row.tokens for row in tokens.rows]


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
def test_bytes_are_predicted_exactly(session: Session, kind: str) -> None:
    found = results(session, kv=kind, prompts="Hi", new_tokens=1)
    for name in ("token_bytes", "pool_bytes"):
        assert metric(found, name).value == metric(found, name).predicted


def test_a_shared_prefix_is_computed_once(session: Session) -> None:
    found = results(session, prompts="Hi there | What is a cache?")
    spared = metric(found, "prefix_tokens")
    assert spared.value == spared.predicted and spared.value and spared.value % 16 == 0
    alone = results(session, prompts="Hi there | What is a cache?", prefix_cache=False)
    assert "prefix_tokens" not in alone and "shared" not in alone
    assert said(found) == said(alone)


def test_samples_share_the_prompt_and_copy_its_last_block(session: Session) -> None:
    found = results(session, prompts="Tell me a story.", samples=3)
    copies = metric(found, "copies")
    assert copies.value == copies.predicted
    shared = metric(found, "shared").value
    assert shared is not None and shared > 0
    trace, blocks = found["events"], found["blocks"]
    assert isinstance(trace, Trace) and isinstance(blocks, BlockMap)
    assert blocks.clock == trace.id and len(blocks.owners) == 3
    assert "Copy on write" in explanation(found)


def explanation(found: dict[str, object]) -> str:
    text = found["explanation"]
    assert isinstance(text, Markdown)
    return text.body.en


def test_answers_do_not_depend_on_memory(session: Session) -> None:
    values: dict[str, object] = {
        "prompts": "Hi | Who are you? | Name a city.",
        "system_prompt": "Be brief.",
        "new_tokens": 12,
        "block_size": 4,
        "prefix_cache": False,
        "arrive_every": 1,
    }
    plenty = results(session, **values)
    assert metric(plenty, "preemptions").value == 0
    for scarce in ({"preemption": "recompute"}, {"preemption": "swap"}):
        found = results(session, **values, blocks=18, **scarce)
        assert metric(found, "preemptions").value and said(found) == said(plenty)
        assert "preemptions" in explanation(found)
    reserved = results(session, **values, allocation="reserved")
    assert said(reserved) == said(plenty)
    waste, paged = metric(reserved, "waste").value, metric(plenty, "waste").value
    assert waste is not None and paged is not None and waste > paged


def test_reserved_memory_cannot_hold_beams(session: Session) -> None:
    with pytest.raises(LabError, match="beams"):
        results(session, allocation="reserved", beams=2)


def test_with_and_without_the_cache_the_same_token_follows(session: Session) -> None:
    found = results(session, prompts="Hi", compare_to=64)
    curves = found["token_time"]
    assert isinstance(curves, Lines) and curves.series[0].x.tolist() == lengths_up_to(64) == [16, 32, 64]
    assert "same next token at each length" in explanation(found)
    assert metric(found, "cache_gain").predicted is not None


def test_the_table_of_allocations_starts_with_this_run(session: Session) -> None:
    found = results(session, prompts="Hi | Hello", new_tokens=2, arrive_every=0)
    table = found["allocations"]
    assert isinstance(table, Table) and table.highlight == 0
    slots = [row[1] for row in table.rows]
    assert isinstance(slots[-1], int) and slots[-1] == 2 * Context(session).model_config().context


def test_prompts_are_split_at_bars_and_lines() -> None:
    assert lines_of(" a | b\nc ||") == ["a", "b", "c"]
    for bad in ("", " | ", "x|" * 17):
        with pytest.raises(LabError):
            lines_of(bad)
