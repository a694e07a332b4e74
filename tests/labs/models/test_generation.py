from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.models.generation import generate
from labs.models.loading import load_model
from labs.spec import LabError
from tests.labs.models.small_checkpoints import SmallGGUF

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.llama import Llama
    from labs.models.loading import LoadedModel

PROMPT = [5, 17, 40]


@pytest.fixture
def small(tmp_path: Path) -> Llama:
    return load_model(SmallGGUF().write(tmp_path / "small.gguf")).model


@pytest.mark.model
def test_default_model_answers_a_chat(smollm: LoadedModel) -> None:
    prompt = smollm.tokenizer.chat([{"role": "user", "content": "What is the capital of France?"}])
    ids = list(generate(smollm.model, smollm.tokenizer.encode(prompt), 30))
    assert smollm.tokenizer.decode(ids) == "The capital of France is Paris."


@torch.inference_mode()
def test_greedy_follows_the_full_pass(small: Llama) -> None:
    ids = list(PROMPT)
    for _ in range(12):
        ids.append(int(small(torch.tensor([ids]))[0, -1].argmax()))
    assert list(generate(small, PROMPT, 12, stop_ids=[])) == ids[3:]


def test_stop_ids_end_the_text_and_are_not_yielded(small: Llama) -> None:
    free = list(generate(small, PROMPT, 12, stop_ids=[]))
    stop = free[4]
    assert list(generate(small, PROMPT, 12, stop_ids=[stop])) == free[: free.index(stop)]


def test_sampling_is_seeded(small: Llama) -> None:
    def sample(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return list(generate(small, PROMPT, 20, temperature=2.0, generator=generator, stop_ids=[]))

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_a_tiny_top_p_leaves_only_the_likeliest(small: Llama) -> None:
    generator = torch.Generator().manual_seed(1)
    sampled = generate(small, PROMPT, 12, temperature=2.0, top_p=1e-6, generator=generator, stop_ids=[])
    assert list(sampled) == list(generate(small, PROMPT, 12, stop_ids=[]))


@torch.inference_mode()
def test_top_p_samples_exactly_the_nucleus(small: Llama) -> None:
    """The first tokens of 300 draws lie in the smallest set that reaches 0.5, and cover most of it."""
    probabilities = small(torch.tensor([PROMPT]))[0, -1].softmax(-1)
    order = probabilities.sort(descending=True)
    count = int((order.values.cumsum(0) < 0.5).sum()) + 1
    nucleus = set(order.indices[:count].tolist())
    generator = torch.Generator().manual_seed(3)
    drawn = {
        next(generate(small, PROMPT, 1, temperature=1.0, top_p=0.5, generator=generator, stop_ids=[]))
        for _ in range(300)
    }
    assert drawn <= nucleus
    assert len(drawn) > len(nucleus) / 2
    assert len(nucleus) > 1


@pytest.mark.parametrize(("prompt", "new"), [([], 5), (PROMPT, 254)])
def test_prompts_outside_the_context_are_refused(small: Llama, prompt: list[int], new: int) -> None:
    with pytest.raises(LabError, match="allowed 1 to 256"):
        next(generate(small, prompt, new))
