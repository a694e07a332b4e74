"""Another engine in a process of its own: its threads wait as suits it, whatever suits ours."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Literal

from tests.benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

# How its threads wait for each other: spinning, as its authors have it, or asleep, which suits busy cores.
Waiting = Literal["default", "passive"]


class PeerProcess:
    """``command`` prints ``ready``, then answers each line that it is sent with a number of seconds."""

    def __init__(self, command: Sequence[str], waiting: Waiting) -> None:
        self.waiting = waiting
        env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env if waiting == "default" else {**env, "OMP_WAIT_POLICY": waiting},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        if self._answers.readline() != "ready\n":
            raise RuntimeError(f"no answer from {' '.join(command)}")

    def ask(self, request: str) -> float:
        self._questions.write(f"{request}\n")
        self._questions.flush()
        return float(self._answers.readline())

    def close(self) -> None:
        """It ends with its input."""
        self._questions.close()
        self._process.wait()


def at_its_best(command: Sequence[str], probe: str) -> PeerProcess:
    """In the way of waiting that answers ``probe`` faster here and now, the best of three after one."""
    peers = [PeerProcess(command, "default"), PeerProcess(command, "passive")]
    times = [[peer.ask(probe) for peer in peers] for _ in range(4)][1:]
    best = min(peers, key=lambda peer: min(row[peers.index(peer)] for row in times))
    for peer in peers:
        if peer is not best:
            peer.close()
    return best
