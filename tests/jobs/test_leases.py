"""Claims, and the fence that keeps everybody else out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from specs import claim, status_of, story_of, submit
from sqlalchemy import update

from jobs.artifacts import Delivery
from jobs.database import Database
from jobs.endings import Ending
from jobs.errors import LeaseLost
from jobs.leases import Claim
from jobs.moments import clock
from jobs.repository import Repository
from jobs.states import Status
from jobs.tables import Job, Table

PROGRESS = {
    "type": "stage.progress",
    "stage": "teacher",
    "role": "teacher",
    "seed": 0,
    "step": 10,
    "total_steps": 40,
    "epoch": 0.5,
    "samples_per_second": 99.0,
    "eta_seconds": 3.0,
    "percent": 12.5,
    "run_eta_seconds": 20.0,
    "metrics": {"loss": float("nan")},
}
FILE = Delivery("student.safetensors", "student", 3, "0" * 64, "application/octet-stream")


def content_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with database.read() as session:
        return {
            table.name: sorted(map(tuple, session.execute(table.select())), key=repr)
            for table in Table.metadata.sorted_tables
        }


def test_many_workers_asking_at_once_get_one_attempt_of_each_job(database: Database) -> None:
    made = {submit(database) for _ in range(5)}

    def ask(worker: int) -> Claim | None:
        with database.write() as session:
            return Repository(session).claim(f"worker-{worker}", 60)

    with ThreadPoolExecutor(8) as pool:
        claims = [found for found in pool.map(ask, range(24)) if found]
    assert sorted(found.job_id for found in claims) == sorted(made)
    assert {found.attempt for found in claims} == {1}
    with database.read() as session:
        assert all(len(Repository(session).attempts(job_id)) == 1 for job_id in made)


def test_the_best_job_is_claimed_first(database: Database) -> None:
    low = submit(database, priority=10)
    first = submit(database)
    second = submit(database)
    high = submit(database, priority=90)
    later = submit(database, priority=100)
    with database.write() as session:
        session.execute(update(Job).where(Job.id == later).values(run_after=clock(600)))
    assert [claim(database).job_id for _ in range(4)] == [high, first, second, low]
    with database.write() as session:
        assert Repository(session).claim("w", 60) is None


def test_a_claim_is_told_in_the_story(database: Database) -> None:
    job_id = submit(database)
    claim(database, "worker-7")
    with database.read() as session:
        ledger = Repository(session)
        event = ledger.events(job_id, after=1)[0]
        (attempt,) = ledger.attempts(job_id)
        job = ledger.get(job_id)
    assert (event.type, event.attempt, event.data) == ("attempt.started", 1, {"worker": "worker-7"})
    assert (attempt.status, attempt.worker, attempt.ended_at) == ("running", "worker-7", None)
    assert job.started_at is not None
    assert job.lease_until is not None
    assert 50 < (job.lease_until - job.started_at).total_seconds() < 70


def test_a_heartbeat_renews_the_lease(database: Database) -> None:
    job_id = submit(database)
    token = claim(database, lease=1).attempt
    with database.write() as session:
        (before,) = Repository(session).leases()
        wish = Repository(session).heartbeat(job_id, token, 100)
    with database.read() as session:
        (after,) = Repository(session).leases()
    assert wish.cancel is None
    assert (after.until - before.until).total_seconds() > 90


WRITES: dict[str, Callable[[Repository, str, int], object]] = {
    "heartbeat": lambda ledger, job, token: ledger.heartbeat(job, token, 60),
    "record": lambda ledger, job, token: ledger.record(job, token, [PROGRESS], batch=9),
    "attach": lambda ledger, job, token: ledger.attach(job, token, FILE, "a/1/b"),
    "succeed": lambda ledger, job, token: ledger.settle(
        job, token, Status.SUCCEEDED, Ending("finished"), deliveries=[(FILE, "a/1/b")]
    ),
    "fail": lambda ledger, job, token: ledger.settle(job, token, Status.FAILED, Ending("x")),
    "cancel": lambda ledger, job, token: ledger.settle(job, token, Status.CANCELLED, Ending("x")),
    "release": lambda ledger, job, token: ledger.release(
        job, token, Ending("crashed"), counted=True, retry_seconds=1
    ),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("now", ["claimed by another", "queued again", "ended"])
def test_a_stale_token_changes_nothing(database: Database, write: str, now: str) -> None:
    job_id = submit(database)
    stale = claim(database, "slow").attempt
    with database.write() as session:
        ledger = Repository(session)
        ledger.release(job_id, stale, Ending("lost"), counted=True, retry_seconds=0)
    if now != "queued again":
        fresh = claim(database, "quick").attempt
        assert fresh == stale + 1
    if now == "ended":
        with database.write() as session:
            Repository(session).settle(job_id, fresh, Status.SUCCEEDED, Ending("finished"))
    before = content_of(database)
    with pytest.raises(LeaseLost), database.write() as session:
        WRITES[write](Repository(session), job_id, stale)
    assert content_of(database) == before


def test_a_batch_becomes_events_curves_progress_and_phase(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    stages = [{"name": "teacher"}, {"name": "student-0"}]
    columns = {"step": [9, 10], "loss": [1.0, float("nan")]}
    events = [
        {"type": "run.started", "stages": stages},
        {"type": "phase", "phase": "training"},
        {"type": "metrics", "stage": "teacher", "seed": 0, "columns": columns},
        PROGRESS,
        {"type": "checkpoint", "stage": "teacher", "seed": 0, "step": 10},
        {"type": "stage.finished", "stage": "teacher", "step": 40, "scores": {"a": float("inf")}},
    ]
    with database.write() as session:
        Repository(session).record(job_id, token, events, batch=1)
    with database.read() as session:
        ledger = Repository(session)
        job = ledger.get(job_id)
        curves = ledger.metrics(job_id)
        last = ledger.events(job_id)[-1]
    assert story_of(database, job_id)[2:] == [
        "run.started",
        "phase",
        "checkpoint",
        "stage.finished",
    ]
    assert job.phase == "training"
    assert job.progress is not None
    assert job.progress["percent"] == 12.5
    assert (job.progress["stages_done"], job.progress["stages_total"]) == (1, 2)
    assert (job.progress["eta_seconds"], job.progress["metrics"]) == (20.0, {"loss": None})
    assert job.progress["memory_bytes"] is None  # an older trainer tells none
    assert curves.stages["teacher"].columns == {"step": [9, 10], "loss": [1.0, None]}
    assert (last.attempt, last.data) == (
        1,
        {"stage": "teacher", "step": 40, "scores": {"a": None}},
    )


def test_a_batch_sent_twice_is_written_once(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    for batch in (1, 1, 2, 1):
        with database.write() as session:
            Repository(session).record(
                job_id, token, [{"type": "warning", "code": str(batch)}], batch=batch
            )
    with database.read() as session:
        told = [event.data["code"] for event in Repository(session).events(job_id, after=2)]
    assert told == ["1", "2"]


def test_recording_tells_at_once_that_the_client_wants_to_cancel(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        Repository(session).request_cancel(job_id, "now")
    with database.write() as session:
        assert Repository(session).record(job_id, token, [PROGRESS], batch=1).cancel == "now"
    assert status_of(database, job_id) == "cancelling"
