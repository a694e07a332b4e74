"""However the tokens are cut, placed and mixed: the runner's logits are those of the plain module."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.engine.fast_path import checked_library
from labs.engine.model_runner import ModelRunner
from labs.engine.work import Work
from labs.spec import LabError
from labs.text import Text
from tests.labs.engine.small_models import CONTEXT, VARIANTS, VOCAB, poison, small_model

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from labs.engine.fast_path import Path
    from labs.engine.precision import KVType
    from labs.models.llama import Llama

model_of = functools.cache(small_model)
# Where there is no compiler, torch's path alone can be tested.
PATHS: list[Path] = ["torch"] if isinstance(checked_library(), Text) else ["native", "torch"]


@dataclasses.dataclass
class Sequence_:
    """A sequence on its way through the runner: what is computed, what is left, and where its KV lies."""

    tokens: list[int]
    blocks: list[int]
    done: int = 0

    def work(self, count: int, sample: bool = True) -> Work:
        return Work(self.tokens[self.done : self.done + count], self.done, self.blocks, sample)


def expected(model: Llama, tokens: Sequence[int]) -> torch.Tensor:
    """Logits after the last of ``tokens``, without a cache."""
    with torch.inference_mode():
        return model(torch.tensor([list(tokens)]))[0, -1]


def blocks_for(
    lengths: Sequence[int], block_size: int, rng: random.Random, spare: int = 3
) -> list[list[int]]:
    """A random block table for each length, none sharing a block."""
    counts = [-(-length // block_size) for length in lengths]
    free = list(range(sum(counts) + spare))
    rng.shuffle(free)
    return [[free.pop() for _ in range(count)] for count in counts]


def run_all(runner: ModelRunner, sequences: Sequence[Sequence_], rng: random.Random) -> None:
    """Random chunks of random sequences until all are done; every logit that comes out is checked."""
    while any(one.done < len(one.tokens) for one in sequences):
        pending = [one for one in sequences if one.done < len(one.tokens)]
        chosen = [one for one in pending if rng.random() < 0.7] or pending[:1]
        rng.shuffle(chosen)
        counts = [rng.choice([1, rng.randint(1, len(one.tokens) - one.done)]) for one in chosen]
        works = [one.work(count, rng.random() < 0.7) for one, count in zip(chosen, counts, strict=True)]
        logits = runner.step(works)
        for one, count in zip(chosen, counts, strict=True):
            one.done += count
        sampled = [one for one, work in zip(chosen, works, strict=True) if work.sample]
        assert logits.shape == (len(sampled), VOCAB)
        assert logits.dtype == torch.float32
        for row, one in zip(logits, sampled, strict=True):
            same_as_module(row, expected(runner.model, one.tokens[: one.done]))


def same_as_module(row: torch.Tensor, right: torch.Tensor) -> None:
    assert (row - right).abs().max() < 1e-3
    assert row.argmax() == right.argmax()


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=40, deadline=None)
@given(
    variant=st.sampled_from(sorted(VARIANTS)),
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    block_size=st.integers(1, 64),
    rng=st.randoms(use_true_random=False),
)
def test_any_split_and_any_placement_equal_the_module(
    path: Path, variant: str, lengths: list[int], block_size: int, rng: random.Random
) -> None:
    tables = blocks_for(lengths, block_size, rng)
    blocks = max(max(table) for table in tables) + 1
    runner = ModelRunner(model_of(variant), blocks=blocks, block_size=block_size, path=path)
    poison(runner)
    sequences = [
        Sequence_([rng.randrange(VOCAB) for _ in range(length)], table)
        for length, table in zip(lengths, tables, strict=True)
    ]
    run_all(runner, sequences, rng)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=20, deadline=None)
@given(
    kv=st.sampled_from(["fp32", "bf16", "int8"]),
    block_size=st.integers(1, 9),
    length=st.integers(2, 30),
    rng=st.randoms(use_true_random=False),
)
def test_moved_blocks_read_as_before(
    path: Path, kv: KVType, block_size: int, length: int, rng: random.Random
) -> None:
    """After a copy to other blocks, and after a swap out and in elsewhere, the next token is the same."""
    model = model_of("llama")
    tables = blocks_for([length] * 3, block_size, rng)
    blocks = max(map(max, tables)) + 1
    runner = ModelRunner(model, blocks=blocks, block_size=block_size, kv=kv, path=path)
    poison(runner)
    tokens = [rng.randrange(VOCAB) for _ in range(length)]
    original, copied, restored = tables
    runner.step([Work(tokens[:-1], 0, original, False)])
    runner.copy_blocks(list(zip(original, copied, strict=True)))
    saved = runner.save_blocks(original)
    assert saved.nbytes == len(original) * runner.kv.bytes_per_block
    last = [Work(tokens[-1:], length - 1, table, True) for table in (original, copied)]
    here, there = runner.step(last)
    poison(runner)
    # Two rows again: in a step of one row torch sums in another order, and a sum on the edge of two bf16
    # numbers is then stored as the other one.
    for table in (restored, copied):
        runner.restore_blocks(saved, table)
    back = runner.step([Work(tokens[-1:], length - 1, table, True) for table in (restored, copied)])[0]
    torch.testing.assert_close(there, here, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(back, here, atol=1e-5, rtol=1e-5)
    if kv == "fp32":
        same_as_module(here, expected(model, tokens))


@pytest.mark.parametrize("path", PATHS)
def test_copy_on_write_leaves_the_shared_block_alone(path: Path) -> None:
    """Two sequences share a first block; each writes its own second one after the fork."""
    model = model_of("llama")
    runner = ModelRunner(model, blocks=4, block_size=4, path=path)
    poison(runner)
    prompt, left, right = list(range(6)), [10, 11, 12], [20, 21, 22]
    runner.step([Work(prompt, 0, [2, 0], False)])
    runner.copy_blocks([(0, 3)])
    for step in range(3):
        works = [
            Work([tokens[step]], 6 + step, [2, last, *more], True)
            for tokens, last, more in ((left, 0, [1]), (right, 3, []))
            if 6 + step < 8 or more
        ]
        logits = runner.step(works)
        for row, tokens in zip(logits, (left, right), strict=False):
            same_as_module(row, expected(model, prompt + tokens[: step + 1]))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("kv", "most"), [("bf16", 0.02), ("int8", 0.05)])
def test_smaller_kv_stays_near_and_takes_the_bytes_that_it_says(path: Path, kv: KVType, most: float) -> None:
    model = model_of("llama")
    runner = ModelRunner(model, blocks=3, block_size=16, kv=kv, path=path)
    tokens = [(7 * i) % VOCAB for i in range(40)]
    logits = runner.step([Work(tokens, 0, [1, 2, 0], True)])[0]
    right = expected(model, tokens)
    assert 0 < (logits - right).norm() < most * right.norm()
    vectors = 2 * 2 * 2 * 48  # layers, keys and values, KV heads, slots
    assert runner.kv_bytes == vectors * {"bf16": 2 * 8, "int8": 8 + 4}[kv]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_to_do_and_nothing_to_sample(path: Path) -> None:
    runner = ModelRunner(model_of("llama"), blocks=2, block_size=4, path=path)
    assert runner.step([]).shape == (0, VOCAB)
    assert runner.step([Work([1, 2], 0, [1], False), Work([3], 0, [0], False)]).shape == (0, VOCAB)


def test_a_sequence_beyond_the_context_is_refused() -> None:
    runner = ModelRunner(model_of("llama"), blocks=CONTEXT, block_size=2)
    with pytest.raises(LabError, match=f"{CONTEXT + 1} tokens exceeds the model's context of {CONTEXT}"):
        runner.step([Work([1], CONTEXT, list(range(CONTEXT)), True)])
