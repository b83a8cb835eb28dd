"""Jobs that are changed, and jobs that are deleted with all that is known of them."""

from dataclasses import replace
from typing import Any

import pytest
from asking import FILE, end, job_of, release, tell
from specs import claim, status_of, story_of, submit
from sqlalchemy import func, select

from jobs.database import Database
from jobs.endings import PAUSED, Ending
from jobs.errors import IllegalTransition, JobDeleted, JobNotFound, LeaseLost
from jobs.keyed import rows_of
from jobs.states import Status
from jobs.tables import Table
from jobs.tombstones import CondemnedFile, DeletedJob

UNKNOWN = "job_0123456789abcdefghjkmnpqrs"


def test_name_labels_and_priority_are_changed_and_found(database: Database) -> None:
    job_id = submit(database, name="old", labels={"team": "a", "env": "ci"})
    best = submit(database)
    wanted = {"name": "new", "labels": {"team": "b", "k.e/y": "x'\"y"}, "priority": 90}
    for _ in range(2):
        tell(database, lambda ledger: ledger.change(job_id, lambda old: replace(old, **wanted)))
    job = job_of(database, job_id)
    assert {name: getattr(job, name) for name in wanted} == wanted

    def found(**filters: Any) -> list[str]:
        return [one.id for one in tell(database, lambda ledger: ledger.list(**filters)).items]

    assert (
        found(labels={"team": "b"}) == found(labels={"k.e/y": None}) == found(q="new") == [job_id]
    )
    assert found(labels={"team": "a"}) == found(labels={"env": None}) == []
    assert story_of(database, job_id) == ["job.queued", "job.changed"]
    assert claim(database).job_id == job_id, "the priority counts"
    assert claim(database).job_id == best
    assert job.spec["name"] == "old", "the spec stays as it was sent"


def test_the_priority_of_a_job_that_does_not_wait_stays(database: Database) -> None:
    job_id = submit(database)
    claim(database)
    tell(database, lambda ledger: ledger.change(job_id, lambda old: replace(old, name="x")))
    with pytest.raises(IllegalTransition, match="running cannot change its priority"):
        tell(database, lambda ledger: ledger.change(job_id, lambda old: replace(old, priority=1)))
    tell(database, lambda ledger: ledger.pause(job_id))
    release(database, job_id, PAUSED)
    tell(database, lambda ledger: ledger.change(job_id, lambda old: replace(old, priority=1)))
    assert job_of(database, job_id).priority == 1


def rows_about(database: Database, job_id: str) -> dict[str, int]:
    """Count the rows that name a job, by table; views of curves name their chunk."""
    found: dict[str, int] = {}
    with database.read() as session:
        for name, table in Table.metadata.tables.items():
            count = select(func.count()).select_from(table)
            if name in {"jobs", "deleted_jobs"}:
                count = count.where(table.c.id == job_id)
            elif "job_id" in table.c:
                count = count.where(table.c.job_id == job_id)
            elif name != "metric_views":
                continue
            found[name] = session.scalar(count) or 0
    return {name: rows for name, rows in found.items() if rows}


def test_a_deleted_job_leaves_nothing_but_that_it_was_there(database: Database) -> None:
    job_id = submit(database, labels={"a": "b"})
    claim(database)
    columns = {"step": list(range(1, 601)), "loss": [0.5] * 600}
    events = [{"type": "metrics", "stage": "teacher", "seed": 0, "columns": columns}]
    tell(database, lambda ledger: ledger.record(job_id, 1, events, batch=1))
    for refused in (Status.RUNNING, Status.PAUSING, Status.CANCELLING):
        assert status_of(database, job_id) == refused
        with pytest.raises(IllegalTransition) as caught:
            tell(database, lambda ledger: ledger.delete(job_id))
        assert "delete" not in caught.value.legal
        if refused is Status.RUNNING:
            tell(database, lambda ledger: ledger.pause(job_id))
        else:
            tell(database, lambda ledger: ledger.request_cancel(job_id))
    tell(
        database,
        lambda ledger: ledger.settle(
            job_id, 1, Status.CANCELLED, Ending("x"), deliveries=[(FILE, f"{job_id}/1/x")]
        ),
    )
    assert len(rows_about(database, job_id)) >= 6
    for _ in range(2):
        tell(database, lambda ledger: ledger.delete(job_id))
    assert rows_about(database, job_id) == {"deleted_jobs": 1}
    with database.read() as session:
        assert session.scalars(select(CondemnedFile.location)).all() == [f"{job_id}/1/x"]
        assert session.scalars(select(DeletedJob.id)).all() == [job_id]
    assert tell(database, lambda ledger: ledger.counts()) == {}
    for asked in ("get", "row", "pause", "resume", "retry", "request_cancel"):
        with pytest.raises(JobDeleted):
            tell(database, lambda ledger, asked=asked: getattr(ledger, asked)(job_id))
    (answer, other) = rows_of(database, [job_id, UNKNOWN])
    assert isinstance(answer, JobDeleted)
    assert isinstance(other, JobNotFound)
    assert not isinstance(other, JobDeleted)


def test_a_job_that_never_was_cannot_be_deleted(database: Database) -> None:
    with pytest.raises(JobNotFound):
        tell(database, lambda ledger: ledger.delete(UNKNOWN))


@pytest.mark.parametrize("verb", ["pause", "delete"])
def test_waiting_paused_and_ended_jobs_can_be_deleted(database: Database, verb: str) -> None:
    job_id = submit(database)
    tell(database, lambda ledger: getattr(ledger, verb)(job_id))
    tell(database, lambda ledger: ledger.delete(job_id))
    assert tell(database, lambda ledger: ledger.claim("w", 60)) is None
    ended = submit(database)
    end(database, ended)
    tell(database, lambda ledger: ledger.delete(ended))
    assert tell(database, lambda ledger: ledger.list()).items == []


def test_a_worker_that_comes_back_to_a_deleted_job_has_lost_its_lease(database: Database) -> None:
    job_id = submit(database)
    claim(database, lease=-1)
    (lease,) = tell(database, lambda ledger: ledger.leases())
    tell(database, lambda ledger: ledger.expire(lease, retry_seconds=0))
    tell(database, lambda ledger: ledger.delete(job_id))
    with pytest.raises(LeaseLost):
        tell(database, lambda ledger: ledger.heartbeat(job_id, 1, 60))
    with pytest.raises(LeaseLost):
        tell(database, lambda ledger: ledger.record(job_id, 1, [], batch=1))
    with pytest.raises(LeaseLost):
        tell(
            database,
            lambda ledger: ledger.release(
                job_id, 1, Ending("crashed"), counted=True, retry_seconds=0
            ),
        )
    with pytest.raises(LeaseLost):
        tell(database, lambda ledger: ledger.attach(job_id, 1, FILE, f"{job_id}/1/x"))


def test_files_that_a_later_attempt_or_a_retry_replaces_are_condemned(database: Database) -> None:
    job_id = submit(database)
    end(database, job_id, Status.FAILED)
    tell(database, lambda ledger: ledger.retry(job_id))
    assert tell(database, lambda ledger: ledger.condemned("", 10)) == []
    claim(database)
    for _ in range(2):  # the answer may be lost; a file is never condemned in its own attempt
        tell(database, lambda ledger: ledger.attach(job_id, 2, FILE, f"{job_id}/2/x"))
    assert tell(database, lambda ledger: ledger.condemned("", 10)) == [f"{job_id}/1/x"]
    tell(database, lambda ledger: ledger.settle(job_id, 2, Status.FAILED, Ending("x")))
    tell(database, lambda ledger: ledger.retry(job_id, "scratch"))
    locations = [f"{job_id}/1/x", f"{job_id}/2/x"]
    assert tell(database, lambda ledger: ledger.condemned("", 10)) == locations
    assert tell(database, lambda ledger: ledger.condemned(locations[0], 10)) == locations[1:]
    tell(database, lambda ledger: ledger.cleared(locations))
    assert tell(database, lambda ledger: ledger.condemned("", 10)) == []
