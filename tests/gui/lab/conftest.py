"""A client of the fake worker, and the theme and language put back after each test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from gui.lab.worker.client import WorkerClient
from gui.language import language_switch
from gui.theme import LIGHT, theme_switch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND = [sys.executable, "-m", "tests.gui.lab.fake_worker"]


@pytest.fixture(autouse=True)
def plain_looks(qapp: Any) -> Iterator[None]:
    theme_switch.current = LIGHT
    language_switch.apply("en")
    yield
    theme_switch.current = LIGHT
    language_switch.apply("en")


@pytest.fixture
def make_client(qtbot: Any) -> Iterator[Callable[..., WorkerClient]]:
    made: list[WorkerClient] = []

    def make(**changes: Any) -> WorkerClient:
        client = WorkerClient(command=changes.pop("command", COMMAND), **changes)
        made.append(client)
        return client

    yield make
    for client in made:
        client.shutdown()


@pytest.fixture
def client(make_client: Callable[..., WorkerClient]) -> WorkerClient:
    return make_client()
