"""The report: a table to read, and a file with every sample to compare with later."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, short

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "bench-results"
HEAD = ("", "figure", "value", "budget")


@dataclass
class Outcome:
    """One benchmark: its figures, or why there are none."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    seconds: float = 0.0
    neighbours: float | None = None  # share of the processors that other processes took
    crash: str = ""


def table(outcome: Outcome) -> str:
    """One benchmark's figures, a line each, with what they mean below where there is more to say."""
    busy = "" if outcome.neighbours is None else f", others used {100 * outcome.neighbours:.0f} % of the CPU"
    lines = [f"{outcome.name}  ({outcome.seconds:.0f} s{busy})"]
    for figure in outcome.figures:
        value = f"{short(figure.value)} {figure.unit}".strip()
        budget = "" if figure.budget is None else f"<= {short(figure.budget)} {figure.unit}".strip()
        lines.append(f"  {figure.mark:5}{padded(figure.what, 66)}{value:>12}  {budget}".rstrip())
        if figure.remark:
            lines.append(f"         {figure.remark}")
    if outcome.crash:
        lines.append("  CRASHED")
        lines += [f"    {line}" for line in outcome.crash.rstrip().splitlines()[-12:]]
    return "\n".join(lines)


def padded(text: str, width: int) -> str:
    """Filled up with spaces to ``width`` columns; a Chinese character takes two."""
    columns = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
    return text + " " * max(1, width - columns)


def summary(outcomes: list[Outcome]) -> str:
    """How many figures keep their budgets, and which do not."""
    figures = [figure for outcome in outcomes for figure in outcome.figures]
    held = [figure for figure in figures if figure.budget is not None]
    over = [figure.what for figure in held if figure.over]
    lines = [f"{len(held) - len(over)} of {len(held)} budgets kept"]
    lines += [f"  OVER   {what}" for what in over]
    lines += [f"  CRASHED {outcome.name}" for outcome in outcomes if outcome.crash]
    return "\n".join(lines)


def store(outcomes: list[Outcome], machine: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write everything, samples included, to a file named after the time (UTC)."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    benchmarks = []
    for outcome in outcomes:
        entry = asdict(outcome)
        for stored, figure in zip(entry["figures"], outcome.figures, strict=True):
            stored["mark"] = figure.mark
        benchmarks.append(entry)
    record = {"time": now.isoformat(timespec="seconds"), "machine": machine, "benchmarks": benchmarks}
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
