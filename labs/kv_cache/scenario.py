"""What is asked of the engine: prompts as typed, made into requests that arrive one after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from labs.engine.sampling import SamplingParams
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.engine import Engine, StepRecord
    from labs.engine.generation import Generation
    from labs.models.tokenizer import ModelTokenizer

MOST_PROMPTS = 16
MOST_SEQUENCES = 128  # all prompts with all their samples
TEMPERATURE = 0.8  # of parallel samples; a single answer is greedy


@dataclass(frozen=True)
class Scenario:
    """``prompts`` are token ids. A request comes every ``arrive_every`` steps (0: all at the start)."""

    prompts: list[list[int]]
    params: SamplingParams
    arrive_every: int

    def run(self, ctx: Context, engine: Engine) -> Iterator[tuple[StepRecord, list[Generation]]]:
        """Serve everything to the end; yields after each step. Where nothing runs the next one comes."""
        generations: list[Generation] = []
        step, coming = 0, list(self.prompts)
        while coming or engine.busy:
            ctx.check()
            while coming and (not engine.busy or step >= len(generations) * self.arrive_every):
                seed = self.params.seed + len(generations)
                generations.append(engine.add(coming.pop(0), seeded(self.params, seed)))
            record = engine.step()
            assert record is not None, "whoever may run alone is admitted when nobody else runs"
            step += 1
            yield record, generations

    @property
    def most_steps(self) -> int:
        """About so many, if nobody has to wait."""
        return len(self.prompts) * self.arrive_every + self.params.max_tokens

    def without_forks(self) -> Scenario:
        """The same answers asked for one by one: each sample a request with its own copy of the prompt."""
        params = self.params
        single = seeded(params, params.seed, n=1)
        prompts = [prompt for prompt in self.prompts for _ in range(params.n)]
        return replace(self, prompts=prompts, params=single)


def seeded(params: SamplingParams, seed: int, n: int | None = None) -> SamplingParams:
    return msgspec.structs.replace(params, seed=seed, n=params.n if n is None else n)


def lines_of(text: str) -> list[str]:
    """One prompt a line, or several on a line with ``|`` between them. LabError if there is none, or too
    many."""
    found = [part.strip() for part in text.replace("|", "\n").splitlines() if part.strip()]
    if not 1 <= len(found) <= MOST_PROMPTS:
        zh = f"有 {len(found)} 条提示词，应为 1 到 {MOST_PROMPTS} 条（用 | 隔开）"
        en = f"{len(found)} prompts: allowed are 1 to {MOST_PROMPTS}, with | between them"
        raise LabError(Text(zh=zh, en=en))
    return found


def chat_ids(tokenizer: ModelTokenizer, system: str, question: str) -> list[int]:
    """The ids of a conversation's start. Without ``system`` the template may put in one of its own."""
    messages = [{"role": "user", "content": question}]
    if system.strip():
        messages.insert(0, {"role": "system", "content": system.strip()})
    return tokenizer.encode(tokenizer.chat(messages))


def sampling(*, samples: int, beams: int, new_tokens: int, seed: int) -> SamplingParams:
    """Greedy for one answer, sampled for several; with ``beams`` a search for the best one."""
    if beams:
        return SamplingParams(max_tokens=new_tokens, beams=beams, seed=seed)
    temperature = TEMPERATURE if samples > 1 else 0.0
    return SamplingParams(max_tokens=new_tokens, n=samples, temperature=temperature, seed=seed)
