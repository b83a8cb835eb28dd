"""Why a job waits, as an operator would find out."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from specs import claim, document, submit

from jobs.database import Database
from jobs.endings import Ending
from jobs.errors import JobNotFound
from jobs.operating import DrainMode
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.waiting import Wait


def wait_of(database: Database, job_id: str, *, silent_seconds: float = 60.0) -> Wait | None:
    oldest = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=silent_seconds)
    with database.read() as session:
        return Repository(session).wait_of(job_id, oldest)


def reason(database: Database, job_id: str, **options: Any) -> tuple[str, str]:
    found = wait_of(database, job_id, **options)
    assert found is not None
    return found.reason, found.told


def greet(database: Database, worker_id: str, slots: int = 1, **about: Any) -> None:
    with database.write() as session:
        Repository(session).greet(worker_id, slots, about)


def test_without_a_worker_it_says_how_to_start_one(database: Database) -> None:
    job_id = submit(database)
    assert reason(database, job_id)[0] == "no_worker"
    greet(database, "one", queues=["default"])
    assert reason(database, job_id)[0] == "next"
    told = reason(database, job_id, silent_seconds=-60)[1]
    assert "python -m worker" in told
    with database.write() as session:
        Repository(session).drain_worker("one", DrainMode.FINISH)
    assert reason(database, job_id)[0] == "no_worker"


def test_those_that_are_claimed_next_come_first_whatever_was_sent_last(database: Database) -> None:
    for place in range(4):
        submit(database, name=f"old {place}")
    submit(database, name="big", resources={"queue": "big"}, priority=70)
    submit(database, name="urgent", priority=90)
    for _ in range(4):
        submit(database, name="late", priority=1)
    urgent = claim(database)
    with database.write() as session:
        lost = Ending("lost")
        Repository(session).release(urgent.job_id, 1, lost, counted=True, retry_seconds=600)
    with database.read() as session:
        found = Repository(session).upcoming("default", 5)
        assert [job.name for job in found] == ["big", *(f"old {place}" for place in range(4))]
        waits = Repository(session).waits_of(found, dt.datetime.now(dt.UTC))
        assert {wait.reason for wait in waits.values()} == {"no_worker"}
        assert [waits[job.id].ahead for job in found] == [0, 0, 1, 2, 3]
        every = Repository(session).upcoming("default", 100)
        assert [job.name for job in every][-2:] == ["late", "urgent"]
        assert Repository(session).upcoming("nobody", 5) == []


def test_a_queue_or_gpus_that_no_worker_has_are_named(database: Database) -> None:
    job_id = submit(database, resources={"queue": "big", "gpus": 2})
    greet(database, "one", queues=["default"], gpus=["A", "B"])
    greet(database, "two", queues=["big"], gpus=["A"])
    assert reason(database, job_id) == (
        "no_worker",
        "2 workers are there, but none takes jobs of queue big with 2 GPUs.",
    )
    greet(database, "three", slots=2, queues=["big"], gpus=["A", "B"])
    assert reason(database, job_id) == (
        "next",
        "It is the next of its project; 2 slots may take it once there is room.",
    )


def test_who_comes_first_is_counted_as_a_worker_would_choose(database: Database) -> None:
    greet(database, "one")
    first = submit(database)
    second = submit(database)
    urgent = submit(database, priority=90)
    elsewhere = submit(database, resources={"queue": "big"}, priority=90)
    aheads = [found.ahead for job in (first, second, urgent) if (found := wait_of(database, job))]
    assert aheads == [1, 2, 0]
    assert reason(database, second)[1] == "2 jobs of its project come before it."
    assert reason(database, elsewhere)[0] == "next"
    assert claim(database).job_id == urgent
    assert wait_of(database, urgent) is None
    assert reason(database, second)[1] == "1 job of its project comes before it."


def test_a_project_at_its_limit_says_so(database: Database) -> None:
    greet(database, "one")
    sent = document()
    with database.write() as session:
        repository = Repository(session)
        repository.add_project("vision", max_running=1)
        ids = [
            Repository(session, "vision").add(JobSpec.model_validate(sent), sent).id
            for _ in range(2)
        ]
    assert claim(database).job_id == ids[0]
    assert reason(database, ids[1]) == (
        "project_limit",
        "Project vision runs as many jobs as it may (1).",
    )


def test_one_that_failed_waits_a_while(database: Database) -> None:
    greet(database, "one")
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        repository = Repository(session)
        repository.release(job_id, token, Ending("lost"), counted=True, retry_seconds=600)
    found = wait_of(database, job_id)
    assert found is not None
    assert found.reason == "later"
    assert found.seconds is not None
    assert 300 < found.seconds <= 900


def test_of_another_project_nothing_is_told(database: Database) -> None:
    job_id = submit(database)
    with database.read() as session, pytest.raises(JobNotFound):
        Repository(session, "vision").wait_of(job_id, dt.datetime.now(dt.UTC))
