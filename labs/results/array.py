"""The arrays that results hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

Array = NDArray[Any]


def array(values: Any, dtype: Any = np.float64) -> Array:
    """A contiguous numpy array from a list, an array or a CPU tensor."""
    return np.ascontiguousarray(np.asarray(values, dtype=dtype))


def ints(values: Iterable[int]) -> Array:
    """A column of numbers that count or name: events, kinds, lanes, blocks, owners; int32."""
    return array(list(values), np.int32)
