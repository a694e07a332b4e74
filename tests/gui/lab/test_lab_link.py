from __future__ import annotations

import pytest

from gui.lab.link import checked_values, make_link, parse_link
from tests.gui.lab import samples


def test_a_link_reads_back_as_the_same_values() -> None:
    values = {"bits": 3, "rate": 1e-05, "perplexity": False, "note": "a & b = 位", "granularity": "tensor"}
    lab, texts = parse_link(make_link("model/x", values))
    assert lab == "model/x"
    assert checked_values(samples.schema(), texts) == (values, [])


def test_a_link_without_values_is_short() -> None:
    assert make_link("model/x", {}) == "lab:model/x"
    assert parse_link("lab:model/x") == ("model/x", {})


def test_another_scheme_is_no_lab_link() -> None:
    with pytest.raises(ValueError, match="note:"):
        parse_link("note:1.2.1-07")


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"bits": "9"}, "2 – 8"),
        ({"bits": "3.5"}, "2 – 8"),
        ({"bits": "four"}, "2 – 8"),
        ({"group_size": "100"}, "16, 32, 64, 128, 256"),
        ({"perplexity": "maybe"}, "true, false"),
        ({"value": "nan"}, "−∞ – ∞"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(given: dict[str, str], allowed: str) -> None:
    good, refused = checked_values(samples.schema(), given)
    assert good == {}
    assert allowed in refused[0]


def test_an_unknown_parameter_is_told() -> None:
    assert "bitz" in checked_values(samples.schema(), {"bitz": "4"})[1][0]
