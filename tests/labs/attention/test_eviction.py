"""Eviction as a mask equals a cache that really drops; budgets hold; each policy keeps what it is meant
to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

from labs.attention import evaluation
from labs.attention.eviction import POLICIES, SINKS, Eviction, evicted_attention
from labs.attention.model_pass import causal, extend, mix, scores_of
from labs.attention.prompt import OBSERVED, joined, read_prompt, stacked
from labs.context import Cancelled, Context
from tests.labs.attention.naive_eviction import NaiveHead
from tests.labs.engine.small_models import VARIANTS, VOCAB, small_model

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.eviction import Policy
    from labs.attention.model_pass import Attend
    from labs.models.llama import Llama

PROMPT, NEW = 40, 17


def ids(tokens: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, (1, tokens), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_pass_is_the_models_own(variant: str) -> None:
    model, tokens = small_model(variant), ids(PROMPT + NEW)
    prompt = read_prompt(model, tokens[:, :PROMPT])
    attend = evicted_attention(prompt, Eviction("full", 1))
    hidden = extend(model, tokens[:, PROMPT:], PROMPT, attend)
    torch.testing.assert_close(hidden, model.hidden(tokens)[:, PROMPT:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("budget", [9, 20])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_mask_does_what_dropping_does(policy: Policy, budget: int) -> None:
    model, tokens = small_model("gqa_3"), ids(PROMPT + NEW)
    before, after = tokens[:, :PROMPT], tokens[:, PROMPT:]
    prompt = read_prompt(model, before)
    expected = extend(model, after, PROMPT, _dropping(model, before, policy, budget))
    found = extend(model, after, PROMPT, evicted_attention(prompt, Eviction(policy, budget)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


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
