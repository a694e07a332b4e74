"""What a lab asks of its host: memoised work, progress, a place to stop, the same random numbers each run."""

from __future__ import annotations

import threading

import pytest

from labs.context import MEMO_ENTRIES, Cancelled, Context, Session
from labs.text import Text, same


def test_the_session_makes_once_and_shares_between_runs() -> None:
    session, made = Session(), []

    def make() -> object:
        made.append(1)
        return object()

    first = Context(session).memo("key", make)
    assert Context(session).memo("key", make) is first
    assert Context(session).memo("another", make) is not first
    assert len(made) == 2


def test_a_failed_make_leaves_no_entry() -> None:
    ctx = Context()

    def fail() -> int:
        raise Cancelled

    with pytest.raises(Cancelled):
        ctx.memo("key", fail)
    assert ctx.memo("key", lambda: 7) == 7


def test_none_is_a_value_to_remember() -> None:
    ctx = Context()
    assert ctx.memo("key", lambda: None) is None
    ctx.memo("key", lambda: pytest.fail("made again"))


def test_the_memo_forgets_what_was_used_longest_ago() -> None:
    session = Session()
    session.memo("first", lambda: 1)
    session.memo("kept", lambda: 2)
    for i in range(MEMO_ENTRIES - 1):
        session.memo(i, lambda: 0)
        session.memo("kept", lambda: pytest.fail("it was in use"))
    assert session.memo("first", lambda: "again") == "again"


def test_progress_reaches_its_sink_and_is_a_point_to_stop_at() -> None:
    seen: list[tuple[float | None, Text]] = []
    cancelled = threading.Event()
    ctx = Context(on_progress=lambda fraction, text: seen.append((fraction, text)), cancelled=cancelled)
    ctx.progress(0.5, same("half"))
    ctx.progress(None, same("unknown"))
    assert seen == [(0.5, same("half")), (None, same("unknown"))]
    cancelled.set()
    with pytest.raises(Cancelled):
        ctx.progress(0.6, same("more"))
    with pytest.raises(Cancelled):
        ctx.check()


def test_the_seed_decides_the_numbers() -> None:
    import torch

    def draw(seed: int) -> torch.Tensor:
        return torch.rand(4, generator=Context(seed=seed).generator())

    assert torch.equal(draw(3), draw(3)) and not torch.equal(draw(3), draw(4))
