"""Positions within the cache, as StreamingLLM gives them, or those of the text: how far a query is from the
sinks.

"StreamingLLM focuses on positions within the cache rather than those in the original text" (Xiao et al.,
2309.17453, section 3.2). The authors' code keeps keys as they are before RoPE, and at every step rotates
what the cache holds by 0, 1, 2, ... (mit-han-lab/streaming-llm, ``pos_shift/modify_llama.py``). A product of
rotated vectors depends on their distance alone, and the latest tokens are neighbours in the text as in the
cache: only the distance to the sinks is another one. So keys stay as they are here, and the query that meets
the sinks is turned by the difference; a test holds that to a cache that does as the authors do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labs.attention.model_pass import rotation, scores_of
from labs.models.llama import rotate

if TYPE_CHECKING:
    from torch import Tensor

    from labs.models.config import ModelConfig

Positions = Literal["cache", "original"]


def turns(queries: Tensor, positions: Positions, budget: int, streamed: int = 0) -> Tensor:
    """How much farther from the sinks each query stands than its number in ``queries [C]`` says, ``[C]``.

    ``streamed``: tokens that have come and gone between the sinks and the numbered ones that follow.
    """
    in_text = queries + streamed
    # A full cache has its newest token, the query's own, at budget - 1.
    return (in_text if positions == "original" else in_text.clamp(max=budget - 1)) - queries


def turned_scores(q: Tensor, keys: Tensor, sinks: int, by: Tensor, config: ModelConfig) -> Tensor:
    """``scores_of(q, keys)``, but with ``q [B, H, C, D]`` turned by the positions ``by [C]`` for the first
    ``sinks`` keys."""
    scores = scores_of(q, keys)
    if by.any():
        cos, sin = rotation(config, by)
        scores[..., :sinks] = scores_of(rotate(q, cos.to(q.dtype), sin.to(q.dtype)), keys[:, :, :sinks])
    return scores
