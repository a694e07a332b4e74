"""The arrays that results hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def array(values: Any, dtype: Any = np.float64) -> Array:
    """A contiguous numpy array from a list, an array or a CPU tensor."""
    return np.ascontiguousarray(np.asarray(values, dtype=dtype))
