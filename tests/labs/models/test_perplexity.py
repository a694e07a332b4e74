from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F

from labs.models.llama import iter_linears
from labs.models.loading import load_model
from labs.models.perplexity import Perplexity, paired_difference, perplexity
from labs.models.texts import load_text
from labs.spec import LabError
from tests.labs.models.small_checkpoints import VOCAB, SmallGGUF

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.llama import Llama
    from labs.models.loading import LoadedModel

IDS = torch.randint(VOCAB, (700,), generator=torch.Generator().manual_seed(1)).tolist()


@pytest.fixture
def small(tmp_path: Path) -> Llama:
    return load_model(SmallGGUF().write(tmp_path / "small.gguf")).model


@pytest.mark.model
def test_perplexity_of_the_default_model_on_the_evaluation_text(smollm: LoadedModel) -> None:
    """The stated baseline. It moves if a weight, the tokenizer, the module or the text does."""
    ids = smollm.tokenizer.encode(load_text("evaluation.en"))
    result = perplexity(smollm.model, ids, windows=2)
    # FP32 sums in another order on another processor: five digits is what they share.
    assert result.value == pytest.approx(34.5644, rel=1e-4)
    assert result.loss_stderr == pytest.approx(0.0929, abs=1e-4)


@torch.inference_mode()
def test_windows_are_independent_and_losses_are_cross_entropies(small: Llama) -> None:
    result = perplexity(small, IDS, window=300)
    assert result.token_losses.shape == (2, 299)
    for losses, start in zip(result.token_losses, (0, 300), strict=True):
        ids = torch.tensor(IDS[start : start + 300])
        expected = F.cross_entropy(small(ids[None])[0, :-1], ids[1:], reduction="none")
        torch.testing.assert_close(losses, expected)
    assert result.value == pytest.approx(math.exp(result.token_losses.mean()))
    assert result.window_losses == pytest.approx(result.token_losses.mean(dim=1).tolist())


def test_standard_error_shrinks_with_the_square_root_of_the_tokens() -> None:
    losses = torch.randn(4, 1000, generator=torch.Generator().manual_seed(2)) * 2
    assert Perplexity(losses).loss_stderr == pytest.approx(2 / math.sqrt(4000), rel=0.05)


def test_each_window_is_reported_and_the_callback_can_stop(small: Llama) -> None:
    seen: list[tuple[int, int, Perplexity]] = []
    result = perplexity(small, IDS, window=100, windows=3, on_window=lambda *call: seen.append(call))
    assert [(done, windows) for done, windows, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert [len(so_far.token_losses) for *_, so_far in seen] == [1, 2, 3]
    assert seen[-1][2].value == result.value

    def stop(done: int, windows: int, so_far: Perplexity) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perplexity(small, IDS, window=100, on_window=stop)


@pytest.mark.parametrize("windows", [8, 0, None])
def test_short_text_is_refused(small: Llama, windows: int | None) -> None:
    with pytest.raises(LabError, match="the text has 90 tokens, fewer than"):
        perplexity(small, IDS[:90], window=100, windows=windows)


def test_paired_difference_cancels_the_difficulty_of_the_text(small: Llama) -> None:
    before = perplexity(small, IDS, window=100)
    for _, _, module in iter_linears(small):
        module.weight.mul_(1.001)
    after = perplexity(small, IDS, window=100)
    difference = paired_difference(before, after)
    assert difference.mean == pytest.approx(after.loss_mean - before.loss_mean)
    assert difference.ratio == pytest.approx(after.value / before.value)
    assert 0 < difference.stderr < before.loss_stderr / 10
    assert paired_difference(before, before).stderr == 0


def test_runs_over_different_tokens_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match=r"\[1, 5\], \[1, 6\]"):
        paired_difference(Perplexity(torch.zeros(1, 5)), Perplexity(torch.zeros(1, 6)))
