"""What a compressed cache costs: the loss on the text that follows, and a fact from the prompt told again.

One set of prompts serves both: pieces of the evaluation text with a fact planted in each, at another depth
each time. Behind a prompt the cache is compressed; then come the text's next tokens, or a question.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from labs.attention.model_pass import extend
from labs.attention.prompt import Prompt, read_prompt, stacked
from labs.models.perplexity import Perplexity
from labs.models.texts import load_text
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.attention.model_pass import Attend
    from labs.context import Context
    from labs.models.loading import LoadedModel

Asked = Literal["before", "after"]

CONTINUED = 32  # tokens of the text behind a prompt that are predicted
_PLACES = ("lighthouse", "museum", "library", "station", "garden", "bakery", "bridge", "theatre")
_FACT = "\n\nThe code of the {place} is {code}.\n\n"
_QUESTION = "\n\nThe code of the {place} is"


@dataclass(frozen=True)
class Prompts:
    """B prompts of P tokens. ``fact_at``: first and last token of each fact, ``[B, 2]``.

    ``text_next [B, CONTINUED]``; ``questions [B, Q]``, ``answers [B, A]``, of which the last ``digits``
    count.
    """

    ids: Tensor
    fact_at: list[tuple[int, int]]
    text_next: Tensor
    questions: Tensor
    answers: Tensor
    digits: int


@dataclass(frozen=True)
class Score:
    """``losses``: of the text behind the prompts. ``recalled [B, digits]``: digits rightly told."""

    losses: Perplexity
    recalled: Tensor

    @property
    def recall(self) -> float:
        """Share of digits; guessing gets a tenth."""
        return float(self.recalled.float().mean())


def make_prompts(loaded: LoadedModel, count: int, tokens: int) -> Prompts:
    """Always the same ones for the same model. LabError where the text is too short for them."""
    encode = loaded.tokenizer.encode
    text, numbers = encode(load_text("evaluation.en")), random.Random(0)
    rows, facts, following, questions, answers = [], [], [], [], []
    for index in range(count):
        place, code = _PLACES[index % len(_PLACES)], str(numbers.randint(1000, 9999))
        fact = encode(_FACT.format(place=place, code=code))
        first = index * (len(text) - tokens - CONTINUED) // max(1, count - 1) if count > 1 else 0
        last = first + tokens - len(fact)
        if len(fact) >= tokens or first < 0 or last + CONTINUED > len(text):
            raise _too_short(len(text), tokens)
        at = int((index + 0.5) / count * (last - first))
        rows.append(text[first : first + at] + fact + text[first + at : last])
        facts.append((at, at + len(fact) - 1))
        following.append(text[last : last + CONTINUED])
        questions.append(encode(_QUESTION.format(place=place)))
        answers.append(encode(f" {code}"))
    width = min(len(row) for row in questions)
    # Of equal length, for they run as one batch: a longer question loses line breaks at its start.
    questions = [row[len(row) - width :] for row in questions]
    tensors = (torch.tensor(part) for part in (rows, following, questions, answers))
    ids, text_next, asked, answered = tensors
    return Prompts(ids, facts, text_next, asked, answered, digits=4)


def _too_short(have: int, tokens: int) -> LabError:
    zh = f"文本有 {have} 个 token，放不下 {tokens} 个 token 的提示词"
    return LabError(Text(zh=zh, en=f"the text has {have} tokens, too few for prompts of {tokens}"))


def prompts_of(ctx: Context, count: int, tokens: int) -> Prompts:
    return ctx.memo(("attention prompts", count, tokens), lambda: make_prompts(ctx.model(), count, tokens))


def cache_of(ctx: Context, count: int, tokens: int, index: int) -> Prompt:
    """The cache of one of the prompts, kept for the next run of the same prompts, and no longer: some ten MB
    each."""
    kept: dict[tuple[int, int, int], Prompt] = ctx.memo(("attention caches",), dict)
    for other in [key for key in kept if key[:2] != (count, tokens)]:
        del kept[other]
    key = (count, tokens, index)
    if key not in kept:
        row = prompts_of(ctx, count, tokens).ids[index : index + 1]
        kept[key] = read_prompt(ctx.model().model, row, check=ctx.check)
    return kept[key]


def all_caches(ctx: Context, count: int, tokens: int, share: float) -> Prompt:
    """All of them as one batch; ``share`` of the run's progress passes meanwhile."""
    found = []
    for index in range(count):
        text = Text(zh=f"读提示词 {index + 1}/{count}", en=f"reading prompt {index + 1} of {count}")
        ctx.progress(share * index / count, text)
        found.append(cache_of(ctx, count, tokens, index))
    return stacked(found)


def with_question(ctx: Context, prompts: Prompts, cache: Prompt) -> Prompt:
    """The cache when the question is part of the prompt that is compressed: its attention has a vote."""
    return read_prompt(ctx.model().model, prompts.questions, cache, ctx.check)


def evaluate(
    ctx: Context,
    prompts: Prompts,
    cache: Prompt,
    asked: Prompt | None,
    attention: Callable[[Prompt], Attend],
) -> Score:
    """Both measures of one way to attend. ``asked``: the cache with the question, if it comes before."""
    loaded, losses = ctx.model(), text_losses(ctx, prompts, cache, attention(cache))
    # An answer's first token is a space: told by the prompt itself, it is fed, and the digits are asked for.
    past, fed = asked or cache, prompts.answers[:, :-1]
    if asked is None:
        fed = torch.cat([prompts.questions, fed], dim=1)
    hidden = extend(loaded.model, fed, past.tokens, attention(past), ctx.check)[:, -prompts.digits :]
    told = loaded.model.lm_head(hidden).argmax(dim=-1)
    return Score(losses, told == prompts.answers[:, -prompts.digits :])


def text_losses(ctx: Context, prompts: Prompts, cache: Prompt, attend: Attend) -> Perplexity:
    """Of the text behind the prompts alone."""
    loaded, text = ctx.model(), prompts.text_next
    hidden = extend(loaded.model, text[:, :-1], cache.tokens, attend, ctx.check)
    return Perplexity(_losses(loaded, hidden, text[:, 1:]))


@torch.inference_mode()
def _losses(loaded: LoadedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    rows = [
        F.cross_entropy(loaded.model.lm_head(one).float(), target, reduction="none")
        for one, target in zip(hidden, targets, strict=True)
    ]
    return torch.stack(rows).cpu()
