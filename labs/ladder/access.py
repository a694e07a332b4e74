"""What a recording says of each line and tensor: bytes, sectors, and what is fetched again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.inspection.interpreted import OUTSIDE, SECTOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.interpreted import Recording

# Half of what moves is not wanted: worth a word. Accesses of a few elements cannot fill a sector anyhow.
WASTEFUL = 0.5
_FEW = 8


@dataclass(frozen=True)
class LineAccess:
    """One line's accesses of one tensor (an index; OUTSIDE: none), over all programs. ``accesses``: how many
    there were; ``bytes`` wanted, ``sector_bytes`` moved for them; ``most``: distinct elements of the largest.
    Lanes that share an address are served together, and count once."""

    line: int
    kind: int
    tensor: int
    accesses: int
    bytes: int
    sector_bytes: int
    most: int
    outside: int

    @property
    def efficiency(self) -> float:
        return self.bytes / self.sector_bytes if self.sector_bytes else 0.0

    @property
    def wasteful(self) -> bool:
        return self.most >= _FEW and bool(self.sector_bytes) and self.efficiency < WASTEFUL


def by_line(recording: Recording) -> Iterator[LineAccess]:
    """In the order of lines."""
    keys = np.stack([recording.line, recording.kind.astype(np.int32), recording.tensor], axis=1)
    for line, kind, tensor in np.unique(keys, axis=0) if len(keys) else ():
        chosen = (keys == (line, kind, tensor)).all(axis=1)
        distinct = _distinct(recording, chosen)
        inside = tensor != OUTSIDE
        size = recording.tensors[tensor].element_bytes if inside else 0
        yield LineAccess(
            line=int(line),
            kind=int(kind),
            tensor=int(tensor),
            accesses=int(chosen.sum()),
            bytes=sum(distinct) * size if inside else 0,
            sector_bytes=int(recording.sectors[chosen].sum()) * SECTOR,
            most=max(distinct),
            outside=0 if inside else int(recording.count[chosen].sum()),
        )


def _distinct(recording: Recording, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[int]:
    """Elements that each of these accesses wants."""
    return [len(np.unique(elements_of(recording, place))) for place in np.flatnonzero(chosen).tolist()]


def elements_of(recording: Recording, place: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Elements of access number ``place``."""
    first = recording.first[place]
    return recording.elements[first : first + recording.count[place]]


def loaded_bytes(recording: Recording) -> int:
    """By all loads, again and again where tiles are loaded again."""
    return sum(one.loaded_bytes for one in recording.tensors)


def distinct_bytes(recording: Recording) -> int:
    """Those that were loaded, each once."""
    return sum(one.distinct_loaded_bytes for one in recording.tensors)


def loads_a_byte(recording: Recording) -> float | None:
    """How often each of them was, on the average; None where nothing was loaded."""
    distinct = distinct_bytes(recording)
    return loaded_bytes(recording) / distinct if distinct else None


def moved_bytes(recording: Recording) -> int:
    """Loaded and stored."""
    return loaded_bytes(recording) + sum(one.stored_bytes for one in recording.tensors)
