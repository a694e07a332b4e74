from __future__ import annotations

import math

import pytest
import torch

from labs.quantization.fidelity import sqnr_db
from labs.relative_error import relative_error


def test_is_the_amplitude_of_the_noise_over_that_of_the_signal():
    expected = torch.tensor([[3.0, 4.0]])
    assert relative_error(expected, expected) == 0
    assert relative_error(0.9 * expected, expected) == pytest.approx(0.1, abs=1e-6)
    assert sqnr_db(expected, 0.9 * expected) == pytest.approx(-20 * math.log10(0.1), abs=1e-4)


def test_of_several_the_greatest():
    one, other = torch.ones(3), torch.full((2,), 10.0)
    assert relative_error((one, 1.5 * other), [one, other]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="argument"):
        relative_error((one,), (one, other))


@pytest.mark.parametrize("where", [0, 1])
def test_a_nan_anywhere_fails_every_check(where):
    expected = (torch.ones(3), torch.ones(3))
    found = [torch.ones(3), torch.ones(3)]
    found[where] = torch.tensor([1.0, math.nan, 1.0])
    assert math.isnan(relative_error(found, expected))
    assert math.isnan(relative_error(found[where], expected[where]))


def test_of_nothing():
    assert relative_error(torch.zeros(2), torch.zeros(2)) == 0
    assert relative_error(torch.tensor([0.0, 1e-30]), torch.zeros(2)) == math.inf
    assert math.isnan(relative_error(torch.tensor([0.0, math.nan]), torch.zeros(2)))


def test_another_shape_is_not_broadcast():
    with pytest.raises(AssertionError):
        relative_error(torch.ones(1), torch.ones(3))


def test_narrow_types_are_compared_in_a_wide_one():
    assert relative_error(torch.tensor([60000.0], dtype=torch.float16), torch.tensor([-60000.0])) == 2
    exact = torch.tensor([1.0], dtype=torch.float64)
    assert relative_error(exact + 1e-12, exact) == pytest.approx(1e-12, rel=1e-3)


def test_sums_of_many_numbers_are_exact():
    expected = torch.ones(1 << 24)
    assert relative_error(1.001 * expected, expected) == pytest.approx(1e-3, rel=1e-4)
    assert relative_error(torch.cat((expected, 0 * expected)), torch.ones(2 << 24)) == pytest.approx(0.5**0.5)
