"""Specs for tests that care about jobs and not about what is trained."""

from typing import Any

from jobs.database import Database
from jobs.leases import Claim
from jobs.repository import Repository
from jobs.spec import JobSpec

LEASE_SECONDS = 60.0


def document(**fields: Any) -> dict[str, Any]:
    """Return a spec as a client would write it."""
    return {"teacher": "plain_cnn", "student": "mlp", "data": "digits", **fields}


def submit(database: Database, **fields: Any) -> str:
    """Store a job and return its id."""
    sent = document(**fields)
    with database.write() as session:
        return Repository(session).add(JobSpec.model_validate(sent), sent).id


def claim(database: Database, worker: str = "worker-1", lease: float = LEASE_SECONDS) -> Claim:
    """Claim the best waiting job; there must be one."""
    with database.write() as session:
        claimed = Repository(session).claim(worker, lease)
    assert claimed is not None
    return claimed


def status_of(database: Database, job_id: str) -> str:
    """Return a job's status."""
    with database.read() as session:
        return Repository(session).get(job_id).status


def story_of(database: Database, job_id: str) -> list[str]:
    """Return the types of a job's events, checking that their numbers have no gap."""
    with database.read() as session:
        events = Repository(session).events(job_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.type for event in events]
