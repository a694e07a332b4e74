"""Beam search on whole sequences: no cache, no blocks, no batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from labs.engine.sampling import SamplingParams
    from labs.models.llama import Llama


@torch.inference_mode()
def naive_beam_search(
    model: Llama, prompt: list[int], params: SamplingParams, stops: tuple[int, ...]
) -> list[tuple[float, list[int]]]:
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []

    def normal(score: float, tokens: list[int]) -> float:
        return score / max(1, len(tokens)) ** params.length_penalty

    def best(candidates: list[tuple[float, list[int]]], most: int) -> list[tuple[float, list[int]]]:
        return sorted(candidates, key=lambda one: -one[0])[:most]

    while True:
        candidates = []
        for score, tokens in live:
            logits = model(torch.tensor([prompt + tokens]))[0, -1]
            for token, log_probability in enumerate(logits.log_softmax(dim=-1).tolist()):
                candidates.append((score + log_probability, tokens, token))
        candidates.sort(key=lambda one: -one[0])
        live = []
        for score, tokens, token in candidates:
            if token in stops:
                ended = best([*ended, (normal(score, tokens), tokens)], params.beams)
            else:
                live.append((score, [*tokens, token]))
            if len(live) == params.beams:
                break
        full = len(ended) == params.beams
        enough = full and (params.early_stopping or ended[-1][0] >= normal(*live[0]))
        if enough or len(live[0][1]) == params.max_tokens:
            together = best([*ended, *((normal(*one), one[1]) for one in live)], params.beams)
            return together[: params.n]
