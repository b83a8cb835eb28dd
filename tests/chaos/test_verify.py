"""What the check at the end of chaos would notice."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from specs import claim, submit
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session

from chaos.verify import attempts_of, claims_in_vain, violations
from jobs.artifacts import Delivery
from jobs.database import Database
from jobs.endings import Ending
from jobs.folder_store import FolderStore
from jobs.moments import clock
from jobs.repository import Repository
from jobs.states import Status
from jobs.tables import Artifact, Attempt, Event, Job, StatusChange

NAME = "student.safetensors"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def succeed(database: Database, store: Path, content: bytes) -> str:
    """Have a job end well, with one file."""
    job_id = submit(database)
    token = claim(database).attempt
    source = store / "source"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    delivery = Delivery(NAME, "student", len(content), digest, "application/octet-stream")
    location = FolderStore(store).put(job_id, token, delivery, source)
    with database.write() as session:
        Repository(session).settle(
            job_id,
            token,
            Status.SUCCEEDED,
            Ending("finished"),
            deliveries=[(delivery, location)],
        )
    return job_id


def add_event(kind: str, attempt: int | None) -> Callable[[Session, str], None]:
    def do(session: Session, job_id: str) -> None:
        number = Repository(session).get(job_id).last_seq + 1
        line = insert(Event).values(job_id=job_id, seq=number, type=kind, attempt=attempt)
        session.execute(line.values(at=clock(), data={}))

    return do


def add_attempt(session: Session, job_id: str) -> None:
    row = insert(Attempt).values(job_id=job_id, attempt=2, worker="w", status="running", batches=0)
    session.execute(row.values(started_at=clock()))


DAMAGE: dict[str, tuple[Callable[[Session, str], object], str]] = {
    "an event is gone": (
        lambda session, job: session.execute(
            delete(Event).where(Event.job_id == job, Event.seq == 2)
        ),
        "gap",
    ),
    "a second end": (add_event("job.succeeded", 1), "ends at once"),
    "a stale word": (add_event("checkpoint", 1), "checkpoint of attempt 1"),
    "an attempt without a claim": (add_attempt, "its number of claims is 1"),
    "no file": (
        lambda session, job: session.execute(delete(Artifact).where(Artifact.job_id == job)),
        "differ from those of an undisturbed job",
    ),
    "a file of another attempt": (
        lambda session, job: session.execute(
            update(Artifact).where(Artifact.job_id == job).values(attempt=7)
        ),
        "is of attempt 7",
    ),
    "a wrong record": (
        lambda session, job: session.execute(
            update(Artifact).where(Artifact.job_id == job).values(sha256="0" * 64)
        ),
        "is not what its record says",
    ),
    "a wrong count": (lambda session, _: session.execute(delete(StatusChange)), "counts tell"),
    "an untrue failure": (
        lambda session, job: session.execute(
            update(Job)
            .where(Job.id == job)
            .values(status="failed", result_attempt=None, failure={"code": "nan_loss"})
        ),
        "failed with {'code': 'nan_loss'}",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_noticed(database: Database, tmp_path: Path, damage: str) -> None:
    calm = succeed(database, tmp_path, b"the same")
    job_id = succeed(database, tmp_path, b"the same")
    jobs, undisturbed = {job_id: "kd"}, {"kd": calm}
    assert list(violations(database, tmp_path, jobs, undisturbed, {})) == []
    harm, words = DAMAGE[damage]
    with database.write() as session:
        harm(session, job_id)
    found = list(violations(database, tmp_path, jobs, undisturbed, {}))
    assert any(words in what for what in found), found


def test_a_claim_of_a_worker_that_drained_is_noticed(database: Database) -> None:
    for worker in ("staying", "leaving"):
        submit(database)
        claim(database, worker)
    with database.read() as session:
        had = attempts_of(session, "leaving")
    assert list(claims_in_vain(database, {"leaving": had})) == []
    job_id = submit(database)
    claim(database, "leaving")
    (found,) = claims_in_vain(database, {"leaving": had})
    assert found == f"leaving drained, and claimed attempt 1 of {job_id}"


def test_another_student_a_lost_job_and_a_repeated_event_are_noticed(
    database: Database, tmp_path: Path
) -> None:
    calm = succeed(database, tmp_path, b"the same")
    job_id = succeed(database, tmp_path, b"another")
    jobs = {job_id: "kd", "job_that_was_lost": "kd"}
    found = list(violations(database, tmp_path, jobs, {"kd": calm}, {job_id: [1, 2, 2]}))
    for words in ("differ from", "accepted, and not in the ledger", "a listener was told"):
        assert any(words in what for what in found), (words, found)
