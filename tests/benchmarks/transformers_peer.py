"""transformers' ``generate`` on our weights, as a process of its own: a line in, the seconds of it out.

``python -m tests.benchmarks.transformers_peer WEIGHTS``; then on standard input
``decode BATCH CONTEXT STEPS``, ``prefill TOKENS`` or ``padded PLACES PROMPT:ANSWER ...``, which serves these
requests in static batches of ``PLACES``, padded on the left as decoder-only models must be. It prints
``ready`` first.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from labs.context import Context
from tests.benchmarks.engine import prompt
from tests.labs.models.test_llama import transformers_twin


def main(weights: str) -> None:
    model: Any = transformers_twin(Context().model())
    model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, None
    if weights == "bf16":
        model = model.bfloat16()
    asked = {"decode": decode, "prefill": prefill, "padded": padded}
    print("ready", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            what, *arguments = line.split()
            print(asked[what](model, *arguments), flush=True)


def decode(model: Any, batch: str, context: str, steps: str) -> float:
    moments = _moments(model, int(batch), int(context), int(steps) + 1)
    return moments[-1] - moments[1]


def prefill(model: Any, tokens: str) -> float:
    moments = _moments(model, 1, int(tokens), 1)
    return moments[1] - moments[0]


def padded(model: Any, places: str, *requests: str) -> float:
    lengths = [tuple(map(int, request.split(":"))) for request in requests]
    begin = time.perf_counter()
    for start in range(0, len(lengths), int(places)):
        _batch(model, lengths[start : start + int(places)])
    return time.perf_counter() - begin


def _batch(model: Any, lengths: list[tuple[int, ...]]) -> None:
    longest, new = max(length for length, _ in lengths), max(answer for _, answer in lengths)
    ids, mask = torch.zeros(len(lengths), longest, dtype=torch.long), torch.zeros(len(lengths), longest)
    for row, (length, _) in enumerate(lengths):
        ids[row, -length:], mask[row, -length:] = torch.tensor(prompt(length)), 1
    out = model.generate(ids, attention_mask=mask.long(), max_new_tokens=new, do_sample=False)
    assert out.shape[1] == longest + new


def _moments(model: Any, batch: int, tokens: int, new: int) -> list[float]:
    """The start, and then the moment at which the logits of each new token are there."""
    moments = [time.perf_counter()]

    def note(_: Any, scores: Any) -> Any:
        moments.append(time.perf_counter())
        return scores

    ids = torch.arange(100, 100 + tokens).expand(batch, -1)
    model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        do_sample=False,
        logits_processor=[note],
    )
    return moments


if __name__ == "__main__":
    main(sys.argv[1])
