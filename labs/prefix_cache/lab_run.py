"""The lab's two runs: conversations with the cache off and on, and a trace with more and more room."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from labs.prefix_cache.reference import spared_in_order
from labs.results import Provenance
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.precision import Weights
    from labs.prefix_cache.chats import ChatRun
    from labs.results import Result
    from labs.simulator.traces import Request

_MODEL, _DEVICE = "llama-3-8b", "a100-80gb-sxm"


def run_chats(
    ctx: Context,
    *,
    users: int,
    turns: int,
    answer_tokens: int,
    system: bool,
    block_size: int,
    blocks: int,
    weights: Weights,
) -> Iterator[Result]:
    """The same questions to an engine without the cache and to one with it, on the real model."""
    from labs.prefix_cache.chat_views import chat_results, explanation
    from labs.prefix_cache.chats import SYSTEM, Chats, converse

    chats = Chats(users, turns, answer_tokens, SYSTEM if system else "", block_size, blocks, weights)
    config = ctx.model().config
    # Turn by turn on both, so that a busy moment of the machine meets both.
    both = zip(converse(ctx, chats, cached=False), converse(ctx, chats, cached=True), strict=True)
    for done, (off, on) in enumerate(both, start=1):
        ctx.progress(done / (users * turns), Text(zh="轮流提问，两边各答一次", en="asking both, in turn"))
        yield from chat_results(off, on, config)
    yield from _replay(on, blocks)
    yield explanation(off, on)


def run_trace(ctx: Context, path: str, most: int, rate_per_s: float) -> Iterator[Result]:
    """The simulator, with room from what the longest request needs to all that the device has."""
    from labs.prefix_cache.trace_run import BLOCK_SIZE, room_for, serve_with, sizes
    from labs.prefix_cache.trace_views import explanation, trace_results
    from labs.simulator.constants import constants
    from labs.simulator.cost import RooflineCost
    from labs.simulator.deployment import Deployment
    from labs.simulator.hardware import device
    from labs.simulator.models import model

    requests = list(itertools.islice(_requests(path, rate_per_s, most, ctx.seed), most))
    deployment = Deployment(model=model(_MODEL), device=device(_DEVICE))
    cost = RooflineCost(deployment, constants("kernels", _DEVICE))
    room = deployment.kv_blocks(BLOCK_SIZE)
    ideal = sum(spared_in_order(requests, BLOCK_SIZE)) / sum(one.input_tokens for one in requests)
    off = serve_with(requests, cost, room, False, ctx.check)
    runs = []
    steps = list(sizes(min(room, 2 * room_for(requests)), room))
    for done, blocks in enumerate(steps):
        share = Text(zh=f"KV 空间 {blocks * BLOCK_SIZE} token", en=f"room for {blocks * BLOCK_SIZE} tokens")
        ctx.progress(done / len(steps), share)
        runs.append(serve_with(requests, cost, blocks, True, ctx.check))
        yield from trace_results(runs, off, ideal)
    yield explanation(runs, off, ideal)


def _replay(run: ChatRun, blocks: int) -> Iterator[Result]:
    from labs.engine import replay
    from labs.engine.recording import Recording

    size = run.engine.scheduler.manager.block_size
    recording = Recording(run.engine.events, size)
    # Where somebody is being answered: at the very end all blocks lie in the cache.
    middle = len(recording.events) // 2
    yield replay.trace(recording, Provenance.MEASURED, run.engine.tokenizer, at=middle)
    yield replay.block_map(
        recording,
        blocks,
        Provenance.MEASURED,
        Text(zh="有缓存时的物理块", en="Blocks, with the prefix cache"),
        Text(
            zh="斜纹的块没有主人，但内容还记着：下一个开头相同的提示词直接拿来用。",
            en="A hatched block has no owner, but its contents are known: the next prompt that starts alike "
            "takes it as it is.",
        ),
    )


def _requests(path: str, rate_per_s: float, most: int, seed: int) -> Iterator[Request]:
    if not path.strip():
        from labs.prefix_cache.sessions import Sessions, session_requests

        return session_requests(Sessions(requests=most, rate_per_s=rate_per_s), seed)
    from labs.simulator.traces import read_trace

    file = Path(path.strip()).expanduser()
    if not file.is_file():
        raise LabError(Text(zh=f"没有这个文件：{file}", en=f"there is no file {file}"))
    return read_trace(file)
