from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.labs.fake_catalog import write_fake_catalog
from tests.labs.worker_client import WorkerClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def fake_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def worker(fake_catalog: Path) -> Iterator[WorkerClient]:
    client = WorkerClient("--catalog", str(fake_catalog))
    yield client
    client.close()
