"""Eviction as a mask equals a cache that really drops; budgets hold; each policy keeps what it is meant
to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.attention import evaluation
from labs.attention.cache_positions import turns
from labs.attention.eviction import POLICIES, SINKS, Eviction, evicted_attention, window
from labs.attention.model_pass import causal, extend, mix, scores_of
from labs.attention.prompt import OBSERVED, joined, read_prompt, stacked
from labs.context import Cancelled, Context
from tests.labs.attention.naive_eviction import NaiveHead, RollingHead, turned
from tests.labs.engine.small_models import VARIANTS, VOCAB, small_model

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.cache_positions import Positions
    from labs.attention.eviction import Policy
    from labs.attention.model_pass import Attend
    from labs.attention.prompt import Prompt
    from labs.models.llama import Llama

PROMPT, NEW = 40, 17


def ids(tokens: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, (1, tokens), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_pass_is_the_models_own(variant: str) -> None:
    model, tokens = small_model(variant), ids(PROMPT + NEW)
    prompt = read_prompt(model, tokens[:, :PROMPT])
    attend = evicted_attention(prompt, Eviction("full", 1), model.config)
    hidden = extend(model, tokens[:, PROMPT:], PROMPT, attend)
    torch.testing.assert_close(hidden, model.hidden(tokens)[:, PROMPT:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("budget", [9, 20])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_mask_does_what_dropping_does(policy: Policy, budget: int) -> None:
    model, tokens = small_model("gqa_3"), ids(PROMPT + NEW)
    before, after = tokens[:, :PROMPT], tokens[:, PROMPT:]
    prompt = read_prompt(model, before)
    expected = extend(model, after, PROMPT, _dropping(model, before, policy, budget))
    eviction = Eviction(policy, budget, positions="original")
    found = extend(model, after, PROMPT, evicted_attention(prompt, eviction, model.config))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["gqa_3", "qwen3"])
def test_turning_the_query_does_what_numbering_the_cache_anew_does(variant: str) -> None:
    model, tokens = small_model(variant), ids(PROMPT + NEW)
    prompt = read_prompt(model, tokens[:, :PROMPT])
    after = tokens[:, PROMPT:]
    found = extend(model, after, PROMPT, evicted_attention(prompt, Eviction("streaming", 12), model.config))
    expected = extend(model, after, PROMPT, _rolling(model, prompt, 12))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    original = Eviction("streaming", 12, positions="original")
    other = extend(model, after, PROMPT, evicted_attention(prompt, original, model.config))
    assert not torch.allclose(found, other, rtol=1e-2, atol=1e-2)


def _rolling(model: Llama, prompt: Prompt, budget: int) -> Attend:
    before, config = torch.arange(PROMPT), model.config

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        now = torch.arange(PROMPT, PROMPT + q.shape[2])
        q, k = turned(q, -now, config), turned(k, -now, config)  # as they were before RoPE
        group, out = q.shape[1] // k.shape[1], torch.empty_like(q)
        for head in range(k.shape[1]):
            own = slice(head * group, (head + 1) * group)
            keys = turned(prompt.keys[layer, 0, head], -before, config)
            rolling = RollingHead(budget, keys, prompt.values[layer, 0, head], config)
            for step in range(q.shape[2]):
                out[0, own, step] = rolling.step(q[0, own, step], k[0, head, step], v[0, head, step])
        return out

    return attend


@pytest.mark.parametrize("positions", ["cache", "original"])
def test_a_stream_that_fits_the_cache_is_the_plain_model(positions: Positions) -> None:
    model, tokens = small_model(), ids(PROMPT + NEW)
    prompt = read_prompt(model, tokens[:, :PROMPT])
    eviction = Eviction("streaming", PROMPT + NEW, positions=positions)
    hidden = extend(model, tokens[:, PROMPT:], PROMPT, evicted_attention(prompt, eviction, model.config))
    torch.testing.assert_close(hidden, model.hidden(tokens)[:, PROMPT:], rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(SINKS + 1, 40), st.integers(0, 200), st.integers(0, 10**6))
def test_positions_in_the_cache_are_consecutive_and_sinks_never_recede(
    budget: int, query: int, streamed: int
) -> None:
    """Distances by the definition, the place in what is kept, equal those that the turned query has."""
    (sees,) = window(1, query + 1, budget - SINKS, SINKS, "cpu")
    kept = sees.nonzero().flatten()
    places = torch.arange(len(kept))
    (turn,) = turns(torch.tensor([query]), "cache", budget)
    distances = query - kept + turn * (kept < SINKS)
    assert torch.equal(distances, places[-1] - places)
    assert int(distances.max()) < budget
    # However long the stream has been: a full cache has no room for the sinks to go.
    if query >= budget - 1:
        assert turns(torch.tensor([query]), "cache", budget, streamed) == turn
    assert turns(torch.tensor([query]), "original", budget, streamed) == streamed


def test_sinks_are_as_far_as_the_stream_has_run() -> None:
    """With original positions: the same products as of keys rotated where they would stand."""
    config, streamed = small_model().config, 5000
    q, keys = torch.randn(1, 4, 3, 8), torch.randn(1, 2, PROMPT, 8)
    numbered = torch.arange(PROMPT)
    rotated_q, rotated_k = turned(q, numbered[-3:], config), turned(keys, numbered, config)
    eviction = Eviction("streaming", 12, positions="original", streamed=streamed)
    stands = torch.where(numbered < SINKS, numbered, numbered + streamed)
    expected = scores_of(turned(q, stands[-3:], config), turned(keys, stands, config))
    # Angles of 5000 radians in fp32 are 2e-4 off.
    torch.testing.assert_close(eviction.scores(rotated_q, rotated_k, config), expected, rtol=0, atol=5e-3)


def _dropping(model: Llama, before: Tensor, policy: Policy, budget: int) -> Attend:
    prompt = read_prompt(model, before)
    weights: list[Tensor] = []

    def remember(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = causal(q.shape[2], 0)
        weights.append(scores_of(q, k).masked_fill(~mask, float("-inf")).softmax(dim=-1))
        return mix(weights[-1], v)

    extend(model, before, 0, remember)

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        group, out = q.shape[1] // k.shape[1], torch.empty_like(q)
        for head in range(k.shape[1]):
            own = slice(head * group, (head + 1) * group)
            parts = prompt.keys[layer, 0, head], prompt.values[layer, 0, head], weights[layer][0, head]
            naive = NaiveHead(policy, budget, *parts)
            for step in range(q.shape[2]):
                out[0, own, step] = naive.step(q[0, own, step], k[0, head, step], v[0, head, step])
        return out

    return attend


@pytest.mark.parametrize("policy", POLICIES)
def test_no_query_sees_more_than_the_budget(policy: Policy) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 3, 2, NEW, PROMPT + NEW, generator=generator)
    mass, recent = (torch.rand(2, 3, *shape, generator=generator) for shape in ((PROMPT,), (8, PROMPT)))
    eviction = Eviction(policy, 12)
    seen = eviction.visible(scores, mass, recent).sum(dim=-1)
    own = torch.arange(1, NEW + 1) if policy == "snapkv" else 0  # what is generated stays besides
    assert (seen == torch.full((NEW,), 12) + own).all()
    assert (eviction.kept(mass, recent).sum(dim=-1) == 12).all()


def test_each_policy_keeps_what_it_is_meant_to() -> None:
    mass, recent = torch.rand(1, 1, PROMPT), torch.zeros(1, 1, OBSERVED, PROMPT)
    mass[..., 7] = 100.0
    recent[..., 20] = 1.0
    kept = {policy: Eviction(policy, 16).kept(mass, recent)[0, 0] for policy in POLICIES}
    assert not kept["window"][: PROMPT - 16].any() and kept["window"][-16:].all()
    assert kept["streaming"][:SINKS].all() and kept["streaming"][-(16 - SINKS) :].all()
    assert kept["h2o"][7] and kept["h2o"][-8:].all()
    assert kept["snapkv"][18:23].all()  # with its neighbours
    assert not kept["streaming"][7] and not kept["snapkv"][7]


def test_a_prompt_read_in_two_parts_is_the_same() -> None:
    model, tokens = small_model(), ids(PROMPT)
    whole, parts = read_prompt(model, tokens), read_prompt(model, tokens[:, :25])
    parts = read_prompt(model, tokens[:, 25:], parts)
    for name in ("keys", "values", "mass", "recent"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-4, atol=1e-5)


def test_stacked_prompts_are_read_as_one_batch() -> None:
    model, rows = small_model(), torch.cat([ids(PROMPT, seed) for seed in (1, 2)])
    both = stacked([read_prompt(model, row[None]) for row in rows])
    torch.testing.assert_close(both.mass, read_prompt(model, rows).mass, rtol=1e-4, atol=1e-5)
    keys, _ = joined(both, 0, both.keys[0], both.values[0])
    assert keys.shape[2] == 2 * PROMPT


def test_only_one_set_of_prompts_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = Context()
    read: list[int] = []
    monkeypatch.setattr(evaluation, "prompts_of", lambda ctx, count, tokens: SimpleNamespace(ids=ids(tokens)))
    monkeypatch.setattr(ctx, "model", lambda: SimpleNamespace(model=None))

    def reading(model: object, row: Tensor, check: object) -> object:
        read.append(row.shape[1])
        return object()

    monkeypatch.setattr(evaluation, "read_prompt", reading)
    first = evaluation.cache_of(ctx, 1, 10, 0)
    assert evaluation.cache_of(ctx, 1, 10, 0) is first
    evaluation.cache_of(ctx, 1, 20, 0)
    assert evaluation.cache_of(ctx, 1, 10, 0) is not first and read == [10, 20, 10]


def test_a_pass_stops_between_layers() -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        read_prompt(small_model(), ids(PROMPT), check=stop)
