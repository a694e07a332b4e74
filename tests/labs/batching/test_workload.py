"""The requests of a race: typed arrivals are read or refused, mixes are what they say."""

from __future__ import annotations

import pytest

from labs.batching.workload import LONG_PROMPT, Mix, mixed_lengths, parse_arrivals, requests_of
from labs.spec import UsageError

OPTIONS = {"count": 12, "rate_per_s": 10.0, "burstiness": 1.0, "longest_prompt": 48, "longest_answer": 40}


def test_typed_arrivals_are_sorted_and_may_have_lengths() -> None:
    typed = parse_arrivals("1.5, 0， 0.2:64/8；0.2")
    assert typed == [(0.0, None), (0.2, (64, 8)), (0.2, None), (1.5, None)]
    assert parse_arrivals("  ") == []


REFUSED = ["x", "0, -1", "0.2:64", "0.2:0/8", "0:8/100000", "1e3", "61", ",".join("0" * 49)]


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="arrivals"):
        parse_arrivals(text)


def test_typed_arrivals_replace_number_and_rate() -> None:
    found = requests_of("0, 0.5:100/7", mix="equal", seed=0, **OPTIONS)  # type: ignore[arg-type]
    lengths = [(one.arrival_s, one.input_tokens, one.output_tokens) for one in found]
    assert lengths == [(0, 48, 40), (0.5, 100, 7)]


def test_drawn_arrivals_start_at_zero_and_follow_the_seed() -> None:
    first, again, other = (requests_of("", mix="tail", seed=seed, **OPTIONS) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert first == again != other
    assert first[0].arrival_s == 0 and len(first) == 12
    assert [one.arrival_s for one in first] == sorted(one.arrival_s for one in first)


@pytest.mark.parametrize("mix", ["tail", "uniform", "equal", "long_prompts"])
@pytest.mark.parametrize("longest", [1, 5, 64])
def test_lengths_keep_their_bounds(mix: Mix, longest: int) -> None:
    lengths = mixed_lengths(mix, 21, longest, longest, seed=3)
    most = LONG_PROMPT * longest if mix == "long_prompts" else longest
    assert len(lengths) == 21
    assert all(1 <= prompt <= most and 1 <= answer <= longest for prompt, answer in lengths)


def test_a_quarter_is_special() -> None:
    tail = [answer for _, answer in mixed_lengths("tail", 16, 48, 48, seed=5)]
    assert sum(answer == 48 for answer in tail) == 4 and max(one for one in tail if one < 48) <= 12
    prompts = [prompt for prompt, _ in mixed_lengths("long_prompts", 16, 48, 48, seed=5)]
    assert sum(prompt == 8 * 48 for prompt in prompts) == 4 and sum(prompt <= 48 for prompt in prompts) == 12
    assert len(set(mixed_lengths("equal", 16, 48, 40, seed=5))) == 1
