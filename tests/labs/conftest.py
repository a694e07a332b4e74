from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs.inspection.process import KernelProcess
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


@pytest.fixture(scope="session")
def interpreter() -> Iterator[KernelProcess]:
    """One for all tests: it takes seconds to start and milliseconds to ask."""
    process = KernelProcess("interpret")
    yield process
    process.close()


@pytest.fixture(scope="session")
def compiler() -> Iterator[KernelProcess]:
    process = KernelProcess("compile")
    yield process
    process.close()
