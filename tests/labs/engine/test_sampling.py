"""The filters leave what they promise, and sampling follows what they leave."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from labs.engine.sampling import SamplingParams, choose, filtered, penalised
from labs.spec import LabError

logit_lists = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=40)


@example(logits=[0.0, 1e-31], top_k=0, top_p=0.5, min_p=0.0, temperature=1.0)
@given(
    logits=logit_lists,
    top_k=st.integers(0, 45),
    top_p=st.floats(0.01, 1),
    min_p=st.floats(0, 1),
    temperature=st.floats(0.05, 3),
)
def test_the_likeliest_always_stays_and_the_rest_adds_to_one(
    logits: list[float], top_k: int, top_p: float, min_p: float, temperature: float
) -> None:
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    tensor = torch.tensor(logits)
    kept = filtered(tensor, params)
    assert float(kept.sum()) == pytest.approx(1, abs=1e-4)
    # By probability, not by logit: of logits a rounding apart either may be the one that stays.
    likely = (tensor / temperature).softmax(dim=-1)
    assert likely[kept > 0].max() == likely.max()
    if bool((kept == 0).any()):
        assert likely[kept > 0].min() >= likely[kept == 0].max(), "an unlikelier one stayed"


def test_top_k_top_p_and_min_p_on_numbers_one_can_check() -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
    logits = probabilities.log()

    def kept(**changes: Any) -> list[float]:
        return [round(p, 4) for p in filtered(logits, SamplingParams(temperature=1, **changes)).tolist()]

    assert kept(top_k=2) == [0.6667, 0.3333, 0, 0, 0]
    assert kept(top_p=0.75) == [0.6667, 0.3333, 0, 0, 0]
    assert kept(top_p=0.76) == [round(p / 0.9, 4) for p in (0.5, 0.25, 0.15)] + [0, 0]
    assert kept(min_p=0.2) == [round(p / 0.9, 4) for p in (0.5, 0.25, 0.15)] + [0, 0]
    assert kept() == [0.5, 0.25, 0.15, 0.07, 0.03]


def test_the_penalty_makes_what_occurred_less_likely_whatever_its_sign() -> None:
    assert penalised(torch.tensor([2.0, -2.0, 2.0, -2.0]), 2.0, [0, 1, 0]).tolist() == [1.0, -4.0, 2.0, -2.0]
    params = SamplingParams(repetition_penalty=4.0)
    assert choose(torch.tensor([2.0, 1.0]), params, torch.Generator(), [0]) == 1


def test_sampling_follows_the_probabilities_and_the_seed() -> None:
    logits = torch.tensor([0.6, 0.3, 0.1]).log()
    params = SamplingParams(temperature=1.0)
    generator = torch.Generator().manual_seed(1)
    counts = torch.bincount(torch.tensor([choose(logits, params, generator, []) for _ in range(4000)]))
    assert (counts / 4000).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
    again = torch.Generator().manual_seed(1)
    first = [choose(logits, params, again, []) for _ in range(20)]
    again.manual_seed(1)
    assert first == [choose(logits, params, again, []) for _ in range(20)]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"top_p": 0.0}, "top_p = 0.0, allowed"),
        ({"temperature": -1.0}, "temperature = -1.0"),
        ({"n": 2}, r"n = 2, allowed: 1 \(temperature = 0\)"),
        ({"n": 3, "beams": 2}, "n = 3, allowed: 1 … 2"),
        ({"stop": ("",)}, "stop"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_means_nothing_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(LabError, match=told):
        SamplingParams(**wrong)
