"""What a mirror has to hear of is noted with its event, and told by one at a time."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from mirrors import make_due, mirrored, row_of, watch
from specs import claim, submit
from sqlalchemy import update

from jobs.database import Database
from jobs.endings import Ending
from jobs.mirroring import GONE_SECONDS
from jobs.mlflow_runs import WAITS_SECONDS, Telling
from jobs.mlflow_tables import MlflowMirror
from jobs.moments import clock
from jobs.repository import Repository
from jobs.states import Status


def take(database: Database, job_id: str, lease: float = 60.0) -> Telling | None:
    with database.write() as session:
        return Repository(session).claim_run(job_id, lease)


def taken(database: Database, job_id: str, lease: float = 60.0) -> Telling:
    """Claim a job's run; it must be due."""
    telling = take(database, job_id, lease)
    assert telling is not None
    return telling


def finish(database: Database, telling: Telling, again: float | None = None, **values: Any) -> bool:
    with database.write() as session:
        return Repository(session).finish_run(telling, again_seconds=again, **values)


def due(database: Database) -> list[str]:
    with database.read() as session:
        return [*Repository(session).due_runs(10)]


def end(database: Database, job_id: str) -> None:
    with database.write() as session:
        Repository(session).settle(job_id, 1, Status.FAILED, Ending("failed"))


def test_nothing_is_noted_where_nobody_mirrors(database: Database) -> None:
    job_id = submit(database)
    claim(database)
    assert row_of(database, job_id) is None
    watch(database)
    with database.write() as session:
        gone = clock(-GONE_SECONDS - 60)
        session.execute(update(MlflowMirror).values(seen_at=gone))
    other = submit(database)
    claim(database)
    assert row_of(database, other) is None
    with database.write() as session:
        assert Repository(session).adopt_running() == 2, "they run, and somebody begins to mirror"
        assert Repository(session).adopt_running() == 0
    assert due(database) == [job_id, other]


def test_a_job_is_noted_once_it_begins_or_ends_and_one_that_had_ended_never(
    database: Database,
) -> None:
    old = submit(database)
    claim(database)
    end(database, old)
    watch(database)
    with database.write() as session:
        Repository(session).purge(days=0.0, limit=9)
    assert row_of(database, old) is None
    waiting, begun = submit(database), submit(database)
    assert row_of(database, waiting) is None, "it waits, and may do so for long"
    with database.write() as session:
        Repository(session).request_cancel(waiting)
    assert claim(database).job_id == begun
    assert due(database) == [waiting, begun]


def test_what_is_undone_is_not_noted(database: Database) -> None:
    watch(database)
    job_id = submit(database)
    with pytest.raises(ZeroDivisionError), database.write() as session:  # noqa: PT012  # undone
        Repository(session).claim("worker-1", 60.0)
        raise ZeroDivisionError
    assert row_of(database, job_id) is None


def test_an_event_that_comes_meanwhile_is_not_slept_through(database: Database) -> None:
    watch(database)
    job_id = submit(database)
    claim(database)
    telling = taken(database, job_id)
    end(database, job_id)
    assert due(database) == [], "somebody is at it"
    assert finish(database, telling)
    assert due(database) == [job_id]
    assert finish(database, taken(database, job_id), told="FAILED")
    assert due(database) == []
    assert (mirrored(database).told, mirrored(database).waiting) == (1, 0)
    with database.write() as session:
        Repository(session).retry(job_id)
    assert due(database) == [job_id]


def test_who_has_lost_a_claim_writes_nothing_and_points_keep_their_moment(
    database: Database,
) -> None:
    watch(database)
    job_id = submit(database)
    claim(database)
    lost = taken(database, job_id, lease=0.0)
    held = taken(database, job_id)
    assert held.moment == lost.moment, "what was sent may be sent again, and is the same"
    with database.write() as session:
        repository = Repository(session)
        assert not repository.advance_run(lost, run_id="another")
        assert repository.next_moment(lost, {"teacher": 9}) is None
        assert not repository.finish_run(lost, again_seconds=None)
        repository.fail_run(lost, "too late")
        repository.renew_run(lost, 600.0)
        later = repository.next_moment(held, {"teacher": 5})
    assert later is not None
    assert later > held.moment
    assert finish(database, held, 0.0)
    with database.write() as session:  # what was held is let go of
        Repository(session).renew_run(held, 600.0)
    row = row_of(database, job_id)
    assert row is not None
    assert (row.position, row.run_id, row.error, row.moment) == ({"teacher": 5}, None, None, None)
    assert due(database) == [job_id]


def test_failures_wait_longer_each_time_and_are_never_given_up(database: Database) -> None:
    watch(database)
    job_id = submit(database)
    claim(database)
    for wait in (*WAITS_SECONDS, WAITS_SECONDS[-1], WAITS_SECONDS[-1]):
        telling = taken(database, job_id)
        with database.write() as session:
            Repository(session).fail_run(telling, "it is away")
            now = session.scalar(_now())
        row = row_of(database, job_id)
        assert row is not None
        assert row.next_at is not None
        assert now is not None
        assert timedelta(seconds=0.89 * wait) < row.next_at - now < timedelta(seconds=1.1 * wait)
        assert due(database) == []
        make_due(database)
    assert (row.failures, row.error, mirrored(database).failing) == (7, "it is away", 1)
    assert finish(database, taken(database, job_id))
    row = row_of(database, job_id)
    assert row is not None
    assert (row.failures, row.error) == (0, None)


def _now() -> Any:
    from sqlalchemy import select

    return select(clock())


def test_of_many_that_claim_a_run_one_has_it(database: Database) -> None:
    watch(database)
    job_id = submit(database)
    claim(database)
    found: list[Telling | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(take(database, job_id))) for _ in range(6)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [telling is None for telling in found].count(False) == 1


def test_the_run_of_a_job_that_is_deleted_stays_until_it_is_ended(database: Database) -> None:
    watch(database)
    job_id = submit(database)
    claim(database)
    end(database, job_id)
    assert finish(database, taken(database, job_id), run_id="abc", told="FAILED")
    with database.write() as session:
        Repository(session).delete(job_id)
    telling = taken(database, job_id)
    assert (telling.run_id, telling.told) == ("abc", "FAILED")
    with database.write() as session:
        Repository(session).forget_run(telling)
    assert row_of(database, job_id) is None
