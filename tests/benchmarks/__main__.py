"""``python -m tests.benchmarks [NAME ...]``: the budgets of the design, measured on this machine.

Each benchmark runs in a process of its own: none starts with what another has imported, and one that crashes
costs only itself. A figure over its budget is marked and does not change the exit status; a crash makes it 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import ROOT, Neighbours, machine
from tests.benchmarks.report import Outcome, store, summary, table

if TYPE_CHECKING:
    from collections.abc import Sequence

# A module each, with ``run() -> Iterator[Figure]``.
BENCHMARKS = {
    "start": "process start to first paint and to ready, beside a bare window with an equal tree",
    "notes": "opening a note, cached and for the first time",
    "search": "a keystroke in the search box to its results on screen",
    "stalls": "the longest gap of the event loop while each lab opens and runs",
    "slider": "a slider's move in the granularity lab to its first new picture",
    "frames": "1 MiB results from the worker to the window",
    "views": "large results: blocks, bars and tiles under a cursor of 100,000 events, code, a graph",
    "operators": "kernels beside cuBLAS, bandwidth and peak on a GPU; fast paths beside naive ones on a CPU",
    "engine": "the engine on a trace of requests beside padded batches of transformers, and its own work",
    "sweep": "the perplexity sweep beside the forward passes that it contains",
    "engine_model": "decode and prefill of the engine's model runner beside transformers and llama.cpp",
    "simulator": "10,000 requests through the fleet simulator: processor time and memory",
    "simulator_fidelity": "the simulator calibrated on the engine, beside the engine's own run",
}
TIMEOUT_S = 900


def main(argv: Sequence[str]) -> int:
    """Run what was asked for, all by default; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="\n".join(f"{name:10}{what}" for name, what in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    if options.inside:
        return inside(options.names[0])
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    about = machine()
    print("\n".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    outcomes = []
    for name in options.names or BENCHMARKS:
        outcomes.append(outcome(name))
        print(f"\n{table(outcomes[-1])}", flush=True)
    print(f"\n{summary(outcomes)}\nstored in {store(outcomes, about).relative_to(ROOT)}")
    return int(any(outcome.crash for outcome in outcomes))


def outcome(name: str) -> Outcome:
    """Run one benchmark in a process of its own; what it reported before a crash is kept."""
    neighbours, start = Neighbours(), time.perf_counter()
    command = [sys.executable, "-m", "tests.benchmarks", "--inside", name]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
        output, crash = done.stdout, done.stderr or f"exit status {done.returncode}"
        crash = crash if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        stdout = error.stdout or b""
        output = stdout.decode() if isinstance(stdout, bytes) else stdout
        crash = f"not done after {TIMEOUT_S} s"
    lines = [line for line in output.splitlines() if line.startswith("{")]
    figures = [Figure(**json.loads(line)) for line in lines]
    return Outcome(name, figures, time.perf_counter() - start, neighbours.share(), crash)


def inside(name: str) -> int:
    """In the child: a line of JSON for each figure, as soon as it is known."""
    module = importlib.import_module(f"tests.benchmarks.{name}")
    for figure in module.run():
        print(json.dumps(asdict(figure)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
