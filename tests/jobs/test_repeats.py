"""Requests that are sent again without a key, on both databases, at once and one after another."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from specs import document
from sqlalchemy import select, update

from jobs.database import Database, dump_json
from jobs.errors import IdempotencyKeyTaken
from jobs.intake import store_all
from jobs.keyed import JobRow
from jobs.moments import clock
from jobs.repeats import CAME_AGAIN, Repeat
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.submission import Submission
from jobs.tables import Job

WINDOW = 60.0


def fresh() -> Repeat:
    """Return what is said of a request that came this moment."""
    return Repeat(is_again=False, since=time.monotonic())


def again() -> Repeat:
    """Return what is said of one that was sent before."""
    return Repeat(is_again=True, since=time.monotonic() - WINDOW)


def sent(repeat: Repeat, key: str = "somebody's body", **more: str) -> Submission:
    """Return a submission of a request that names no key."""
    spec = document()
    made = Submission.of(JobSpec.model_validate(spec), spec, idempotency_key=key, **more)
    origin = dump_json({CAME_AGAIN: True} if repeat.is_again else {})
    return replace(made, repeat=repeat, origin=origin)


def store(database: Database, *submissions: Submission) -> list[str | type[Exception]]:
    """Store submissions at once; return ids, and what was refused as its kind."""
    return [
        one.id if isinstance(one, JobRow) else type(one) for one in store_all(database, submissions)
    ]


def stored(database: Database) -> int:
    with database.read() as session:
        return len(session.scalars(select(Job.id)).all())


def found(database: Database, repeat: Repeat, key: str = "somebody's body") -> str | None:
    with database.read() as session:
        row = Repository(session).find_made(key, repeat)
    return row.id if row else None


def test_the_same_request_makes_a_job_each_time_and_one_that_comes_again_makes_none(
    database: Database,
) -> None:
    first, second = (store(database, sent(fresh()))[0] for _ in range(2))
    assert first != second
    assert store(database, sent(again())) == [IdempotencyKeyTaken]
    assert found(database, again()) == second
    assert found(database, again(), "another body") is None
    assert found(database, fresh()) is None
    assert stored(database) == 2


def test_what_was_never_heard_of_or_long_ago_is_made_though_it_comes_again(
    database: Database,
) -> None:
    (first,) = store(database, sent(again()))
    assert store(database, sent(again())) == [IdempotencyKeyTaken]
    with database.write() as session:
        session.execute(update(Job).values(created_at=clock(-WINDOW - 1)))
    assert found(database, again()) is None
    (second,) = store(database, sent(again()))
    assert first != second
    assert stored(database) == 2


def test_a_request_that_its_own_repetition_has_overtaken_makes_no_second_job(
    database: Database,
) -> None:
    slow = fresh()
    (made,) = store(database, sent(again()))
    assert store(database, sent(slow)) == [IdempotencyKeyTaken]
    assert found(database, slow) == made
    # Whoever comes when all of it is over means another job.
    (another,) = store(database, sent(fresh()))
    assert another != made


def test_jobs_of_several_requests_are_stored_together(database: Database) -> None:
    together = store(
        database, sent(fresh()), sent(fresh()), sent(again()), sent(fresh(), "another")
    )
    ids = [one for one in together if isinstance(one, str)]
    assert together.count(IdempotencyKeyTaken) == 1
    assert len(set(ids)) == 3


def test_another_project_has_keys_of_its_own(database: Database) -> None:
    with database.write() as session:
        Repository(session).add_project("vision")
    store(database, sent(fresh()))
    (theirs,) = store(database, sent(again(), project="vision"))
    with database.read() as session:
        row = Repository(session, "vision").find_made("somebody's body", again())
    assert row is not None
    assert row.id == theirs


@pytest.mark.parametrize("is_again", [False, True])
def test_of_many_at_once_each_first_one_makes_a_job_and_the_others_one_together(
    database: Database, is_again: bool
) -> None:
    at_once = Barrier(8)

    def ask(_: int) -> list[str | type[Exception]]:
        at_once.wait()
        return store(database, sent(again() if is_again else fresh()))

    with ThreadPoolExecutor(8) as pool:
        told = [one for (one,) in pool.map(ask, range(8))]
    assert stored(database) == len({one for one in told if isinstance(one, str)})
    assert stored(database) == (1 if is_again else 8)
    assert set(map(type, told)) == ({str, type} if is_again else {str})


def test_a_request_and_its_repetition_at_once_make_one_job(database: Database) -> None:
    at_once = Barrier(2)

    def ask(repeat: Repeat, key: str) -> list[str | type[Exception]]:
        at_once.wait()
        return store(database, sent(repeat, key))

    with ThreadPoolExecutor(2) as pool:
        for key in "abcdef":
            told = [one for (one,) in pool.map(ask, [fresh(), again()], [key] * 2)]
            assert told.count(IdempotencyKeyTaken) == 1
    assert stored(database) == 6
