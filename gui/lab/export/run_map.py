"""A run as plain data, and as JSON: what every export of one carries."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gui.lab.runs.stored_run import StoredRun


def record_map(run: StoredRun) -> dict[str, Any]:
    """The record as plain data: arrays as lists, what is not a finite number as None."""
    record = run.record
    return {
        "lab": record.lab,
        "params": record.params,
        "seed": record.seed,
        "app_version": record.app_version,
        "environment": record.environment,
        "started": record.started.isoformat(),
        "seconds": record.seconds,
        "status": record.status,
        "name": record.name,
        "results": [plain_data(result) for result in run.results],
    }


def json_text(run: StoredRun) -> str:
    return json.dumps(record_map(run), ensure_ascii=False, indent=1, allow_nan=False)


def plain_data(value: Any) -> Any:
    if hasattr(value, "tolist"):  # an array
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain_data(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
