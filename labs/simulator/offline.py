"""An offline benchmark: all requests at once, all alike, as fast as the deployment can.

How TensorRT-LLM's ``trtllm-bench throughput`` measures (docs/source/performance/perf-overview.md, 258c7540):
requests are admitted when their whole KV fits ("guaranteed no evict").
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import msgspec

from labs.engine.block_manager import BlockManager
from labs.engine.scheduler import Scheduler
from labs.simulator.cost import Constants, RooflineCost
from labs.simulator.deployment import Deployment
from labs.simulator.hardware import Compute, device
from labs.simulator.models import model
from labs.simulator.replica import Replica
from labs.simulator.report import report
from labs.simulator.simulator import Simulator
from labs.simulator.ticks import PER_SECOND
from labs.simulator.workloads import OpenLoop, fixed_lengths, open_workload
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Final

# trtllm-bench: sequences at most (bench/build/tuning.py), tokens a step (as the document's example prints),
# tokens a block, and the share of free memory that KV takes.
MOST_SEQUENCES: Final = 4096
TOKEN_BUDGET: Final = 8192
BLOCK_SIZE: Final = 64
KV_SHARE: Final = 0.95

# Requests by prompt and answer, from the same document.
REQUESTS: Final = {
    (128, 128): 30000,
    (128, 2048): 3000,
    (128, 4096): 1500,
    (2048, 128): 3000,
    (2048, 2048): 1500,
    (5000, 500): 1500,
    (1000, 1000): 3000,
    (500, 2000): 3000,
    (20000, 2000): 1000,
}

# The file's columns: the device, and the types of weights and KV that it ran with.
_MODELS: Final = {"L8B": "llama-3.1-8b", "L70B": "llama-3.1-70b", "L405B": "llama-3.1-405b"}
_RUNS: Final[dict[str, tuple[str, Compute, float]]] = {
    "H100": ("h100-sxm", "fp8", 1.0),
    "A100": ("a100-80gb-sxm", "bf16", 2.0),
}


class OfflineRun(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One measured run: ``reported`` is output tokens/s of all devices together."""

    column: str
    deployment: Deployment
    prompt: int
    answer: int
    requests: int
    reported: float

    def capacity(self, reserved_bytes: float) -> int:
        """Sequences that run at once, where ``reserved_bytes`` of each device hold neither weights nor KV.
        LabError where none fits."""
        deployment = self.deployment
        share = 1 - reserved_bytes / deployment.device.memory_bytes
        blocks = int(deployment.kv_blocks(BLOCK_SIZE, share) * KV_SHARE)
        return min(blocks // -(-(self.prompt + self.answer) // BLOCK_SIZE), MOST_SEQUENCES)

    def estimate(self, constants: Constants, reserved_bytes: float) -> float:
        """Output tokens/s by waves: as many requests as fit are prefilled, then decode together."""
        batch = max(1, self.capacity(reserved_bytes))
        cost = RooflineCost(self.deployment, constants)
        full, rest = divmod(self.requests, batch)
        ticks = full * self._wave(cost, batch) + (self._wave(cost, rest) if rest else 0)
        return self.requests * self.answer / ticks * PER_SECOND

    def _wave(self, cost: RooflineCost, batch: int) -> float:
        together = max(1, min(batch, TOKEN_BUDGET // self.prompt))
        prefill = cost.linear(together * self.prompt, together) / together
        prefill += cost.prefill_attention(self.prompt, 0)
        context = round(batch * (self.prompt + self.answer / 2))
        step = cost.linear(batch, batch) + cost.decode_attention(batch, context).ticks
        return batch * prefill + (self.answer - 1) * step

    def simulate(
        self,
        constants: Constants,
        reserved_bytes: float,
        check: Callable[[], None] | None = None,
    ) -> float:
        """Output tokens/s of the simulator."""
        batch = max(1, self.capacity(reserved_bytes))
        blocks = batch * -(-(self.prompt + self.answer) // BLOCK_SIZE)
        # A block more for each hundred: what the scheduler keeps free when it admits.
        manager = BlockManager(blocks + blocks // 50 + 1, BLOCK_SIZE)
        scheduler = Scheduler(manager, most_sequences=batch, token_budget=max(TOKEN_BUDGET, batch))
        replica = Replica(scheduler, RooflineCost(self.deployment, constants))
        lengths = fixed_lengths(self.prompt, self.answer)
        arrivals = iter([0.0] * self.requests)
        simulator = Simulator([replica], OpenLoop(open_workload(arrivals, lengths, self.requests)))
        return report(simulator.run(check), [replica]).output_tokens_per_s


def read_offline_runs(path: Path) -> list[OfflineRun]:
    """The runs of a file with the columns model, tp, isl, osl, and one of tokens/s for each device.

    LabError names the line that is malformed.
    """
    runs: list[OfflineRun] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise LabError(Text(zh=f"无法读取 {path}：{error}", en=f"cannot read {path}: {error}")) from error
    numbers = [number for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    for number, row in zip(numbers[1:], csv.DictReader(lines[n - 1] for n in numbers), strict=True):
        try:
            runs += _runs(row)
        except (KeyError, ValueError, TypeError) as error:
            zh = f"{path.name} 第 {number} 行：{error}"
            raise LabError(Text(zh=zh, en=f"{path.name}, line {number}: {error}")) from error
    return runs


def _runs(row: dict[str, str]) -> list[OfflineRun]:
    prompt, answer = int(row["isl"]), int(row["osl"])
    found = []
    for column, (name, compute, size) in _RUNS.items():
        if row[column]:
            deployment = Deployment(
                model=model(_MODELS[row["model"]]),
                device=device(name),
                tensor_parallel=int(row["tp"]),
                compute=compute,
                weight_bytes=size,
                kv_bytes=size,
            )
            found.append(
                OfflineRun(
                    column=column,
                    deployment=deployment,
                    prompt=prompt,
                    answer=answer,
                    requests=REQUESTS[prompt, answer],
                    reported=float(row[column]),
                )
            )
    return found
