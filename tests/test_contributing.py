"""CONTRIBUTING.md is followed to the letter: the lab it shows is added, described and run."""

from __future__ import annotations

import re
from pathlib import Path

from labs.context import Context
from labs.registry import load_catalog
from labs.results import Metric, Provenance
from labs.runner import execute

GUIDE = Path(__file__).parent.parent / "CONTRIBUTING.md"


def test_the_lab_of_the_guide_works_as_written(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    place = re.search(r"`labs/catalog/(hardware/\w+)\.py`:", text)
    source = re.search(r"```python\n(.*?)```", text, re.S)
    assert place and source
    file = tmp_path / f"{place[1]}.py"
    file.parent.mkdir()
    file.write_text(source[1], encoding="utf-8")
    catalog = load_catalog(tmp_path)
    assert not catalog.broken
    lab = catalog.find(place[1])
    results = {result.id: result for result in execute(lab, lab.smoke, Context())}
    traffic = results["traffic"]
    assert isinstance(traffic, Metric)
    assert traffic.provenance is Provenance.MEASURED
    assert traffic.value == traffic.predicted == 2 * 2 * 2**20
    assert results["bandwidth"].unit == "B/s"
