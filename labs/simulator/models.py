"""The published models by name, from ``models.toml``, and any other by its ``config.json``."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs.simulator.model_config import read_shape, shape_from_config
from labs.spec import unknown_name

if TYPE_CHECKING:
    from labs.simulator.model_shape import ModelShape

_TABLE = Path(__file__).with_name("models.toml")


def models() -> list[str]:
    """Names of the models of the table, family by family."""
    return list(_table())


@functools.cache
def model(name: str) -> ModelShape:
    """The shape of a model of the table. UsageError with the nearest name for one that is not there."""
    if name not in _table():
        raise unknown_name("model", "模型", name, models())
    row = _table()[name]
    return shape_from_config(row["config"], name=name, source=row["source"])


def model_or_config(name: str) -> ModelShape:
    """A model of the table, or the one whose ``config.json``, or its folder, stands at the path ``name``."""
    if name not in _table() and (path := Path(name).expanduser()).exists():
        return read_shape(path)
    return model(name)


def published_parameters(name: str) -> int:
    """What the model's own page says that it has, multi-token prediction left out."""
    return int(_table()[name]["parameters"])


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))
