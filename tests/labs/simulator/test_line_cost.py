from __future__ import annotations

import numpy as np
import pytest

from labs.simulator.line_cost import LineCost, fit_line


def steps(line: LineCost) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    decode = draw.integers(1, 5, 200)
    tokens = decode + draw.choice([0, 0, 24, 48], 200)
    return tokens, decode, line.step_s + tokens * line.token_s + decode * line.sequence_s


def test_a_line_is_found_in_spite_of_steps_that_were_held_up() -> None:
    line = LineCost(0.01, 0.001, 0.002)
    tokens, sequences, taken = steps(line)
    taken[::10] += 0.2
    assert fit_line(tokens, sequences, taken) == pytest.approx(line, rel=0.05)


def test_no_part_is_negative() -> None:
    tokens, sequences, taken = steps(LineCost(0.01, 0.001, -0.002))
    assert min(fit_line(tokens, sequences, taken)) >= 0
