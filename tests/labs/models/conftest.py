"""The default model, loaded once for all tests of this folder that are marked ``model``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs.models.loading import load_model

if TYPE_CHECKING:
    from labs.models.loading import LoadedModel


@pytest.fixture(scope="session")
def smollm() -> LoadedModel:
    return load_model()
