"""A bell is rung when what it is rung for can be found, and not a moment before."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from fastapi.testclient import TestClient
from serving import SPEC

from api.app import create_app
from jobs.database import Database
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.sweeper import Sweeper

NOBODY = "redis://127.0.0.1:1/0"


class Witness(Bell):
    """A bell that looks into the ledger, as a worker that is woken does, when it is rung."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Look through connections of its own."""
        super().__init__(settings)
        self._database = database
        self.seen: list[tuple[str, bool]] = []
        """Status of a job, and whether it is noted that it was rung for."""

    def ring(self, job_id: str) -> bool:
        """Look instead of ringing."""
        with self._database.read() as session:
            job = Repository(session).get(job_id)
        self.seen.append((job.status, job.dispatched_at is not None))
        return True


@pytest.fixture
def ringing(settings: Settings) -> Settings:
    """Give settings with a broker, so that bells are rung."""
    return settings.model_copy(update={"broker_url": NOBODY})


@pytest.fixture
def witness(ringing: Settings, database: Database) -> Generator[Witness]:
    """Give a bell that looks."""
    opened = Witness(ringing, database)
    yield opened
    opened.close()


def test_a_job_can_be_found_when_the_api_rings_for_it(ringing: Settings, witness: Witness) -> None:
    app = create_app(ringing)
    app.state.house.bell = witness
    with TestClient(app, base_url="http://localhost") as client:
        job_id = client.post("/v1/jobs", json=SPEC).json()["id"]
        assert witness.seen == [("queued", True)]
        assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
        assert client.post(f"/v1/jobs/{job_id}/retry").status_code == 202
    assert witness.seen == [("queued", True)] * 2


def test_that_a_bell_is_rung_again_is_noted_before(
    ringing: Settings, database: Database, witness: Witness, lost_bell: str
) -> None:
    Sweeper(ringing, database, witness).sweep()
    assert witness.seen == [("queued", True)], lost_bell


@pytest.fixture
def lost_bell(database: Database) -> str:
    """Give a job that waits, and that nobody was rung for."""
    from specs import submit
    from sqlalchemy import update

    from jobs.tables import Job

    job_id = submit(database)
    with database.write() as session:
        session.execute(update(Job).values(dispatched_at=None))
    return job_id
