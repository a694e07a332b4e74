"""A timeline in the trace event format (JSON), which chrome://tracing and Perfetto open.

Google, "Trace Event Format" (2016): complete events (``"ph": "X"``) with start and duration in microseconds,
threads named by metadata events.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from gui.lab.views.view import pick

# Microseconds a unit of the time axis. What is no time is shown as if each unit were a microsecond.
MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ns": 1e-3, "min": 60e6, "h": 3600e6}


def chrome_trace(timeline: dict[str, Any]) -> str:
    """Of a timeline's result: a thread a lane, an event a bar, its value and the axis' unit as arguments."""
    title = pick(timeline["title"])
    events: list[dict[str, Any]] = [_metadata("process_name", 0, title)]
    for lane, name in enumerate(timeline["lanes"]):
        events.append(_metadata("thread_name", lane, pick(name)))
        events.append(
            {"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": lane, "args": {"sort_index": lane}}
        )
    events += _bars(timeline)
    about = {"title": title, "provenance": timeline["provenance"], "unit": timeline["x"].get("unit") or ""}
    document = {"traceEvents": events, "displayTimeUnit": "ns", "otherData": about}
    return json.dumps(document, ensure_ascii=False)


def _metadata(name: str, lane: int, text: str) -> dict[str, Any]:
    return {"ph": "M", "name": name, "pid": 1, "tid": lane, "args": {"name": text}}


def _bars(timeline: dict[str, Any]) -> list[dict[str, Any]]:
    scale = MICROSECONDS.get(timeline["x"].get("unit") or "", 1.0)
    columns = [np.asarray(timeline[name]).tolist() for name in ("lane", "start", "end", "category")]
    labels, values = timeline.get("label"), timeline.get("value")
    categories = [pick(name) for name in timeline["categories"]]
    events = []
    for place, (lane, start, end, category) in enumerate(zip(*columns, strict=True)):
        kind = categories[category]
        events.append(
            {
                "ph": "X",
                "name": pick(labels[place]) if labels else kind,
                "cat": kind,
                "pid": 1,
                "tid": lane,
                "ts": start * scale,
                "dur": (end - start) * scale,
                "args": _arguments(timeline, None if values is None else float(values[place]), kind),
            }
        )
    return events


def _arguments(timeline: dict[str, Any], value: float | None, kind: str) -> dict[str, Any]:
    if value is None or not math.isfinite(value):
        return {"category": kind}
    name = pick(timeline["value_name"]) if timeline.get("value_name") else "value"
    unit = timeline.get("unit") or ""
    return {"category": kind, f"{name} ({unit})" if unit else name: value}
