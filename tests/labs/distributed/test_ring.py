"""Ring attention: exact over real processes, its bytes those of the formula; a rank that dies is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F

from labs.context import Cancelled, Context
from labs.distributed import pool as pools
from labs.distributed.animation import events_of
from labs.distributed.pool import Pool, close_pool, pool_of
from labs.distributed.ring import block_attention, merge
from labs.distributed.ring_run import TOLERANCE
from labs.formulas.ring_attention import positions
from labs.registry import load_catalog
from labs.results import BlockMap, Metric, Tiles, Trace
from labs.runner import execute
from labs.spec import LabError, UsageError
from tests.labs.worker_client import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.formulas.ring_attention import Layout

LAB = load_catalog().labs["operator/long_context"]
LAYOUTS: tuple[Layout, ...] = ("contiguous", "zigzag", "striped")


@pytest.fixture(scope="module", autouse=True)
def no_ranks_are_left() -> Iterator[None]:
    yield
    close_pool()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("causal", [True, False])
def test_merged_blocks_are_attention_over_all_keys(layout: Layout, causal: bool) -> None:
    ranks, tokens = 3, 306  # more than one tile of queries a rank, and none of them full
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(heads, tokens, 20, generator=generator) for heads in (6, 2, 2))
    expected = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal, enable_gqa=True)[0]
    owned = [torch.tensor(positions(rank, ranks, tokens, layout)) for rank in range(ranks)]
    for own in owned:
        total = None
        for other in owned:
            part = block_attention(q[:, own], k[:, other], v[:, other], own, other, causal)
            total = part if total is None else merge(total, part)
        assert total is not None
        torch.testing.assert_close(total.out, expected[:, own], rtol=1e-4, atol=1e-5)


def test_the_lab_runs_a_real_ring() -> None:
    params = LAB.params(ranks=2, tokens=96, layout="zigzag")
    shown = {one.id: one for one in execute(LAB, params, Context())}
    for name in ("sent_bytes", "held_bytes", "balance"):
        found = shown[name]
        assert isinstance(found, Metric) and found.value == found.predicted
    difference = shown["difference"]
    assert isinstance(difference, Metric) and difference.value is not None
    assert 0 < difference.value <= TOLERANCE  # not zero: the additions were really done in parts
    trace, tiles, blocks = shown["ring"], shown["ring_scores"], shown["ring_blocks"]
    assert isinstance(trace, Trace) and isinstance(tiles, Tiles) and isinstance(blocks, BlockMap)
    assert list(trace.kind_index).count(0) == 2  # one pass of each of the two ranks
    side = tiles.tensors[0].rows
    drawn = (tiles.runs.stop - tiles.runs.start).sum()
    assert drawn == side * (side + 1) // 2  # each causal pair by exactly one rank
    assert set(blocks.changes.owner[blocks.changes.event >= 0]) == {-1, 0, 1}


def test_a_rank_that_dies_is_named_and_the_others_end() -> None:
    pool = pool_of(2, "gloo")
    pool.wait_ready(Context())
    pool.processes[1].kill()
    with pytest.raises(LabError, match="rank 1 failed: exit status -9"):
        pool.run(Context(), {"folder": "/nowhere", "layout": "contiguous", "causal": True})
    assert all(process.poll() is not None for process in pool.processes)
    assert pool_of(2, "gloo") is not pool
    close_pool()


def test_stop_kills_the_ring() -> None:
    stop = threading.Event()
    stop.set()
    pool = Pool(2, "gloo")
    with pytest.raises(Cancelled):
        pool.wait_ready(Context(cancelled=stop))
    assert all(process.poll() is not None for process in pool.processes)


def test_ranks_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "START_TIMEOUT_S", 0.0)
    pool = Pool(2, "gloo")
    with pytest.raises(LabError, match="rank 0, 1 did not answer"):
        pool.wait_ready(Context())
    assert all(process.poll() is not None for process in pool.processes)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end of stdin does it, later")
def test_no_rank_outlives_its_parent() -> None:
    program = """
import sys, time
from labs.distributed.pool import Pool
pool = Pool(2, "gloo")
print(*(process.pid for process in pool.processes), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    ranks = [int(word) for word in parent.stdout.readline().split()]
    assert len(ranks) == 2 and all(Path(f"/proc/{rank}").exists() for rank in ranks)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while any(_running(rank) for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_running(rank) for rank in ranks)
    left = f"inferlab-ring-{parent.pid}-*"
    assert list(Path(tempfile.gettempdir()).glob(left))
    pools.sweep()
    assert not list(Path(tempfile.gettempdir()).glob(left))


def _running(pid: int) -> bool:
    """Not gone, and not only waiting to be reaped by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_lengths_that_cannot_be_dealt_are_refused() -> None:
    with pytest.raises(UsageError, match="nearest: 96"):
        list(execute(LAB, LAB.params(ranks=4, tokens=97), Context()))


def test_events_leave_out_what_a_rank_does_not_compute() -> None:
    from labs.distributed.ring import Record
    from labs.distributed.ring_run import Ran, Study

    times = ([0.0, 1.0],) * 4
    records = [Record(*times, pairs=pairs, cpu_s=[0, 0]) for pairs in ([3, 0], [3, 4])]
    study = Study(2, 4, "contiguous", True)
    kinds = [event.kind for event in events_of(study, Ran(4, "contiguous", records, 0.0))]
    assert kinds.count(0) == kinds.count(3) == 2 and kinds.count(1) == kinds.count(2) == 3
