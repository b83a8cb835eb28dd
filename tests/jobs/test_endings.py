"""How attempts end: settled for good, or released for another try."""

from typing import Any

import pytest
from specs import claim, status_of, story_of, submit

from jobs.artifacts import Delivery
from jobs.database import Database
from jobs.endings import Ending, Failure
from jobs.errors import LeaseLost
from jobs.journal import LONGEST_WAIT_SECONDS
from jobs.repository import Repository
from jobs.states import Status
from jobs.tables import Job

FILE = Delivery("student.safetensors", "student", 3, "0" * 64, "application/octet-stream")


def checkpoint(step: int) -> dict[str, Any]:
    return {"type": "checkpoint", "stage": "teacher", "seed": 0, "step": step}


def release(database: Database, job_id: str, token: int, **more: Any) -> Status:
    arguments = {"counted": True, "retry_seconds": 0.0, **more}
    with database.write() as session:
        return Repository(session).release(job_id, token, Ending("crashed"), **arguments)


def job_of(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return Repository(session).get(job_id)


def test_a_success_stands_with_verdict_gates_and_files(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    verdict = {"outcome": "beats", "gates_passed": True}
    ending = Ending("finished", exit_code=0)
    for _ in range(2):  # the answer to the first commit may be lost
        with database.write() as session:
            Repository(session).settle(
                job_id,
                token,
                Status.SUCCEEDED,
                ending,
                verdict=verdict,
                deliveries=[(FILE, "x/1/y")],
            )
    job = job_of(database, job_id)
    assert (job.status, job.result_attempt, job.worker) == ("succeeded", 1, None)
    assert (job.verdict, job.gates_passed) == (verdict, True)
    with database.read() as session:
        (attempt,) = Repository(session).attempts(job_id)
        (artifact,) = Repository(session).artifacts(job_id)
    assert (attempt.status, attempt.reason, attempt.exit_code) == ("succeeded", "finished", 0)
    assert (artifact.name, artifact.attempt, artifact.location) == (FILE.name, 1, "x/1/y")
    assert story_of(database, job_id)[2:] == ["attempt.ended", "job.succeeded"]


def test_a_job_cannot_end_twice_in_different_ways(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        Repository(session).settle(job_id, token, Status.SUCCEEDED, Ending("finished"))
    with pytest.raises(LeaseLost), database.write() as session:
        Repository(session).settle(job_id, token, Status.FAILED, Ending("crashed"))
    assert status_of(database, job_id) == "succeeded"


def test_a_failure_says_why_and_in_which_attempt(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    failure = Failure("nan_loss", "the loss is NaN at step 3", "use a lower learning rate")
    with database.write() as session:
        ending = Ending("nan_loss", failure, exit_code=65)
        Repository(session).settle(job_id, token, Status.FAILED, ending)
    expected = {
        "code": "nan_loss",
        "message": "the loss is NaN at step 3",
        "hint": "use a lower learning rate",
        "attempt": 1,
    }
    assert job_of(database, job_id).failure == expected
    with database.read() as session:
        assert Repository(session).events(job_id)[-1].data == expected


def test_only_files_of_the_attempt_that_succeeded_remain(database: Database) -> None:
    job_id = submit(database)
    old = Delivery("partial.bin", "stage", 1, "1" * 64, "application/octet-stream")
    with database.write() as session:
        ledger = Repository(session)
        assert ledger.claim("w", 60)
        ledger.request_cancel(job_id)
        files = [(old, "x/1/partial.bin"), (FILE, "x/1/student")]
        ledger.settle(job_id, 1, Status.CANCELLED, Ending("cancelled"), deliveries=files)
        assert [row.name for row in ledger.artifacts(job_id)] == [old.name, FILE.name]
        ledger.retry(job_id)
        assert ledger.claim("w", 60)
        files = [(FILE, "x/2/student")]
        ledger.settle(job_id, 2, Status.SUCCEEDED, Ending("finished"), deliveries=files)
        assert [(row.name, row.location) for row in ledger.artifacts(job_id)] == [
            (FILE.name, "x/2/student")
        ]


def test_a_crashed_attempt_waits_longer_each_time_up_to_a_limit(database: Database) -> None:
    job_id = submit(database, max_attempts=20)
    waits: list[float] = []
    for step in range(12):
        with database.write() as session:
            session.get_one(Job, job_id).run_after = job_of(database, job_id).created_at
        token = claim(database).attempt
        with database.write() as session:
            Repository(session).record(job_id, token, [checkpoint(step)], batch=1)
        assert release(database, job_id, token, retry_seconds=2.0) is Status.QUEUED
        with database.read() as session:
            ended = Repository(session).attempts(job_id)[-1].ended_at
        assert ended is not None
        waits.append(round((job_of(database, job_id).run_after - ended).total_seconds()))
    assert waits[:5] == [2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_WAIT_SECONDS


def test_three_attempts_that_get_nowhere_are_a_crash_loop(database: Database) -> None:
    job_id = submit(database, max_attempts=20)
    for attempt in (1, 2, 3):
        assert claim(database).attempt == attempt
        status = release(database, job_id, attempt)
        assert status is (Status.FAILED if attempt == 3 else Status.QUEUED)
    failure = job_of(database, job_id).failure
    assert failure is not None
    assert (failure["code"], failure["attempt"]) == ("crash_loop", 3)
    assert "crashed" in failure["message"]
    assert story_of(database, job_id)[-1] == "job.failed"


def test_only_a_checkpoint_further_than_all_before_is_getting_on(database: Database) -> None:
    job_id = submit(database, max_attempts=20)
    for step in (10, 20, 20, 15):
        token = claim(database).attempt
        with database.write() as session:
            Repository(session).record(job_id, token, [checkpoint(step)], batch=1)
        release(database, job_id, token)
    assert job_of(database, job_id).stalled_attempts == 2
    token = claim(database).attempt
    assert release(database, job_id, token) is Status.FAILED


def test_attempts_run_out_even_when_each_gets_on(database: Database) -> None:
    job_id = submit(database, max_attempts=2)
    for step in (1, 2):
        token = claim(database).attempt
        with database.write() as session:
            Repository(session).record(job_id, token, [checkpoint(step)], batch=1)
        release(database, job_id, token)
    failure = job_of(database, job_id).failure
    assert failure is not None
    assert failure["code"] == "attempts_exhausted"


def test_a_known_cause_is_told_instead_of_the_count(database: Database) -> None:
    job_id = submit(database, max_attempts=1)
    claim(database)
    ending = Ending("disk_full", Failure("disk_full", "no room", "free some space"))
    with database.write() as session:
        Repository(session).release(job_id, 1, ending, counted=True, retry_seconds=0)
    failure = job_of(database, job_id).failure
    assert failure is not None
    assert (failure["code"], failure["hint"]) == ("disk_full", "free some space")


def test_a_preempted_attempt_counts_for_nothing_and_waits_for_nothing(database: Database) -> None:
    job_id = submit(database, max_attempts=1)
    for _ in range(5):
        token = claim(database).attempt
        with database.write() as session:
            status = Repository(session).release(
                job_id, token, Ending("preempted"), counted=False, retry_seconds=900
            )
        assert status is Status.QUEUED
    with database.read() as session:
        last = Repository(session).attempts(job_id)[-1]
    assert (last.status, last.reason) == ("lost", "preempted")


def test_releasing_a_job_that_is_being_cancelled_cancels_it(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        Repository(session).request_cancel(job_id)
    for _ in range(2):  # the answer to the first commit may be lost
        assert release(database, job_id, token) is Status.CANCELLED
    assert story_of(database, job_id)[-2:] == ["attempt.ended", "job.cancelled"]


def test_the_time_that_earlier_attempts_ran_is_known_until_a_retry(database: Database) -> None:
    job_id = submit(database, max_runtime_seconds=60)
    first = claim(database)
    assert (first.max_runtime_seconds, first.used_seconds) == (60, 0)
    release(database, job_id, 1)
    second = claim(database)
    assert 0 < second.used_seconds < 30
    with database.write() as session:
        ledger = Repository(session)
        ledger.settle(job_id, 2, Status.FAILED, Ending("deadline_exceeded"))
        ledger.retry(job_id)
    assert claim(database).used_seconds == 0
