"""What a race claims, on steps whose cost is known: waste and steps as the formulas say, tokens conserved."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.batching import charts, replay, scale_replay
from labs.batching.run import Run, Step
from labs.batching.simulated_race import GUESSED, at_scale, fitted_cost, rehearse
from labs.batching.story import gain_factors, story
from labs.batching.strategies import FIELDS, Strategy
from labs.batching.workload import Mix, requests_of
from labs.engine.serving import Setting
from labs.formulas.batching import continuous_steps_bound, padding_waste, static_steps
from labs.results import Provenance
from labs.simulator.traces import Request

SETTING = Setting(blocks=256, most_sequences=4, token_budget=64, wait_s=0.3)
SIMULATED = Provenance.SIMULATED


def requests(mix: Mix = "tail", count: int = 12, seed: int = 0) -> list[Request]:
    return requests_of(
        "",
        count=count,
        rate_per_s=10,
        burstiness=1,
        mix=mix,
        longest_prompt=48,
        longest_answer=48,
        seed=seed,
    )


def race(mix: Mix = "tail", **options: int) -> dict[Strategy, Run]:
    wanted = requests(mix, **options)
    return {one: rehearse(one, wanted, SETTING, GUESSED) for one in FIELDS["all"]}


def answers(run: Run) -> list[int]:
    return [one.request.output_tokens for one in run.served]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(2, 17), st.sampled_from(["tail", "uniform", "equal", "long_prompts"]))
def test_every_strategy_serves_all_and_wastes_what_it_must(seed: int, count: int, mix: Mix) -> None:
    runs = race(mix, count=count, seed=seed)
    for run in runs.values():
        assert [len(one.token_times_s) for one in run.served] == answers(run)
        assert sum(step.prefill for step in run.steps) == sum(one.request.input_tokens for one in run.served)
        # The first token of each comes out of its prefill.
        assert sum(step.decode for step in run.steps) == sum(answers(run)) - count
        assert all(0 <= step.stored <= step.held for step in run.steps)
        assert run.wasted == run.computed - sum(step.prefill + step.decode for step in run.steps)
    static = runs["static"]
    assert len(static.steps) == static_steps(answers(static), 4)
    assert static.decode_waste == pytest.approx(padding_waste([one - 1 for one in answers(static)], 4))
    for strategy in ("continuous", "chunked"):
        assert runs[strategy].wasted == 0
        assert len(runs[strategy].steps) >= continuous_steps_bound(answers(static), 4)


def test_the_gain_is_the_product_of_its_factors() -> None:
    runs = race()
    static, continuous = runs["static"], runs["continuous"]
    factors = gain_factors(static, continuous)
    assert np.prod(factors) == pytest.approx(continuous.tokens_per_s / static.tokens_per_s)
    assert factors[0] == len(static.steps) / len(continuous.steps)


def test_a_latecomer_waits_for_the_whole_static_batch() -> None:
    wanted = [Request(0, 32, 64), *(Request(0, 32, 8) for _ in range(3)), Request(0.05, 16, 4)]
    static, continuous = (rehearse(one, wanted, SETTING, GUESSED) for one in FIELDS["static_continuous"])
    assert static.served[4].admitted_s == static.served[0].token_times_s[-1]
    assert continuous.served[4].admitted_s < static.served[4].admitted_s / 3


def test_equal_lengths_leave_nothing_to_win() -> None:
    wanted = [Request(0, 16, 24)] * 8
    static, continuous = (rehearse(one, wanted, SETTING, GUESSED) for one in FIELDS["static_continuous"])
    assert static.wasted == continuous.wasted == 0
    assert len(static.steps) == len(continuous.steps)


def test_chunks_bound_a_step() -> None:
    runs = race("long_prompts")
    assert runs["chunked"].largest_step <= SETTING.token_budget < runs["continuous"].largest_step
    assert runs["chunked"].longest_gap_s < runs["continuous"].longest_gap_s


def test_little_memory_shrinks_static_batches_and_preempts_continuous_ones() -> None:
    wanted = requests("uniform")
    little = dataclasses.replace(SETTING, blocks=12)
    static, continuous = (rehearse(one, wanted, little, GUESSED) for one in FIELDS["static_continuous"])
    assert len(static.steps) > static_steps(answers(static), 4)
    assert continuous.preemptions > 0
    assert static.empty_share > 2 * continuous.empty_share


def test_the_cost_of_steps_is_found_again() -> None:
    found = fitted_cost(list(race().values()))
    assert found == pytest.approx(GUESSED)


def test_bars_cover_each_step_and_wait_from_the_arrival() -> None:
    run = race()["static"]
    shown = replay.timeline(run, SIMULATED)
    lane = np.asarray(shown.lane) == 0
    assert (shown.end - shown.start)[lane].sum() == pytest.approx(sum(step.seconds for step in run.steps))
    for index, one in enumerate(run.served):
        own = np.asarray(shown.lane) == index + 1
        assert shown.start[own].min() == pytest.approx(one.request.arrival_s)
        ordered = np.argsort(shown.start[own])
        assert (shown.start[own][ordered][1:] >= shown.end[own][ordered][:-1] - 1e-9).all(), "bars overlap"


def test_all_runs_are_on_one_clock() -> None:
    runs = list(race().values())
    trace = replay.trace(runs, SIMULATED)
    assert trace.id == replay.CLOCK == replay.timeline(runs[0], SIMULATED).clock
    assert trace.times[-1] == max(run.makespan_s for run in runs)
    done = [kind.name.en for kind in trace.kinds].index("all served")
    assert (np.asarray(trace.kind_index) == done).sum() == len(runs)
    progress = charts.progress(runs)
    assert [one.y[-1] for one in progress.series] == [run.answer_tokens for run in runs]


def test_rate_adds_up_to_the_tokens() -> None:
    runs = list(race().values())
    width = max(run.makespan_s for run in runs) / 24
    for series, run in zip(charts.rate(runs).series, runs, strict=True):
        assert series.y.sum() * width == pytest.approx(run.answer_tokens)


def test_the_story_tells_each_pair_that_ran() -> None:
    runs = race()
    full = story(runs, 4).body.en
    assert all(name in full for name in ("Why static", "What continuous", "Dynamic", "Chunked"))
    pair = story({one: runs[one] for one in FIELDS["continuous_chunked"]}, 4).body.en
    assert "Why static" not in pair and "Chunked" in pair


def test_needed_kv_leaves_out_who_has_ended() -> None:
    """Two answers of 1 and 3 tokens in one static batch: after the first step only one needs its KV."""
    run = rehearse("static", [Request(0, 4, 1), Request(0, 4, 3)], SETTING, GUESSED)
    assert [step.stored for step in run.steps] == [8, 5, 6]
    assert run.steps[1] == Step(*run.steps[1][:2], prefill=0, decode=1, padding=1, held=32, stored=5)


def test_at_scale_static_wastes_and_who_prefills_elsewhere_does_not_stall() -> None:
    wanted = requests_of(
        "",
        count=200,
        rate_per_s=32,
        burstiness=1,
        mix="tail",
        longest_prompt=1024,
        longest_answer=512,
        seed=0,
    )
    setting = Setting(most_sequences=128, token_budget=512)
    runs = {
        one: at_scale(one, wanted, setting, lambda: None)
        for one in ("static", "continuous", "chunked", "disaggregated")
    }
    assert all(run.report.requests == len(run.lives) == 200 for run in runs.values())
    for run in runs.values():
        lives = [one[:5] for one in run.lives]
        assert all(list(times) == sorted(times) for times in lives)
        held = sum(one.released_s - one.end_s for one in run.lives)
        assert (held > 0) == (run.strategy == "static")
        assert scale_replay.timeline(run).lane.max() == 23
        assert scale_replay.waiting([run]).series[0].y[-1] == 0
    assert runs["static"].report.padding > 0.3 and runs["continuous"].report.padding == 0
    tokens = {name: run.report.output_tokens_per_s for name, run in runs.items()}
    assert tokens["static"] < tokens["continuous"]
    stalls = {name: run.report.itl.most for name, run in runs.items()}
    assert stalls["chunked"] < stalls["continuous"] and stalls["disaggregated"] < stalls["continuous"]


def test_the_story_does_not_praise_what_was_not_won() -> None:
    wanted = [Request(0, 16, 24)] * 8
    runs = {one: rehearse(one, wanted, SETTING, GUESSED) for one in FIELDS["static_continuous"]}
    told = story(runs, 4).body.en
    assert "wasted nothing" in told and "wins little" in told
    little = dataclasses.replace(SETTING, blocks=12)
    uneven = requests("uniform")
    runs = {one: rehearse(one, uneven, little, GUESSED) for one in FIELDS["static_continuous"]}
    assert "had to shrink" in story(runs, 4).body.en


def test_the_story_does_not_blame_a_timed_wait_that_never_ended() -> None:
    """All come at once: dynamic batches are the static ones."""
    wanted = [Request(0, 16, length) for length in (24, 4, 4, 4, 8, 4, 24, 4)]
    runs = {one: rehearse(one, wanted, SETTING, GUESSED) for one in FIELDS["all"]}
    assert "full before the time was over" in story(runs, 4).body.en
    slow = requests_of(
        "0, 1, 2, 3, 4",
        count=0,
        rate_per_s=1,
        burstiness=1,
        mix="equal",
        longest_prompt=8,
        longest_answer=8,
        seed=0,
    )
    runs = {one: rehearse(one, slow, SETTING, GUESSED) for one in FIELDS["all"]}
    assert "nobody need wait" in story(runs, 4).body.en
