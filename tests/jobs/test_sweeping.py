"""Statements of the sweepers, each harmless when the world has moved on."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from specs import LEASE_SECONDS, claim, document, status_of, story_of, submit
from sqlalchemy import event, update

from jobs.database import Database
from jobs.journal import LONGEST_WAIT_SECONDS
from jobs.moments import clock
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.states import Status
from jobs.submission import Submission
from jobs.sweeping import Lease
from jobs.tables import Job


def the_lease(database: Database) -> Lease:
    with database.read() as session:
        (lease,) = Repository(session).leases()
    return lease


def expire(database: Database, lease: Lease) -> Status | None:
    with database.write() as session:
        return Repository(session).expire(lease, retry_seconds=0, lease_seconds=LEASE_SECONDS)


def test_an_expired_lease_gives_the_job_back_once(database: Database) -> None:
    job_id = submit(database)
    claim(database, lease=-1)
    lease = the_lease(database)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: expire(database, lease), range(6)))
    assert sorted(map(str, results)) == ["None"] * 5 + ["queued"]
    with database.read() as session:
        (attempt,) = Repository(session).attempts(job_id)
    assert (attempt.status, attempt.reason) == ("lost", "lost")
    assert story_of(database, job_id).count("attempt.ended") == 1


def test_a_lease_that_still_runs_is_left_alone(database: Database) -> None:
    submit(database)
    claim(database)
    assert expire(database, the_lease(database)) is None


def test_a_lease_that_was_renewed_meanwhile_is_left_alone(database: Database) -> None:
    job_id = submit(database)
    token = claim(database, lease=-1).attempt
    seen = the_lease(database)
    with database.write() as session:
        Repository(session).heartbeat(job_id, token, -0.5)  # renewed, and over again
    assert expire(database, seen) is None
    assert status_of(database, job_id) == "running"


def test_a_lease_longer_than_any_was_begun_under_a_wrong_clock_and_is_over(
    database: Database,
) -> None:
    submit(database)
    claim(database, lease=LEASE_SECONDS + 3600)
    assert expire(database, the_lease(database)) is Status.QUEUED


def test_a_job_that_was_stored_under_a_wrong_clock_does_not_wait_for_it(
    database: Database,
) -> None:
    ahead = submit(database)
    later = submit(database)
    with database.write() as session:
        moved = update(Job).where(Job.id == ahead).values(run_after=clock(3600), dispatched_at=None)
        session.execute(moved)
        retried = update(Job).where(Job.id == later).values(run_after=clock(LONGEST_WAIT_SECONDS))
        session.execute(retried)
        assert list(Repository(session).bells_due()) == [ahead]
    assert claim(database).job_id == ahead
    with database.write() as session:
        assert Repository(session).claim("worker-2", LEASE_SECONDS) is None


def test_a_job_whose_owner_died_while_it_was_cancelled_is_cancelled(database: Database) -> None:
    job_id = submit(database)
    claim(database, lease=-1)
    with database.write() as session:
        Repository(session).request_cancel(job_id)
    assert expire(database, the_lease(database)) is Status.CANCELLED


def test_lost_attempts_run_out_too(database: Database) -> None:
    job_id = submit(database, max_attempts=1)
    claim(database, lease=-1)
    assert expire(database, the_lease(database)) is Status.FAILED
    assert story_of(database, job_id)[-1] == "job.failed"


def test_a_bell_is_due_when_none_was_heard_for_a_while_and_only_once(database: Database) -> None:
    fresh, lost, later, running = (submit(database, priority=p) for p in (10, 20, 30, 40))
    assert claim(database).job_id == running
    with database.write() as session:
        session.execute(update(Job).where(Job.id != fresh).values(dispatched_at=clock(-16)))
        session.execute(update(Job).where(Job.id == later).values(run_after=clock(60)))
    with database.write() as session:
        assert Repository(session).bells_due() == [lost]
    with database.write() as session:
        assert Repository(session).bells_due() == []


def test_a_released_job_is_due_for_a_bell_at_once(database: Database) -> None:
    job_id = submit(database)
    claim(database, lease=-1)
    expire(database, the_lease(database))
    with database.write() as session:
        assert Repository(session).bells_due() == [job_id]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("waiting", [0, 3, 500])
def test_bells_are_looked_for_in_the_index_of_waiting_jobs_whatever_the_statistics_say(
    database: Database, waiting: int
) -> None:
    sent = document()
    many = [Submission.of(JobSpec.model_validate(sent), sent)] * 500
    with database.write() as session:
        ids = [row.id for row in Repository(session).add_all(many)]
    for job_id in ids[waiting:]:
        with database.write() as session:
            Repository(session).request_cancel(job_id)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    told: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, parameters, *_: told.append((statement, parameters)),
    )
    with database.write() as session:
        Repository(session).bells_due()
    ((statement, parameters),) = [one for one in told if one[0].startswith("UPDATE jobs")]
    with database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps = [row[-1] for row in plan]
    assert any("USING INDEX ix_jobs_next" in step for step in steps), steps
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps), steps


def test_workers_come_and_go(database: Database) -> None:
    with database.write() as session:
        ledger = Repository(session)
        ledger.greet("a", 2)
        ledger.greet("b", 1)
        ledger.greet("a", 2)
    with database.read() as session:
        listed = Repository(session).workers()
    assert [(worker.id, worker.slots) for worker in listed] == [("a", 2), ("b", 1)]
    with database.write() as session:
        Repository(session).part("a")
        assert [worker.id for worker in Repository(session).workers()] == ["b"]
