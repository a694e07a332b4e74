"""Decompositions are the best of their rank, plans keep to their budgets, and caches count right."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labs.context import Context
from labs.formulas.low_rank import Roofs, product_seconds, truncation_error
from labs.low_rank.allocation import FULL, Choice, allocate, hull, uniform
from labs.low_rank.break_even_mode import _faster_than_roofs, crossing, ranks
from labs.low_rank.decomposition import LowRankLinear, covariance, decompose
from labs.low_rank.merged_weights import hit_ratio, zipf_requests
from labs.low_rank.race import Racer
from labs.measure import Timing
from labs.relative_error import relative_error


@pytest.mark.parametrize("shape", [(20, 33), (33, 20)])
def test_the_error_is_that_of_the_discarded_singular_values(shape: tuple[int, int]) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    found = decompose(weight)
    assert found.singular_values == pytest.approx(torch.linalg.svdvals(weight).tolist(), rel=1e-4)
    for rank in (1, 7, 19):
        measured = relative_error(found.approximation(rank), weight)
        assert measured == pytest.approx(truncation_error(found.singular_values, rank), rel=1e-4)


@pytest.mark.parametrize("shape", [(20, 33), (33, 20)])
def test_for_the_outputs_it_beats_truncation_on_those_inputs(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(*shape, generator=generator)
    inputs = torch.randn(200, shape[1], generator=generator) * torch.logspace(0, -2, shape[1])
    exact, aware, plain = inputs @ weight.t(), decompose(weight, covariance(inputs)), decompose(weight)
    errors = [relative_error(inputs @ one.approximation(5).t(), exact) for one in (aware, plain)]
    assert errors[0] < errors[1]
    assert errors[0] == pytest.approx(truncation_error(aware.singular_values, 5), rel=0.05)


def test_a_layer_of_two_thin_ones_is_the_approximation() -> None:
    weight = torch.randn(12, 9, generator=torch.Generator().manual_seed(3))
    found, x = decompose(weight), torch.randn(4, 9)
    layer = LowRankLinear(*found.factors(4))
    assert layer.down.shape == (4, 9) and layer.up.shape == (12, 4)
    torch.testing.assert_close(layer(x), x @ found.approximation(4).t(), atol=1e-5, rtol=1e-4)


@st.composite
def layers(draw: st.DrawFn) -> list[list[Choice]]:
    """Damage falls with the cost, not always at a falling rate; the last choice is the full matrix."""
    made = []
    for _ in range(draw(st.integers(1, 4))):
        damages = sorted(draw(st.lists(st.floats(0.01, 1), min_size=1, max_size=4)), reverse=True)
        chosen = [Choice(8 * i, float(i), damage) for i, damage in enumerate(damages, 1)]
        made.append([*chosen, Choice(FULL, len(damages) + draw(st.floats(1, 3)), 0.0)])
    return made


@given(layers(), st.floats(0, 1))
def test_a_plan_keeps_to_its_budget_and_is_near_the_best(choices: list[list[Choice]], share: float) -> None:
    least, most = (math.fsum(one[end].cost for one in choices) for end in (0, -1))
    budget = least + share * (most - least)
    found = allocate(choices, budget=budget)
    assert math.fsum(one.cost for one in found) <= budget * (1 + 1e-9)
    every = itertools.product(*choices)
    best = min(
        math.fsum(c.damage for c in one) for one in every if math.fsum(c.cost for c in one) <= budget + 1e-9
    )
    # The relaxed problem is solved exactly: what is lost is at most the one step that no longer fitted.
    slack = max(one[0].damage for one in choices)
    assert math.fsum(one.damage for one in found) <= best + slack + 1e-9


@given(layers(), st.floats(0, 2))
def test_an_error_budget_is_met(choices: list[list[Choice]], damage: float) -> None:
    assert math.fsum(one.damage for one in allocate(choices, damage=damage)) <= damage + 1e-9


def test_a_hull_drops_what_is_never_worth_taking() -> None:
    bad = Choice(16, 2, 0.9)  # dearer than its neighbours for what it spares
    assert hull([Choice(8, 1, 1.0), bad, Choice(24, 3, 0.1)]) == [Choice(8, 1, 1.0), Choice(24, 3, 0.1)]


def test_one_rank_for_all_is_the_largest_that_fits() -> None:
    layer = [Choice(8, 1, 0.5), Choice(16, 2, 0.2), Choice(FULL, 4, 0.0)]
    assert [one.rank for one in uniform([layer, layer], 4)] == [16, 16]
    assert [one.rank for one in uniform([layer, layer], 3.9)] == [8, 8]


def test_the_crossing_is_interpolated() -> None:
    racer = Racer(Context(), 64, 64)
    tried = ranks(64, 64)
    for rank in [0, *tried]:
        seconds = 1.0 if rank == 0 else rank / 32
        racer.times[1, rank] = Timing(seconds, seconds, seconds, 5)
    assert crossing(racer, 1) == pytest.approx(32, abs=1)
    racer.times[1, 0] = Timing(1e-9, 1e-9, 1e-9, 5)
    assert crossing(racer, 1) == 0


def test_an_lru_cache_of_merged_weights() -> None:
    assert hit_ratio(np.array([0, 1, 0, 1]), 2) == 0.5
    assert hit_ratio(np.array([0, 1, 0, 1]), 1) == 0
    requests = zipf_requests(8, seed=0)
    shares = [hit_ratio(requests, capacity) for capacity in range(1, 9)]
    assert shares == sorted(shares) and shares[-1] == 1 - 8 / len(requests)


def test_a_product_faster_than_its_roof_is_explained() -> None:
    racer, roofs = Racer(Context(), 64, 64), Roofs(1e11, 1e10, 1e-6, 4)
    predicted = product_seconds(1, 64, 64, roofs)
    for seconds, told in ((predicted, 0), (predicted / 2, 1)):
        racer.times = {(1, 0): Timing(seconds, seconds, seconds, 5)}
        assert len(list(_faster_than_roofs(racer, (1, 1), roofs))) == told
