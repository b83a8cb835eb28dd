"""Transactions, and the constraints that no code can get around."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from specs import claim, submit
from sqlalchemy import text, update
from sqlalchemy.exc import DatabaseError, IntegrityError

from jobs.database import Database, open_database
from jobs.errors import SchemaOutOfDate
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.tables import Job


def test_threads_that_write_at_once_wait_for_each_other(database: Database) -> None:
    # With a plain BEGIN on SQLite this fails with "database is locked" within milliseconds.
    job_id = submit(database)
    token = claim(database).attempt

    def record(worker: int) -> None:
        for _ in range(20):
            with database.write() as session:
                ledger = Repository(session)
                # Read first: this is what a plain BEGIN cannot upgrade from.
                last = ledger.get(job_id).last_seq
                ledger.record(
                    job_id, token, [{"type": "warning", "code": f"{worker}"}], batch=last + 1000
                )

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(record, range(6)))
    with database.read() as session:
        events = Repository(session).events(job_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_a_reader_never_waits_for_a_writer(database: Database) -> None:
    job_id = submit(database)
    written, seen = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as session:
            Repository(session).request_cancel(job_id)
            written.set()
            assert seen.wait(10)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert written.wait(10)
        with database.read() as session:
            assert Repository(session).get(job_id).status == "queued"
        seen.set()
        writing.result()
    with database.read() as session:
        assert Repository(session).get(job_id).status == "cancelled"


def test_a_reader_sees_one_state_whatever_is_committed_meanwhile(database: Database) -> None:
    job_id = submit(database)
    with database.read() as session:
        ledger = Repository(session)
        before = ledger.get(job_id).status
        with database.write() as other:
            Repository(other).request_cancel(job_id)
        assert (before, ledger.get(job_id).status) == ("queued", "queued")
        assert ledger.counts() == {"queued": 1}
    with database.read() as session:
        assert Repository(session).get(job_id).status == "cancelled"


def test_a_reader_can_write_nothing_and_the_next_writer_can(database: Database) -> None:
    job_id = submit(database)
    for _ in range(3):
        # The same connection is handed out again and again.
        with pytest.raises(DatabaseError, match=r"read.?only"), database.read() as session:
            session.execute(update(Job).values(priority=1))
        with database.write() as session:
            assert Repository(session).get(job_id).priority == 50
    with database.write() as session:
        session.execute(update(Job).values(priority=2))
    with database.read() as session:
        assert Repository(session).get(job_id).priority == 2


@pytest.mark.parametrize(
    "impossible",
    [
        {"status": "sleeping"},
        {"status": "running"},
        {"status": "succeeded"},
        {"status": "failed"},
        {"worker": "somebody"},
        {"priority": 101},
        {"result_attempt": 1},
        {"attempt": -1},
    ],
    ids=str,
)
def test_an_impossible_row_is_refused_by_the_database_itself(
    database: Database, impossible: dict[str, object]
) -> None:
    submit(database)
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(update(Job).values(impossible))


def test_sqlite_is_set_up_to_survive_a_power_loss(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/new/folder/x.sqlite3") as database, database.read() as s:
        found = {
            name: s.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


def test_a_database_without_our_tables_is_refused_with_the_way_out(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, migrate=False)
    with pytest.raises(SchemaOutOfDate, match=r"found the schema \(none\)") as caught:
        open_database(settings)
    assert "python -m jobs.migrate" in str(caught.value.hint)


def test_sqlite_gets_its_tables_by_itself_and_without_many_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = Settings(data=tmp_path)
    with open_database(settings) as database:
        submit(database)
    assert "alembic" not in {record.name.partition(".")[0] for record in caplog.records}
    with open_database(settings) as database, database.read() as session:
        assert len(Repository(session).list().items) == 1
