"""What all kinds of results share: an id, a title, a unit, and where the figures come from."""

from __future__ import annotations

import enum

import msgspec

from labs.text import Text


class Provenance(enum.Enum):
    """Where a figure comes from."""

    MEASURED = "measured"  # on this device, in this run
    SIMULATED = "simulated"  # by an event simulator
    ESTIMATED = "estimated"  # by a formula
    REPORTED = "reported"  # by a cited source


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Common to all kinds.

    ``unit`` is that of the figures (of the y axis where there are two); ``""`` means dimensionless.
    ``source`` traces them: an estimate's formula, a report's citation, a measurement's method.
    ``wide`` asks for the full width of the results.
    """

    id: str
    title: Text
    provenance: Provenance
    unit: str = ""
    help: Text | None = None
    source: Text | None = None
    wide: bool = False
