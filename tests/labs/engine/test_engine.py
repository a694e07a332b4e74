"""Greedy output equals plain generation, however the work was cut, shared and interrupted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.engine.block_manager import BlockManager
from labs.engine.engine import Engine
from labs.engine.events import EventKind, EventLog
from labs.engine.model_runner import ModelRunner
from labs.engine.policies import (
    EarliestDeadlineFirst,
    FairShare,
    FirstComeFirstServed,
    MultiLevelFeedback,
    PriorityWithAgeing,
    ShortestFirst,
)
from labs.engine.sampling import SamplingParams
from labs.engine.scheduler import Scheduler
from labs.engine.static_scheduler import StaticScheduler
from labs.models.generation import generate
from labs.spec import LabError
from tests.labs.engine.invariants import check, check_idle
from tests.labs.engine.naive_beams import naive_beam_search
from tests.labs.engine.small_models import poison, small_model

if TYPE_CHECKING:
    from labs.engine.generation import Generation
    from labs.engine.policies import Policy
    from labs.models.llama import Llama
    from labs.models.tokenizer import ModelTokenizer

POLICIES: dict[str, Any] = {
    "fcfs": FirstComeFirstServed,
    "shortest": ShortestFirst,
    "priority": lambda: PriorityWithAgeing(ageing_s=2),
    "deadline": EarliestDeadlineFirst,
    "feedback": lambda: MultiLevelFeedback(quantum=2, levels=3, boost_s=20),
    "fair": FairShare,
}
BATCHING = ("chunked", "continuous", "static", "bucketed")


class Letters:
    """Each id is a letter: enough of a tokenizer for stop strings."""

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return "".join(chr(0x4E00 + one) for one in ids)


@dataclass
class Steps:
    """Time that advances a second a look."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@dataclass
class Setting:
    blocks: int = 64
    block_size: int = 4
    prefix_cache: bool = False
    batching: str = "chunked"
    policy: str = "fcfs"
    most: int = 4
    budget: int = 16
    preemption: Any = "recompute"
    stop_ids: tuple[int, ...] = ()
    clock: Steps = field(default_factory=Steps)

    def engine(self) -> Engine:
        log = EventLog(self.clock)
        manager = BlockManager(self.blocks, self.block_size, self.prefix_cache, log)
        policy: Policy = POLICIES[self.policy]()
        options: Any = {
            "policy": policy,
            "most_sequences": self.most,
            "token_budget": max(self.budget, self.most),
            "preemption": self.preemption,
            "log": log,
        }
        if self.batching in ("static", "bucketed"):
            scheduler: Scheduler = StaticScheduler(
                manager, wait_s=5, buckets=self.batching == "bucketed", **options
            )
        else:
            scheduler = Scheduler(manager, chunked=self.batching == "chunked", **options)
        runner = ModelRunner(model(), blocks=self.blocks, block_size=self.block_size)
        poison(runner)
        tokenizer = cast("ModelTokenizer", Letters())
        return Engine(runner, scheduler, tokenizer, self.stop_ids, log, self.clock)


@cache
def model() -> Llama:
    return small_model("gqa_3")


@cache
def plain(prompt: tuple[int, ...], limit: int, stops: tuple[int, ...] = ()) -> list[int]:
    return list(generate(model(), prompt, limit, stop_ids=stops))


def serve(engine: Engine, waves: list[list[tuple[tuple[int, ...], SamplingParams]]]) -> list[Generation]:
    """A wave arrives, a step is made, the next arrives; the invariants hold between."""
    generations = []
    for number, wave in enumerate(waves):
        for prompt, params in wave:
            generations.append(
                engine.add(
                    list(prompt),
                    params,
                    user="ab"[len(prompt) % 2],
                    priority=len(prompt) % 3,
                    deadline_s=100.0 - len(prompt),
                    predicted=params.max_tokens // 2,
                )
            )
        if isinstance(engine.scheduler, StaticScheduler):
            engine.scheduler.drained = number == len(waves) - 1
        engine.step()
        check(engine.scheduler)
    for _ in range(2000):
        if not engine.busy:
            break
        assert engine.step() is not None, "something waits, and nothing can run"
        check(engine.scheduler)
    check_idle(engine.scheduler)
    return generations


prompts = st.lists(st.integers(0, 3), min_size=1, max_size=24).map(tuple)
requests = st.tuples(prompts, st.integers(1, 12))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    waves=st.lists(st.lists(requests, max_size=4), min_size=1, max_size=4),
    block_size=st.sampled_from([1, 2, 3, 4, 8, 16]),
    room=st.integers(0, 12),
    prefix_cache=st.booleans(),
    batching=st.sampled_from(BATCHING),
    policy=st.sampled_from(sorted(POLICIES)),
    most=st.integers(1, 5),
    budget=st.integers(1, 40),
    preemption=st.sampled_from(["recompute", "swap"]),
)
def test_greedy_output_is_that_of_plain_generation(
    waves: Any,
    block_size: int,
    room: int,
    prefix_cache: bool,
    batching: str,
    policy: str,
    most: int,
    budget: int,
    preemption: str,
) -> None:
    longest = max((len(prompt) + limit for wave in waves for prompt, limit in wave), default=1)
    if batching in ("static", "bucketed"):  # which reserve the longest prompt and the longest answer
        longest = max((len(p) for wave in waves for p, _ in wave), default=1) + 12
    setting = Setting(
        blocks=-(-longest // block_size) + room,  # little room: memory runs out again and again
        block_size=block_size,
        prefix_cache=prefix_cache,
        batching=batching,
        policy=policy,
        most=most,
        budget=budget,
        preemption=preemption,
    )
    engine = setting.engine()
    asked = [[(p, SamplingParams(max_tokens=limit)) for p, limit in wave] for wave in waves]
    for generation, (prompt, limit) in zip(
        serve(engine, asked), [one for wave in waves for one in wave], strict=True
    ):
        assert [answer.tokens for answer in generation.answers] == [plain(prompt, limit)]


@pytest.mark.parametrize("preemption", ["recompute", "swap"])
def test_memory_that_runs_out_preempts_and_loses_nothing(preemption: str) -> None:
    engine = Setting(blocks=9, block_size=4, most=4, preemption=preemption).engine()
    asked = [(tuple(range(3 + n)), SamplingParams(max_tokens=20)) for n in range(4)]
    for generation, (prompt, params) in zip(serve(engine, [asked]), asked, strict=True):
        assert generation.answers[0].tokens == plain(prompt, params.max_tokens)
    assert engine.scheduler.preemptions > 0
    reasons = {event.reason for event in log(engine) if event.kind is EventKind.PREEMPT}
    assert preemption in reasons


def test_a_shared_prefix_is_computed_once() -> None:
    engine = Setting(prefix_cache=True, block_size=4).engine()
    prefix = tuple(range(16))
    asked = [((*prefix, n), SamplingParams(max_tokens=3)) for n in range(3)]
    serve(engine, [asked[:1], asked[1:]])
    assert sum(record.prefill_tokens for record in engine.steps) == 17 + 1 + 1


def test_parallel_samples_share_the_prompt_and_copy_on_write() -> None:
    engine = Setting(block_size=4).engine()
    params = SamplingParams(max_tokens=6, temperature=1.0, n=3, seed=3)
    [generation] = serve(engine, [[(tuple(range(10)), params)]])
    assert len(generation.answers) == 3
    assert len({tuple(answer.tokens) for answer in generation.answers}) > 1
    assert sum(record.prefill_tokens for record in engine.steps) == 10
    copies = [event for event in log(engine) if event.kind is EventKind.COPY]
    assert len(copies) == 2, "of three owners of the half-filled block, two need a copy"


def test_samples_do_not_depend_on_what_runs_beside_them() -> None:
    params = SamplingParams(max_tokens=8, temperature=0.9, top_p=0.9, top_k=20, n=2, seed=11)
    alone = serve(Setting().engine(), [[((5, 6, 7), params)]])[0]
    crowded = Setting(blocks=12, block_size=2, most=3, budget=3).engine()
    other = ((1, 2, 3, 4), SamplingParams(max_tokens=9))
    beside = serve(crowded, [[other, ((5, 6, 7), params)], [other]])[1]
    assert sorted(a.tokens for a in alone.answers) == sorted(a.tokens for a in beside.answers)


@pytest.mark.parametrize("blocks", [64, 20])
@pytest.mark.parametrize("block_size", [1, 4])
@pytest.mark.parametrize("early", [True, False])
def test_beam_search_equals_a_naive_one(blocks: int, block_size: int, early: bool) -> None:
    """Also where memory runs out, and beams are swapped out and in together."""
    stops = (7, 11)
    params = SamplingParams(max_tokens=10, beams=3, n=3, early_stopping=early, length_penalty=0.8)
    setting = Setting(blocks=blocks * (4 // block_size), block_size=block_size, most=5, stop_ids=stops)
    others = [((n,) * 27, SamplingParams(max_tokens=12, ignore_eos=True)) for n in (1, 2)]
    engine = setting.engine()
    generation = serve(engine, [others, [((1, 2, 3, 4, 5), params)]])[2]
    expected = naive_beam_search(model(), [1, 2, 3, 4, 5], params, stops)
    assert [answer.tokens for answer in generation.answers] == [tokens for _, tokens in expected]
    for answer, (score, _) in zip(generation.answers, expected, strict=True):
        assert answer.score == pytest.approx(score, abs=1e-4)
    swaps = [event for event in log(engine) if event.kind is EventKind.PREEMPT and event.reason == "swap"]
    assert bool(swaps) == (blocks == 20)


def test_stop_tokens_and_stop_strings_end_an_answer_and_are_not_part_of_it() -> None:
    prompt = (1, 2, 3)
    whole = plain(prompt, 12)
    at = next(i for i in range(3, 12) if whole[i] not in whole[:i])
    by_id = serve(Setting(stop_ids=(whole[at],)).engine(), [[(prompt, SamplingParams(max_tokens=12))]])[0]
    assert by_id.answers[0].tokens == whole[:at] and by_id.answers[0].reason == "eos"
    stop = Letters().decode(whole[at - 1 : at + 1])
    params = SamplingParams(max_tokens=12, stop=(stop,))
    by_text = serve(Setting().engine(), [[(prompt, params)]])[0]
    assert by_text.answers[0].reason == "stop"
    assert by_text.answers[0].text == Letters().decode(whole[: at - 1])
    assert len(by_text.answers[0].tokens) == at + 1


def test_cancelling_frees_what_was_taken_wherever_the_request_is() -> None:
    engine = Setting(most=1).engine()
    running = engine.add([1, 2, 3])
    waiting = engine.add([4, 5])
    engine.step()
    engine.cancel(waiting)
    engine.cancel(running)
    check_idle(engine.scheduler)
    assert running.answers[0].reason == "cancelled" and len(running.answers[0].tokens) == 1


def test_what_can_never_run_is_refused_with_the_numbers() -> None:
    engine = Setting(blocks=4, block_size=4).engine()
    with pytest.raises(LabError, match="may need 6 KV blocks, and there are only 4"):
        engine.add([1] * 10, SamplingParams(max_tokens=12))
    with pytest.raises(LabError, match="both must be at least 1"):
        engine.add([])
    assert not engine.busy


def test_tokens_are_counted_as_useful_or_as_padding() -> None:
    engine = Setting(batching="static", most=2).engine()
    serve(engine, [[((1,), SamplingParams(max_tokens=1)), ((1, 2, 3, 4), SamplingParams(max_tokens=5))]])
    assert sum(record.prefill_tokens for record in engine.steps) == 5
    # Three of the prompt; the first sequence ends with its prefill, and four steps of decode follow.
    assert sum(record.padding_tokens for record in engine.steps) == 3 + 4
    assert sum(record.decode_tokens for record in engine.steps) == 4


def log(engine: Engine) -> list[Any]:
    assert engine._log is not None
    return engine._log.events
