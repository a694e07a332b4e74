"""Parts of a result that do not fit are refused where the result is made: a view would draw nonsense, or fail
far from the lab that made the mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sized

    from labs.results.array import Array


def same_length(what: str, one: Sized, other: Sized | None) -> None:
    if other is not None and len(one) != len(other):
        raise ValueError(f"{what}: {len(one)} and {len(other)} values, expected as many")


def ascending(what: str, values: Array) -> None:
    if (np.diff(values) < 0).any():
        raise ValueError(f"{what}: not in ascending order")


def within(what: str, indices: Array, low: int, end: int) -> None:
    if indices.size and not (low <= indices.min() and indices.max() < end):
        raise ValueError(f"{what}: {indices.min()} to {indices.max()}, expected {low} to {end - 1}")
