"""A number of torch threads for the length of a ``with`` block."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def threads(count: int) -> Iterator[int]:
    """At most ``count`` threads (0: as many as before); yields the number in force, restores the old one."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, before) if count else before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
