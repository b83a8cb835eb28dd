"""A house in operation, for the tests of pipelines."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from running import running_house
from stillhouse import Client

from jobs.settings import Settings


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Give a client of a house in operation."""
    folder = tmp_path_factory.mktemp("house")
    with running_house(Settings(data=folder / "data"), folder) as client:
        yield client
