"""The requests that every way of batching serves: when they come, and how long they are."""

from __future__ import annotations

import random
import re
from itertools import islice
from typing import Literal

from labs.simulator.traces import Request
from labs.simulator.workloads import gamma_arrivals
from labs.spec import UsageError
from labs.text import Text

Mix = Literal["tail", "uniform", "equal", "long_prompts"]
Lengths = tuple[int, int]  # tokens of the prompt, and of the answer

MOST_TYPED, LATEST_S = 48, 60.0
MOST_PROMPT, MOST_ANSWER = 1024, 256
LONG_PROMPT = 8  # a long prompt is so many times as long as the others' longest

_ENTRY = re.compile(r"(\d+(?:\.\d+)?)(?::(\d+)/(\d+))?")


def requests_of(
    arrivals: str,
    *,
    count: int,
    rate_per_s: float,
    burstiness: float,
    mix: Mix,
    longest_prompt: int,
    longest_answer: int,
    seed: int,
) -> list[Request]:
    """In order of arrival, the first at time 0 unless typed ``arrivals`` say else.

    ``burstiness`` is the gaps' coefficient of variation. UsageError where ``arrivals`` cannot be read.
    """
    typed = parse_arrivals(arrivals)
    if typed:
        times = [at_s for at_s, _ in typed]
    else:
        drawn = list(islice(gamma_arrivals(rate_per_s, burstiness, seed), count))
        times = [at_s - drawn[0] for at_s in drawn]
    lengths = mixed_lengths(mix, len(times), longest_prompt, longest_answer, seed)
    for index, (_, own) in enumerate(typed):
        lengths[index] = own or lengths[index]
    return [Request(at_s, *pair) for at_s, pair in zip(times, lengths, strict=True)]


def mixed_lengths(mix: Mix, count: int, longest_prompt: int, longest_answer: int, seed: int) -> list[Lengths]:
    """``tail``: exactly a quarter of the answers (rounded up) is the longest, the others are a twelfth to a
    quarter of it. ``uniform``: answers of an eighth to the whole. ``equal``: all alike. ``long_prompts``: a
    quarter of the prompts has LONG_PROMPT times the longest. Which ones these are is drawn."""
    draw = random.Random(f"{seed}/{mix}")
    if mix == "equal":
        return [(longest_prompt, longest_answer)] * count
    special = set(draw.sample(range(count), -(-count // 4)))

    def between(low: float, high: int) -> int:
        return draw.randint(max(1, min(round(low), high)), high)

    lengths = []
    for index in range(count):
        prompt = between(longest_prompt / 4, longest_prompt)
        answer = between(longest_answer / 8, longest_answer)
        if mix == "tail":
            short = between(longest_answer / 12, max(1, longest_answer // 4))
            answer = longest_answer if index in special else short
        elif index in special and mix == "long_prompts":
            prompt = LONG_PROMPT * longest_prompt
        lengths.append((prompt, answer))
    return lengths


def parse_arrivals(text: str) -> list[tuple[float, Lengths | None]]:
    """``0, 0.2, 1.5:64/8``: seconds, each perhaps with the tokens of prompt and answer; ascending.

    UsageError that names what cannot be read, and what is allowed.
    """
    entries = re.split(r"[\s,，、;；]+", text.strip()) if text.strip() else []
    if len(entries) > MOST_TYPED:
        raise _refusal(text, f"{len(entries)} 个请求，最多 {MOST_TYPED} 个", f"at most {MOST_TYPED} requests")
    return sorted((_entry(one) for one in entries if one), key=lambda entry: entry[0])


def _entry(text: str) -> tuple[float, Lengths | None]:
    match = _ENTRY.fullmatch(text)
    if match is None:
        zh, en = "应形如 0.2 或 0.2:64/8（秒:提示词/回答）", "write 0.2, or 0.2:64/8 (seconds:prompt/answer)"
        raise _refusal(text, zh, en)
    at_s, prompt, answer = float(match[1]), match[2], match[3]
    if at_s > LATEST_S:
        raise _refusal(text, f"最晚 {LATEST_S:g} s", f"at most {LATEST_S:g} s")
    if prompt is None:
        return at_s, None
    if not (1 <= int(prompt) <= MOST_PROMPT and 1 <= int(answer) <= MOST_ANSWER):
        zh = f"提示词 1 – {MOST_PROMPT}、回答 1 – {MOST_ANSWER} 个 token"
        raise _refusal(text, zh, f"a prompt of 1 – {MOST_PROMPT} tokens, an answer of 1 – {MOST_ANSWER}")
    return at_s, (int(prompt), int(answer))


def _refusal(given: str, zh: str, en: str) -> UsageError:
    return UsageError(Text(zh=f"到达时刻 {given!r}：{zh}", en=f"arrivals {given!r}: {en}"))
