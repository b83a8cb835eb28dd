"""The health check of workers and sweepers, on a ledger that has heard of them or has not."""

import pytest
from sqlalchemy import update

from jobs.database import Database
from jobs.ids import new_process_id, this_machine
from jobs.moments import clock
from jobs.operating import SweeperRound, Worker
from jobs.repository import Repository
from jobs.settings import Settings
from worker import alive


def told(whose: str, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> int:
    """Return the check's exit code."""
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", settings.database_url)
    monkeypatch.setattr("sys.argv", ["alive", whose])
    return alive.main()


def test_a_machine_is_heard_of_by_its_own_processes(database: Database) -> None:
    with database.write() as session:
        repository = Repository(session)
        repository.greet("a-b-12-0123abcd", 1)
        repository.note_sweep("a-7-0123abcd")
        assert repository.silence(Worker, "a") is None
        assert repository.silence(Worker, "a_b") is None
        heard = repository.silence(Worker, "a-b")
        swept = repository.silence(SweeperRound, "a")
    assert heard is not None
    assert 0 <= heard < 5
    assert swept is not None


def test_who_is_silent_for_longer_than_a_lease_or_never_spoke_is_not_alive(
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told("worker", monkeypatch, settings) == 1
    assert f"no worker of {this_machine()} was heard of" in capsys.readouterr().err
    with database.write() as session:
        Repository(session).greet(new_process_id(), 1)
    assert told("worker", monkeypatch, settings) == 0
    assert told("sweeper", monkeypatch, settings) == 1
    with database.write() as session:
        session.execute(update(Worker).values(seen_at=clock(-100)))
    assert told("worker", monkeypatch, settings) == 1
    assert "for 100 s, expected 60 at most" in capsys.readouterr().err


def test_a_ledger_that_cannot_be_asked_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Settings(database_url="postgresql://me:planted@127.0.0.1:9/none")
    assert told("worker", monkeypatch, nowhere) == 1
    said = capsys.readouterr().err
    assert "the database does not answer" in said
    assert "planted" not in said
