"""First and best fit on a row of bytes, each of which says whose it is: slow, and too simple to be wrong."""

from __future__ import annotations

from itertools import groupby
from typing import Literal


class NaiveFit:
    def __init__(self, capacity: int, way: Literal["first", "best"], alignment: int) -> None:
        self.owners = [-1] * capacity
        self.way, self.alignment = way, alignment
        self.made = 0

    def runs(self) -> list[tuple[int, int]]:
        """Free ones: start and length."""
        found = []
        for owner, group in groupby(enumerate(self.owners), key=lambda one: one[1]):
            places = [place for place, _ in group]
            if owner == -1:
                found.append((places[0], len(places)))
        return found

    def allocate(self, size: int) -> int | None:
        rounded = (size + self.alignment - 1) // self.alignment * self.alignment
        fitting = [run for run in self.runs() if run[1] >= rounded]
        if not fitting:
            return None
        start = (fitting[0] if self.way == "first" else min(fitting, key=lambda run: (run[1], run[0])))[0]
        self.owners[start : start + rounded] = [self.made] * rounded
        self.made += 1
        return start

    def free(self, address: int) -> None:
        owner = self.owners[address]
        self.owners = [-1 if one == owner else one for one in self.owners]
