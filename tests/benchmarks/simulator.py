"""How fast the fleet simulator is, and how much memory it takes: vidur's standard load, with every metric on.

10,000 requests with the lengths of Azure's conversation trace, Poisson at 6.45 a second, Llama-3-8B on one
A100, chunks of 512. Each run is a process of its own, as its peak memory is that of the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.benchmarks.figures import Figure, short, spread
from tests.benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "../shared/published/azure_llm_2023_conversation.csv"
RUNS = 5
REQUESTS, MANY_REQUESTS = 10_000, 300_000
LEAST_REQUESTS_PER_S = 9_000
MOST_MB = 150


def run() -> Iterator[Figure]:
    if not (ROOT / TRACE).exists():
        return  # the trace is not part of the project
    runs = [simulate(REQUESTS) for _ in range(RUNS)]
    seconds = [one["cpu_seconds"] for one in runs]
    best = REQUESTS / min(seconds)
    remark = f"best of {RUNS}: {short(best)} requests/s; CPU time {spread(seconds, 's')}"
    # The least, for what other processes take of the caches only adds.
    yield Figure(
        "simulator.cpu",
        "10,000 requests simulated, CPU time",
        min(seconds),
        "s",
        REQUESTS / LEAST_REQUESTS_PER_S,
        remark,
        tuple(seconds),
    )
    memory = max(one["peak_rss_mb"] for one in runs)
    yield Figure("simulator.memory", "peak memory of the whole process", memory, "MB", MOST_MB)
    many = simulate(MANY_REQUESTS)
    yield Figure(
        "simulator.growth",
        "peak memory with thirty times the requests, of that",
        many["peak_rss_mb"] / memory,
        "x",
        1.05,
        f"{short(many['peak_rss_mb'])} MB; {short(MANY_REQUESTS / many['cpu_seconds'])} requests/s",
    )


def simulate(requests: int) -> dict[str, Any]:
    """Values of the lab's metrics, by id."""
    options = {
        "requests": requests,
        "rate-per-s": 6.45,
        "lengths": "file",
        "trace-path": ROOT / TRACE,
        "served-model": "llama-3-8b",
        "device": "a100-80gb-sxm",
        "token-budget": 512,
        "most-sequences": 256,
        "block-size": 16,
    }
    command = [sys.executable, "-m", "labs", "run", "system/serving_simulator", "--json"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)["results"]
    return {result["id"]: result["value"] for result in results if result["kind"] == "metric"}
