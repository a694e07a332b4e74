"""What a form must know of the model before anything runs: its last layer, or why there is no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.spec import LabError

if TYPE_CHECKING:
    from pathlib import Path

    from labs.text import Text


def model_bounds(model_path: Path | None) -> tuple[int | None, Text | None]:
    """``(last_layer, None)``, or ``(None, reason)`` where no model can be used. Reads no weight."""
    from labs.models.config_file import read_config
    from labs.models.location import locate

    try:
        return read_config(locate(model_path)).layers - 1, None
    except LabError as error:
        return None, error.text
