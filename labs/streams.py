"""Keeping stdout for what is meant to be there: a print from a lab or a C library lands on stderr."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO, cast


def claim_stdout() -> BinaryIO:
    """The real stdout, for the caller alone. From now on descriptor 1 is descriptor 2, for children too."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    # A stray print must be readable when it happens, not when a buffer fills.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return cast("BinaryIO", open(private, "wb"))


def claim_stdin() -> BinaryIO:
    """The real stdin, for the caller alone. From now on descriptor 0 is empty: no child can eat a message."""
    private = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return cast("BinaryIO", open(private, "rb"))
