"""Freed memory serves the next allocations, and goes back when asked; in processes of their own, for it is a
process's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")

# Prints the page faults of ten rounds in which arrays are made and dropped, then the bytes that go back.
ROUNDS = """
import os, resource
import numpy as np
from labs.allocator import keep_freed_memory, return_freed_memory

def arrays():
    return [np.ones(2**21) for _ in range(4)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

{first}
arrays(), arrays()
before = faults()
for _ in range(10):
    arrays()
print(faults() - before)
kept = resident()
return_freed_memory()
print(kept - resident())
"""
ARRAYS_BYTES = 4 * 2**21 * 8
PAGE = 4096


def _rounds(first: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(first=first)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    faults, returned = map(int, done.stdout.split())
    return faults, returned


def test_what_is_freed_is_used_again_and_not_faulted_in_again():
    faults, returned = _rounds("keep_freed_memory()")
    assert faults < ARRAYS_BYTES / PAGE / 10
    assert returned > ARRAYS_BYTES / 2


def test_without_it_each_round_faults_its_pages_in_again():
    """What makes the test above one that can fail."""
    faults, _ = _rounds("")
    assert faults > ARRAYS_BYTES / PAGE
