"""A worker that drains gets no job, from the very commit that told it to."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from specs import claim, submit
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError
from waiting import wait_until

from jobs.database import Database
from jobs.errors import WorkerNotFound
from jobs.leases import Claim
from jobs.operating import DrainMode
from jobs.repository import Repository
from jobs.tables import Worker


@pytest.fixture(autouse=True)
def _two_workers(database: Database) -> None:
    with database.write() as session:
        for worker in ("staying", "leaving"):
            Repository(session).greet(worker, 1)


def drain(database: Database, mode: DrainMode = DrainMode.FINISH) -> None:
    with database.write() as session:
        Repository(session).drain_worker("leaving", mode)


def ask(database: Database, worker: str) -> Claim | None:
    with database.write() as session:
        return Repository(session).claim(worker, 60)


def test_a_worker_that_drains_claims_nothing_and_the_other_one_does(database: Database) -> None:
    job_id = submit(database)
    drain(database)
    assert ask(database, "leaving") is None
    claimed = ask(database, "staying")
    assert claimed is not None
    assert claimed.job_id == job_id


def test_what_it_runs_already_stays_its_own(database: Database) -> None:
    submit(database)
    mine = claim(database, "leaving")
    drain(database)
    with database.write() as session:
        wish = Repository(session).heartbeat(mine.job_id, mine.attempt, 60)
    assert (wish.cancel, wish.pause) == (None, False)


def test_its_greeting_and_its_look_tell_it(database: Database) -> None:
    with database.write() as session:
        assert Repository(session).greet("leaving", 1) is None
        assert Repository(session).drain_asked("leaving") is None
    drain(database)
    with database.write() as session:
        assert Repository(session).greet("leaving", 1) is DrainMode.FINISH
        assert Repository(session).drain_asked("leaving") is DrainMode.FINISH
        assert Repository(session).greet("staying", 1) is None


def test_asking_again_changes_nothing_but_finish_to_save(database: Database) -> None:
    told: list[tuple[object, object]] = []
    for mode in (DrainMode.FINISH, DrainMode.FINISH, DrainMode.SAVE, DrainMode.FINISH):
        with database.write() as session:
            row = Repository(session).drain_worker("leaving", mode)
            told.append((row.draining_since, row.drain_mode))
    assert {since for since, _ in told} == {told[0][0]}
    assert [mode for _, mode in told] == ["finish", "finish", "save", "save"]


def test_a_worker_that_is_unknown_or_has_ended_cannot_be_told(database: Database) -> None:
    with database.write() as session:
        Repository(session).part("leaving")
    for worker in ("leaving", "nobody"):
        with pytest.raises(WorkerNotFound, match=worker), database.write() as session:
            Repository(session).drain_worker(worker)


def test_a_claim_that_meets_a_drain_waits_for_it_and_gets_nothing(database: Database) -> None:
    submit(database)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            Repository(session).drain_worker("leaving")
            asked = pool.submit(ask, database, "leaving")
            wait_for_its_turn(database, asked)
        assert asked.result(20) is None


def test_a_drain_that_meets_a_claim_comes_after_it(database: Database) -> None:
    job_id = submit(database)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            claimed = Repository(session).claim("leaving", 60)
            told = pool.submit(drain, database)
            wait_for_its_turn(database, told)
        told.result(20)
    assert claimed is not None
    assert claimed.job_id == job_id
    submit(database)
    assert ask(database, "leaving") is None


def wait_for_its_turn(database: Database, task: "Future[Claim | None] | Future[None]") -> None:
    """Wait until a task waits for a lock, or is done although it should; SQLite does not tell."""
    if database.is_sqlite:
        return
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"

    def has_come() -> bool:
        with database.look() as connection:
            return task.done() or bool(connection.scalar(text(waiting)))

    wait_until(has_come)


@pytest.mark.parametrize(
    "row",
    [
        {"draining_since": Worker.seen_at},
        {"drain_mode": "save"},
        {"draining_since": Worker.seen_at, "drain_mode": "x"},
    ],
)
def test_half_a_drain_is_refused_by_the_database(database: Database, row: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(update(Worker).values(**row))
