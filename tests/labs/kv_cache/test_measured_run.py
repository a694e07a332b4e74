"""A fork's words: what it takes over from its parent appears when it forks, and nothing is told twice."""

from __future__ import annotations

from typing import Any, cast

import pytest

from labs.engine import serving
from labs.engine.events import EventKind
from labs.engine.replay import spoken
from labs.engine.sampling import SamplingParams
from labs.kv_cache.measured_run import MeasuredRun
from labs.kv_cache.scenario import Scenario
from labs.results import Provenance
from tests.labs.engine.test_engine import Letters, Setting


@pytest.mark.parametrize("kind", [{"temperature": 1.0, "n": 3}, {"beams": 3}])
def test_each_row_is_the_whole_sequence_from_its_fork_on(kind: dict[str, Any]) -> None:
    engine = Setting(block_size=4).engine()
    params = SamplingParams(max_tokens=5, ignore_eos=True, **kind)
    prompt = [1, 2, 3, 4, 5, 6]
    engine.add(list(prompt), params)
    for _ in engine.run():
        pass
    run = MeasuredRun(engine, serving.Setting(block_size=4), Scenario([prompt], params, 0))
    letters = cast("Any", Letters())
    told = spoken(run.recording, Provenance.MEASURED, letters, run.inherited())
    assert len(told.rows) == len(run.sequences) >= 3
    for row, (number, sequence) in zip(told.rows, run.sequences.items(), strict=True):
        assert "".join(row.tokens) == letters.decode(sequence.tokens)
        assert row.event is not None and row.category is not None
        inherited = row.event[row.category != 1]
        if number == 0:
            assert set(inherited.tolist()) == {-1} and len(inherited) == len(prompt)
        else:
            (start,) = set(inherited.tolist())
            event = run.recording.events[start]
            assert (event.kind, event.sequence) == (EventKind.SHARE, number)
            assert len(inherited) >= len(prompt)
