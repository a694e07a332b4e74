"""Who is served next, and who makes room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.engine.policies import (
    EarliestDeadlineFirst,
    FairShare,
    FirstComeFirstServed,
    MultiLevelFeedback,
    PriorityWithAgeing,
    ShortestFirst,
)
from labs.engine.sequence import Sequence

if TYPE_CHECKING:
    from labs.engine.policies import Policy


def sequence(number: int, arrival_s: float = 0.0, **more: Any) -> Sequence:
    values = {"prompt": 10, "limit": 100, **more}
    return Sequence(id=number, arrival_s=arrival_s, **values)


def order(policy: Policy, sequences: list[Sequence], now: float = 100.0) -> list[int]:
    for one in sequences:
        policy.add(one, one.arrival_s)
    found = []
    while len(policy):
        head = policy.peek(now)
        assert policy.pop(now) is head
        found.append(head.id)
    return found


def test_first_come_first_served_breaks_ties_by_number() -> None:
    assert order(FirstComeFirstServed(), [sequence(2, 1.0), sequence(1, 1.0), sequence(0, 2.0)]) == [1, 2, 0]


def test_shortest_first_counts_what_is_left_of_prompt_and_prediction() -> None:
    half_done = sequence(0, prompt=10, predicted=50)
    half_done.length, half_done.computed = 50, 49  # 40 of the 50 are there
    short, long = sequence(1, predicted=5), sequence(2, prompt=5)  # no prediction: the limit, 100
    assert order(ShortestFirst(prompt_weight=1), [long, short, half_done]) == [0, 1, 2]
    assert order(ShortestFirst(), [long, short, half_done]) == [1, 0, 2]


def test_the_shortest_job_is_the_one_with_the_shortest_answer() -> None:
    long_prompt = sequence(0, prompt=900, predicted=40)
    long_answer = sequence(1, prompt=10, predicted=300)
    assert order(ShortestFirst(), [long_answer, long_prompt, sequence(2, predicted=40)]) == [2, 0, 1]


def test_ageing_lets_the_patient_pass() -> None:
    urgent, patient = sequence(0, arrival_s=25.0, priority=0), sequence(1, arrival_s=0.0, priority=2)
    assert order(PriorityWithAgeing(ageing_s=10), [urgent, patient]) == [1, 0]
    assert order(PriorityWithAgeing(ageing_s=20), [urgent, patient]) == [0, 1]
    assert order(PriorityWithAgeing(ageing_s=float("inf")), [urgent, patient]) == [0, 1]


def test_the_earliest_deadline_goes_first() -> None:
    late, soon, never = sequence(0, deadline_s=9.0), sequence(1, 5.0, deadline_s=7.0), sequence(2)
    assert order(EarliestDeadlineFirst(), [late, never, soon]) == [1, 0, 2]


def test_feedback_sinks_what_has_been_served_and_boosts_what_has_waited() -> None:
    policy = MultiLevelFeedback(quantum=4, levels=3, boost_s=10.0)
    one = sequence(0)
    levels = []
    for generated in range(14):
        one.length = one.prompt + generated
        levels.append(policy.level(one))
    assert levels == [0] * 4 + [1] * 8 + [2] * 2
    fresh = sequence(1)
    policy.add(one, now=0.0)
    policy.add(fresh, now=5.0)
    assert policy.peek(6.0) is fresh
    policy.pop(6.0)
    assert policy.level(one) == 2
    policy.peek(10.0)
    assert policy.level(one) == 0


def test_feedback_gives_the_place_of_the_most_served_to_a_newcomer_only() -> None:
    policy = MultiLevelFeedback(quantum=4, levels=3)
    served, barely = sequence(0), sequence(1)
    served.length = served.prompt + 20
    policy.add(sequence(2), now=0.0)
    assert policy.overtaken([served, barely], 0.0) is served
    assert policy.overtaken([barely], 0.0) is None
    assert FirstComeFirstServed().overtaken([served], 0.0) is None


def test_fair_share_serves_the_user_who_has_had_least() -> None:
    policy = FairShare(output_weight=2.0)
    greedy = [sequence(n, arrival_s=float(n), user="a") for n in range(3)]
    modest = sequence(3, arrival_s=3.0, user="b")
    for one in [*greedy, modest]:
        policy.add(one, one.arrival_s)
    first = policy.pop(4.0)
    assert first is greedy[0]
    assert policy.counters["a"] == 10
    assert policy.peek(4.0) is modest
    first.length += 7  # tokens that it says while it runs
    policy.pop(4.0)
    assert policy.counters == {"a": 10 + 2 * 7, "b": 10}
    assert policy.victim([first, modest]) is first


def test_who_was_away_gets_no_credit() -> None:
    policy = FairShare()
    busy = [sequence(n, user="a", prompt=50) for n in range(3)]
    for one in busy:
        policy.add(one, 0.0)
    policy.pop(0.0)
    policy.add(sequence(9, user="b"), 1.0)
    assert policy.counters == {"a": 50.0, "b": 50.0}


MAKERS: list[Any] = [
    FirstComeFirstServed,
    ShortestFirst,
    PriorityWithAgeing,
    EarliestDeadlineFirst,
    MultiLevelFeedback,
    FairShare,
]


@pytest.mark.parametrize("make", MAKERS)
@given(
    arrivals=st.lists(st.tuples(st.floats(0, 50), st.integers(0, 3), st.integers(0, 60)), max_size=12),
    wanted=st.integers(0, 12),
)
def test_everyone_is_served_exactly_once(make: Any, arrivals: Any, wanted: int) -> None:
    policy = make()
    sequences = [
        sequence(n, at, priority=level, user=str(level), predicted=length, deadline_s=at + length)
        for n, (at, level, length) in enumerate(sorted(arrivals))
    ]
    for one in sequences:
        policy.add(one, one.arrival_s)
    assert {one.id for one in policy} == {one.id for one in sequences}
    taken = [one.id for one in policy.take(lambda one: one.id % 2 == 0, wanted)]
    assert len(taken) == min(wanted, (len(sequences) + 1) // 2) and all(n % 2 == 0 for n in taken)
    while len(policy):
        taken.append(policy.pop(60.0).id)
    assert sorted(taken) == list(range(len(sequences)))


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 60)), min_size=1, max_size=12))
def test_the_victim_is_who_would_be_served_last(arrivals: list[tuple[float, int]]) -> None:
    for make in (FirstComeFirstServed, ShortestFirst, EarliestDeadlineFirst):
        sequences = [
            sequence(n, at, predicted=length, deadline_s=length) for n, (at, length) in enumerate(arrivals)
        ]
        assert order(make(), sequences)[-1] == make().victim(sequences).id
