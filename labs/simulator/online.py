"""A served trace with the times that were measured, replayed: the same arrivals and lengths, simulated."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import msgspec

from labs.engine.block_manager import BlockManager
from labs.engine.scheduler import Scheduler
from labs.formulas.serving import end_to_end, ttft
from labs.simulator.cost import Constants, RooflineCost
from labs.simulator.deployment import Deployment
from labs.simulator.hardware import device
from labs.simulator.models import model
from labs.simulator.replica import Replica
from labs.simulator.report import report
from labs.simulator.simulator import Simulator
from labs.simulator.traces import read_trace
from labs.simulator.workloads import OpenLoop
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

# vLLM 0.19's run on an RTX 4090 (casys-kaist/LLMServingSim at 5daddb21, bench/examples).
BLOCKS: Final = 2588
BLOCK_SIZE: Final = 16
MOST_SEQUENCES: Final = 256
TOKEN_BUDGET: Final = 2048


class Means(msgspec.Struct, frozen=True):
    """Seconds, over all requests."""

    ttft: float
    tpot: float
    end_to_end: float


def measured(path: Path) -> Means:
    """The means of a file with the columns arrival_s, output_tokens, first_token_s and last_token_s.

    LabError names the line that is malformed.
    """
    firsts, gaps, wholes = [], [], []
    with path.open(encoding="utf-8") as lines:
        numbered = [(n, line) for n, line in enumerate(lines, 1) if not line.startswith("#")]
    rows = csv.DictReader(line for _, line in numbered)
    for (number, _), row in zip(numbered[1:], rows, strict=True):
        try:
            arrival, first, last = (float(row[key]) for key in ("arrival_s", "first_token_s", "last_token_s"))
            tokens = int(row["output_tokens"])
        except (KeyError, ValueError, TypeError) as error:
            zh = f"{path.name} 第 {number} 行：{error}"
            raise LabError(Text(zh=zh, en=f"{path.name}, line {number}: {error}")) from error
        firsts.append(ttft(arrival, [first]))
        wholes.append(end_to_end(arrival, [last]))
        if tokens > 1:
            gaps.append((last - first) / (tokens - 1))
    return Means(sum(firsts) / len(firsts), sum(gaps) / len(gaps), sum(wholes) / len(wholes))


def simulated(path: Path, constants: Constants) -> Means:
    """The same requests through the scheduler with that run's settings."""
    deployment = Deployment(model=model("llama-3.1-8b"), device=device("rtx-4090"))
    manager = BlockManager(BLOCKS, BLOCK_SIZE)
    scheduler = Scheduler(manager, most_sequences=MOST_SEQUENCES, token_budget=TOKEN_BUDGET)
    replica = Replica(scheduler, RooflineCost(deployment, constants))
    simulator = Simulator([replica], OpenLoop(read_trace(path)))
    figures = report(simulator.run(), [replica])
    return Means(figures.ttft.mean, figures.tpot.mean, figures.end_to_end.mean)
