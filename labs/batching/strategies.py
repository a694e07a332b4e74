"""The ways of batching that race, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labs.text import Text

if TYPE_CHECKING:
    from labs.engine.serving import Batching

Strategy = Literal["static", "bucketed", "dynamic", "continuous", "chunked", "disaggregated"]

TITLES: dict[Strategy, Text] = {
    "static": Text(zh="静态", en="static"),
    "bucketed": Text(zh="静态分桶", en="static, in buckets"),
    "dynamic": Text(zh="动态", en="dynamic"),
    "continuous": Text(zh="连续", en="continuous"),
    "chunked": Text(zh="分块预填充", en="chunked prefill"),
    "disaggregated": Text(zh="分离", en="disaggregated"),
}

EXPLAINED: dict[Strategy, Text] = {
    "static": Text(
        zh="凑满一批才开始；提示词补齐到最长，谁先答完都要占着位置，等最长的那条。",
        en="A batch starts when it is full. Prompts are padded to the longest, and who has ended keeps a "
        "place "
        "until the longest answer ends.",
    ),
    "bucketed": Text(
        zh="与静态相同，但一批只收长度落在同一个 2 的幂区间里的提示词，补齐就少。",
        en="As static, but a batch takes only prompts whose lengths fall between the same powers of two, so "
        "that less is padding.",
    ),
    "dynamic": Text(
        zh="与静态相同，但最早到的等够时限就带着已到的开始（Triton 的 dynamic batcher）。",
        en="As static, but starts with what has come once the first has waited long enough (Triton's dynamic "
        "batcher).",
    ),
    "continuous": Text(
        zh="每一步都重新组批：谁答完立刻离开，空位马上给排队的；预填充单独占一步（Orca、vLLM V0）。",
        en="The batch is formed anew at each step: who ends leaves, who waits gets the place. A prefill has "
        "a "
        "step of its own (Orca, vLLM V0).",
    ),
    "chunked": Text(
        zh="连续批处理，且每步 token 数有预算，长提示词切成块与解码同批，谁也不必停下等它（Sarathi-Serve、"
        "vLLM V1）。",
        en="Continuous, and a step has a budget of tokens: long prompts are cut and computed beside the "
        "decodes, so none of "
        "them stops (Sarathi-Serve, vLLM V1).",
    ),
    "disaggregated": Text(
        zh="预填充和解码各用一张卡，KV 经互连传过去（DistServe）。",
        en="Prefill and decode have a device each, and the KV is sent from one to the other (DistServe).",
    ),
}

# How the schedulers are called that the engine and the simulator share.
BATCHING: dict[Strategy, Batching] = {
    "static": "static",
    "bucketed": "bucketed",
    "dynamic": "dynamic",
    "continuous": "continuous",
    "chunked": "chunked",
}

Field = Literal["all", "static_continuous", "dynamic_continuous", "continuous_chunked"]

FIELDS: dict[Field, tuple[Strategy, ...]] = {
    "all": ("static", "dynamic", "continuous", "chunked"),
    "static_continuous": ("static", "continuous"),
    "dynamic_continuous": ("dynamic", "continuous"),
    "continuous_chunked": ("continuous", "chunked"),
}
