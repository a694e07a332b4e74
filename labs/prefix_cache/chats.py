"""Conversations on the real engine: each turn's prompt is all that was said before, and a question more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.engine.sampling import SamplingParams
from labs.engine.serving import Setting, make_engine
from labs.formulas.prefill import reusable_prefix
from labs.prefix_cache.reference import longest_shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.engine.engine import Engine
    from labs.engine.precision import Weights
    from labs.models.tokenizer import ModelTokenizer

SYSTEM = (
    "You are the assistant of a small public library. Answer in one or two short sentences, in plain words. "
    "The library opens at nine, closes at six, and is shut on Mondays. A card is free for everybody who "
    "lives in the town; others pay five coins a year. Books may be kept for four weeks and renewed twice, "
    "films for one week. Never promise a book that is lent out, and say so when you do not know."
)
QUESTIONS = (
    "When do you open on Saturday?",
    "How long may I keep a book?",
    "Can I renew it if I need more time?",
    "What does a card cost for a visitor?",
    "Do you lend films as well?",
    "Thank you. What should I bring for a card?",
)


@dataclass(frozen=True)
class Chats:
    """``users`` who each ask ``turns`` questions, in turn, each with a system prompt in front."""

    users: int
    turns: int
    answer_tokens: int
    system: str
    block_size: int
    blocks: int
    weights: Weights


@dataclass(frozen=True)
class Turn:
    """``shared`` tokens of the prompt start an earlier sequence too, and ``spared`` came from the cache;
    ``ideal`` would, from one that forgets nothing."""

    user: int
    turn: int
    prompt: int
    shared: int
    spared: int
    ideal: int
    ttft_s: float
    answer: list[int]


@dataclass
class ChatRun:
    """All turns so far, with or without the prefix cache."""

    engine: Engine
    cached: bool
    turns: list[Turn] = field(default_factory=list)

    @property
    def prompt_tokens(self) -> int:
        return sum(turn.prompt for turn in self.turns)

    @property
    def spared_tokens(self) -> int:
        return sum(turn.spared for turn in self.turns)

    @property
    def ideal_tokens(self) -> int:
        return sum(turn.ideal for turn in self.turns)

    @property
    def hit_ratio(self) -> float:
        """Of all prompt tokens."""
        return self.spared_tokens / self.prompt_tokens if self.turns else math.nan


def converse(ctx: Context, chats: Chats, cached: bool) -> Iterator[ChatRun]:
    """The run after each turn. A user asks on when the answer has come; users take turns."""
    setting = Setting(
        blocks=chats.blocks, block_size=chats.block_size, prefix_cache=cached, weights=chats.weights
    )
    run = ChatRun(make_engine(ctx, setting), cached)
    tokenizer = ctx.model().tokenizer
    histories = [_opening(chats.system) for _ in range(chats.users)]
    stored: list[list[int]] = []  # all whose KV has ever been computed
    for turn in range(chats.turns):
        for user, history in enumerate(histories):
            ctx.check()
            history.append({"role": "user", "content": QUESTIONS[(turn + user) % len(QUESTIONS)]})
            prompt = tokenizer.encode(tokenizer.chat(history))
            asked = _ask(ctx, run, prompt, chats.answer_tokens)
            shared = longest_shared(prompt, stored)
            ideal = reusable_prefix(shared, len(prompt), chats.block_size)
            run.turns.append(
                Turn(user, turn, len(prompt), shared, asked.spared, ideal, asked.ttft_s, asked.answer)
            )
            # The last token of an answer is never computed on: its KV is not there.
            stored.append((prompt + asked.said)[:-1])
            history.append({"role": "assistant", "content": _text(tokenizer, asked.answer)})
            yield run


@dataclass(frozen=True)
class _Asked:
    spared: int
    ttft_s: float
    answer: list[int]
    said: list[int]  # the stop token included


def _ask(ctx: Context, run: ChatRun, prompt: list[int], answer_tokens: int) -> _Asked:
    engine = run.engine
    generation = engine.add(prompt, SamplingParams(max_tokens=answer_tokens))
    for _ in engine.run():
        ctx.check()
    root, answer = generation.root, generation.answers[0]
    return _Asked(root.cached, root.first_token_s - root.arrival_s, answer.tokens, root.tokens[len(prompt) :])


def _opening(system: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}] if system else []


def _text(tokenizer: ModelTokenizer, answer: Sequence[int]) -> str:
    """As it goes into the next prompt. The template and the tokenizer may make other tokens of it than the
    model said; then the cache does not know them, and the turn shows it."""
    return tokenizer.decode(list(answer), skip_special_tokens=True)
