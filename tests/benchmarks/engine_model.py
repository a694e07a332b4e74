"""A step of the engine's model runner beside transformers and, where it is installed, llama.cpp.

Samples of ours and of the peer alternate, so that a busy moment of the machine meets both. llama.cpp is
looked for in this Python, or in the one that ``INFERLAB_LLAMA_PYTHON`` names; without it those figures are
left out.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, median, short, spread
from tests.benchmarks.peer import at_its_best

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.engine.model_runner import ModelRunner
    from labs.engine.precision import Weights

START, STEPS, PREFILL = 64, 8, 512
ROUNDS = 4
BLOCK_SIZE, BLOCKS = 16, 8 * 16
BATCHES = (1, 8)
# At least so many times as fast as the peer, by weights and batch size.
AGAINST_TRANSFORMERS: dict[Weights, float] = {"fp32": 1.4, "bf16": 1.8}
AGAINST_LLAMA_CPP = {1: 0.8, 8: 1.5}
LLAMA_PYTHON = "INFERLAB_LLAMA_PYTHON"
# A step that takes more than this much longer than its roof is held back by neither of them.
NEAR = 1.6


@dataclass(frozen=True)
class Roofs:
    bandwidth: float
    flops: float


def run() -> Iterator[Figure]:
    import torch

    from labs.context import Context
    from labs.engine.fast_path import fast_path
    from labs.engine.model_runner import ModelRunner
    from labs.models.location import locate
    from labs.quantization.roofs import gemm_peak, read_bandwidth
    from labs.spec import LabError

    try:
        locate(None)
    except LabError:
        return
    ctx = Context()
    loaded = ctx.model()
    # Long enough to meet a quiet moment: a roof that a neighbour lowered would flatter us.
    bandwidth = read_bandwidth(ctx, budget_s=2)
    yield Figure("engine_model.bandwidth", "reading memory", bandwidth / 1e9, "GB/s")
    fp32, int8 = gemm_peak(ctx, "fp32", budget_s=2), gemm_peak(ctx, "int8", budget_s=2)
    yield Figure(
        "engine_model.peak", "multiplying FP32", fp32 / 1e9, "GFLOP/s", None, f"INT8 {int8 / 1e9:.0f}"
    )
    peer = llama_cpp(loaded.path, torch.get_num_threads())
    for weights in ("fp32", "bf16", "int8", "int4"):
        if fast_path(weights).path is None:
            continue
        runner = ModelRunner(loaded.model, blocks=BLOCKS, block_size=BLOCK_SIZE, weights=weights)
        roofs = Roofs(bandwidth, max(fp32, int8) if weights.startswith("int") else fp32)
        peers: dict[str, Peer] = {}
        if weights in AGAINST_TRANSFORMERS:
            peers["transformers"] = transformers_peer(weights)
        if weights == "int4" and peer is not None:
            peers["llama.cpp"] = peer
        for batch in BATCHES:
            # On a CPU without BF16 instructions anything larger would take transformers minutes.
            fit = {} if weights == "bf16" and batch > 1 else peers
            yield from decode_figures(runner, weights, batch, fit, roofs)
        yield from prefill_figures(runner, weights, {} if weights == "bf16" else peers, roofs)


class Peer:
    """``decode(batch)`` and ``prefill()``: seconds of ``STEPS`` steps, and of ``PREFILL`` tokens."""

    def __init__(self, decode: Callable[[int], float], prefill: Callable[[], float]) -> None:
        self.decode, self.prefill = decode, prefill


def decode_figures(
    runner: ModelRunner, weights: Weights, batch: int, peers: dict[str, Peer], roofs: Roofs
) -> Iterator[Figure]:
    samples = alternate(decoding(runner, batch), {name: partial(peers[name].decode, batch) for name in peers})
    step_s = median(samples[""]) / STEPS
    kv = 2 * runner.config.layers * runner.config.kv_heads * runner.config.head_dim * 4 * batch * START
    flops = 2 * runner.config.parameters * batch
    name, what = f"engine_model.{weights}.batch{batch}", f"decode, {weights.upper()}, batch {batch}"
    remark = held_back(step_s, runner.weight_bytes + kv, flops, roofs)
    yield Figure(name, what, batch / step_s, "tokens/s", None, remark, tuple(samples[""]))
    wanted = {"llama.cpp": AGAINST_LLAMA_CPP[batch]}
    if batch == 1 and weights in AGAINST_TRANSFORMERS:
        wanted["transformers"] = AGAINST_TRANSFORMERS[weights]
    yield from ratios(name, what, samples, wanted)


def prefill_figures(
    runner: ModelRunner, weights: Weights, peers: dict[str, Peer], roofs: Roofs
) -> Iterator[Figure]:
    samples = alternate(lambda: prefill(runner), {name: peers[name].prefill for name in peers})
    seconds = median(samples[""])
    config = runner.config
    # The head computes the last row alone.
    flops = 2 * (config.parameters - config.vocab * config.hidden) * PREFILL
    name, what = f"engine_model.{weights}.prefill", f"prefill of {PREFILL} tokens, {weights.upper()}"
    remark = held_back(seconds, runner.weight_bytes, flops, roofs)
    yield Figure(name, what, PREFILL / seconds, "tokens/s", None, remark, tuple(samples[""]))
    yield from ratios(name, what, samples, {})


def ratios(
    name: str, what: str, samples: dict[str, list[float]], wanted: dict[str, float]
) -> Iterator[Figure]:
    """Our time over each peer's, by pairs; the budget is the inverse of how many times faster we must be."""
    for peer, theirs in samples.items():
        if not peer:
            continue
        ratio = median([ours / other for ours, other in zip(samples[""], theirs, strict=True)])
        remark = f"{short(1 / ratio)} times as fast; {peer}: {spread(theirs, 's')}"
        budget = 1 / wanted[peer] if peer in wanted else None
        yield Figure(f"{name}.{peer}", f"{what}: time, of {peer}", ratio, "x", budget, remark)


def held_back(seconds: float, moved_bytes: float, flops: float, roofs: Roofs) -> str:
    """The achieved shares of both roofs, and which of them, if any, explains the time."""
    memory_s, compute_s = moved_bytes / roofs.bandwidth, flops / roofs.flops
    shares = (
        f"{100 * memory_s / seconds:.0f} % of the bandwidth, {100 * compute_s / seconds:.0f} % of the peak"
    )
    if seconds > NEAR * max(memory_s, compute_s):
        return (
            f"{shares}: held back by neither alone, {1e3 * (seconds - max(memory_s, compute_s)):.1f} ms more"
        )
    return f"{shares}: held back by {'memory' if memory_s > compute_s else 'compute'}"


def alternate(ours: Callable[[], float], peers: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Samples of us (``""``) and of each peer in turn, after one round that warms up."""
    calls = {"": ours, **peers}
    rounds = [{name: call() for name, call in calls.items()} for _ in range(ROUNDS + 1)]
    return {name: [one[name] for one in rounds[1:]] for name in calls}


def decoding(runner: ModelRunner, batch: int) -> Callable[[], float]:
    """A call that takes ``STEPS`` steps of ``batch`` sequences behind ``START`` tokens each, in seconds."""
    from labs.engine.work import Work

    width = BLOCKS // max(BATCHES)
    tables = [list(range(i * width, (i + 1) * width)) for i in range(batch)]
    runner.step([Work(list(range(100, 100 + START)), 0, table, False) for table in tables])

    def decode() -> float:
        begin = time.perf_counter()
        for i in range(STEPS):  # the same positions every time
            runner.step([Work([5], START + i, table, True) for table in tables])
        return time.perf_counter() - begin

    return decode


def prefill(runner: ModelRunner) -> float:
    from labs.engine.work import Work

    work = Work(list(range(100, 100 + PREFILL)), 0, list(range(PREFILL // BLOCK_SIZE)), True)
    begin = time.perf_counter()
    runner.step([work])
    return time.perf_counter() - begin


def transformers_peer(weights: Weights) -> Peer:
    """``generate`` on the same weights."""
    return peer_of([sys.executable, "-m", "tests.benchmarks.transformers_peer", weights])


def llama_cpp(path: Path, threads: int) -> Peer | None:
    """None where no Python with llama-cpp-python is known."""
    python = os.environ.get(LLAMA_PYTHON)
    if python is None and importlib.util.find_spec("llama_cpp") is None:
        return None
    script = Path(__file__).with_name("llama_cpp_peer.py")
    return peer_of([python or sys.executable, str(script), str(path), str(threads)])


def peer_of(command: list[str]) -> Peer:
    process = at_its_best(command, f"decode 1 {START} {STEPS}")
    return Peer(
        lambda batch: process.ask(f"decode {batch} {START} {STEPS}"),
        lambda: process.ask(f"prefill {PREFILL}"),
    )
