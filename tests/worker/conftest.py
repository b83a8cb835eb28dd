"""A bench to run attempts on, and houses of real processes."""

from collections.abc import Generator
from pathlib import Path

import pytest
from bench import Bench
from house import House

from jobs.database import Database
from jobs.settings import Settings

IMPATIENT = {
    "lease_seconds": 2.0,
    "poll_seconds": 0.1,
    "sweep_seconds": 0.2,
    "retry_seconds": 0.1,
}


@pytest.fixture(params=["cold", "warm"])
def bench(
    request: pytest.FixtureRequest, settings: Settings, database: Database
) -> Generator[Bench]:
    """Give a place to run scripted attempts, cold or warm; crashed ones are retried at once."""
    changed = {"retry_seconds": 0.0, "warm": request.param == "warm"}
    opened = Bench(settings.model_copy(update=changed), database)
    yield opened
    opened.close()


@pytest.fixture
def house(settings: Settings, database: Database, tmp_path: Path) -> Generator[House]:
    """Give a house of impatient worker processes without a broker."""
    opened = House(settings.model_copy(update=IMPATIENT), database, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def ringing_house(
    settings: Settings, database: Database, tmp_path: Path, redis_url: str
) -> Generator[House]:
    """Give a house whose workers hardly poll and wait for the bell."""
    changed = {**IMPATIENT, "broker_url": redis_url, "poll_seconds": 600.0}
    opened = House(settings.model_copy(update=changed), database, tmp_path)
    yield opened
    opened.close()
