"""What clients want of a job: pause, resume, retry; each of it once or twice."""

import pytest
from asking import attempts, end, job_of, release, tell
from specs import claim, status_of, story_of, submit
from sqlalchemy import update

from jobs.database import Database
from jobs.endings import PAUSED, Ending
from jobs.errors import IllegalTransition
from jobs.moments import clock
from jobs.states import Status, Verb
from jobs.tables import Attempt, Job


def test_a_waiting_job_is_paused_at_once_and_not_claimed_before_it_is_resumed(
    database: Database,
) -> None:
    job_id = submit(database)
    for _ in range(2):
        assert tell(database, lambda ledger: ledger.pause(job_id)).status == "paused"
    assert tell(database, lambda ledger: ledger.claim("w", 60)) is None
    for _ in range(2):
        assert tell(database, lambda ledger: ledger.resume(job_id)).status == "queued"
    assert claim(database).job_id == job_id
    assert story_of(database, job_id) == [
        "job.queued",
        "job.pause_requested",
        "job.paused",
        "job.resumed",
        "attempt.started",
    ]
    assert tell(database, lambda ledger: ledger.counts()) == {"running": 1}


def test_a_running_job_is_paused_by_its_worker_and_costs_no_attempt(database: Database) -> None:
    job_id = submit(database, max_attempts=1)
    token = claim(database).attempt
    assert not tell(database, lambda ledger: ledger.heartbeat(job_id, token, 60)).pause
    for _ in range(2):
        assert tell(database, lambda ledger: ledger.pause(job_id)).status == "pausing"
    wish = tell(database, lambda ledger: ledger.heartbeat(job_id, token, 60))
    assert (wish.pause, wish.cancel) == (True, None)
    for _ in range(2):  # the answer to the first commit may be lost
        assert release(database, job_id, PAUSED) is Status.PAUSED
    job = job_of(database, job_id)
    assert (job.worker, job.failed_attempts, job.stalled_attempts) == (None, 0, 0)
    assert attempts(database, job_id) == [("paused", "paused")]
    tell(database, lambda ledger: ledger.resume(job_id))
    again = claim(database)
    assert (again.attempt, again.resume_from) == (2, [1])
    assert not tell(database, lambda ledger: ledger.heartbeat(job_id, 2, 60)).pause
    told = story_of(database, job_id)
    assert told[1:] == [
        "attempt.started",
        "job.pause_requested",
        "attempt.ended",
        "job.paused",
        "job.resumed",
        "attempt.started",
    ]


def test_a_job_that_is_resumed_while_it_is_pausing_goes_on(database: Database) -> None:
    job_id = submit(database, max_attempts=1)
    token = claim(database).attempt
    tell(database, lambda ledger: ledger.pause(job_id))
    assert tell(database, lambda ledger: ledger.resume(job_id)).status == "running"
    assert not tell(database, lambda ledger: ledger.heartbeat(job_id, token, 60)).pause
    # Its worker may have heard of the pause in between.
    assert release(database, job_id, PAUSED) is Status.QUEUED
    assert attempts(database, job_id) == [("paused", "paused")]
    assert job_of(database, job_id).failed_attempts == 0
    assert claim(database).resume_from == [1]


@pytest.mark.parametrize("reason", ["crashed", "hang"])
def test_not_even_a_crash_while_pausing_costs_an_attempt(database: Database, reason: str) -> None:
    job_id = submit(database, max_attempts=1)
    for _ in range(4):
        claim(database)
        tell(database, lambda ledger: ledger.pause(job_id))
        assert release(database, job_id, reason, counted=True) is Status.PAUSED
        tell(database, lambda ledger: ledger.resume(job_id))
    job = job_of(database, job_id)
    assert (job.failed_attempts, job.stalled_attempts) == (0, 0)
    assert attempts(database, job_id) == [("failed", reason)] * 4


def test_a_job_whose_worker_dies_while_it_is_pausing_is_paused_by_the_sweeper(
    database: Database,
) -> None:
    job_id = submit(database, max_attempts=1)
    claim(database, lease=-1)
    tell(database, lambda ledger: ledger.pause(job_id))
    (lease,) = tell(database, lambda ledger: ledger.leases())
    assert tell(database, lambda ledger: ledger.expire(lease, retry_seconds=0)) is Status.PAUSED
    assert attempts(database, job_id) == [("lost", "lost")]
    assert job_of(database, job_id).failed_attempts == 0
    assert story_of(database, job_id)[-1] == "job.paused"


def test_a_run_that_ends_before_its_pause_is_heard_keeps_its_end(database: Database) -> None:
    job_id = submit(database)
    claim(database)
    tell(database, lambda ledger: ledger.pause(job_id))
    tell(database, lambda ledger: ledger.settle(job_id, 1, Status.SUCCEEDED, Ending("finished")))
    assert status_of(database, job_id) == "succeeded"


def test_a_paused_job_is_cancelled_at_once_and_a_pausing_one_by_its_worker(
    database: Database,
) -> None:
    paused = submit(database)
    tell(database, lambda ledger: ledger.pause(paused))
    assert tell(database, lambda ledger: ledger.request_cancel(paused)).status == "cancelled"
    pausing = submit(database)
    claim(database)
    tell(database, lambda ledger: ledger.pause(pausing))
    assert tell(database, lambda ledger: ledger.request_cancel(pausing)).status == "cancelling"
    wish = tell(database, lambda ledger: ledger.heartbeat(pausing, 1, 60))
    assert (wish.cancel, wish.pause) == ("graceful", False)
    assert release(database, pausing, PAUSED) is Status.CANCELLED


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.RESUME])
@pytest.mark.parametrize("status", [Status.FAILED, Status.SUCCEEDED, Status.CANCELLING])
def test_what_has_ended_or_shall_end_is_neither_paused_nor_resumed(
    database: Database, verb: Verb, status: Status
) -> None:
    job_id = submit(database)
    if status is Status.CANCELLING:
        claim(database)
        tell(database, lambda ledger: ledger.request_cancel(job_id))
    else:
        end(database, job_id, status)
    before = story_of(database, job_id)
    with pytest.raises(IllegalTransition, match=f"{status} cannot {verb}") as caught:
        tell(database, lambda ledger: getattr(ledger, verb)(job_id))
    assert verb not in caught.value.legal
    assert "clone" in caught.value.legal
    assert story_of(database, job_id) == before


def test_neither_a_pause_nor_a_wait_uses_up_the_time_of_a_job(database: Database) -> None:
    job_id = submit(database, max_runtime_seconds=3600)
    for _ in range(2):
        claim(database)
        tell(database, lambda ledger: ledger.pause(job_id))
        release(database, job_id, PAUSED)
        tell(database, lambda ledger: ledger.resume(job_id))
    with database.write() as session:
        # Ten seconds each, long ago.
        for number in (1, 2):
            session.execute(
                update(Attempt)
                .where(Attempt.attempt == number)
                .values(started_at=clock(-5000), ended_at=clock(-4990))
            )
    assert claim(database).used_seconds == pytest.approx(20, abs=1)


def test_the_time_of_a_lost_attempt_ends_with_its_lease(database: Database) -> None:
    job_id = submit(database, max_runtime_seconds=3600)
    claim(database)
    with database.write() as session:
        # The whole house was down for a day, and nobody could look.
        session.execute(update(Attempt).values(started_at=clock(-90_100)))
        session.execute(update(Job).values(lease_until=clock(-90_000)))
    (lease,) = tell(database, lambda ledger: ledger.leases())
    assert tell(database, lambda ledger: ledger.expire(lease, retry_seconds=0)) is Status.QUEUED
    assert claim(database).used_seconds == pytest.approx(100, abs=1)
    (first, _) = tell(database, lambda ledger: ledger.attempts(job_id))
    assert first.ended_at == lease.until


def test_a_retry_may_bring_more_time_and_asking_for_it_again_is_no_error(
    database: Database,
) -> None:
    job_id = submit(database, max_runtime_seconds=60)
    end(database, job_id)
    tell(database, lambda ledger: ledger.retry(job_id, max_runtime_seconds=600))
    before = story_of(database, job_id)
    tell(database, lambda ledger: ledger.retry(job_id, max_runtime_seconds=600))
    assert claim(database).max_runtime_seconds == 600
    tell(database, lambda ledger: ledger.retry(job_id, max_runtime_seconds=600))
    assert story_of(database, job_id) == [*before, "attempt.started"]
    with pytest.raises(IllegalTransition):
        tell(database, lambda ledger: ledger.retry(job_id, "scratch"))
