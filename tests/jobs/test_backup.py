"""A backup is whole, taken beside running work, and a house that is restored from it works."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from specs import claim, submit

from jobs.artifacts import Delivery
from jobs.backup import BackupError, back_up, main
from jobs.database import Database, open_database
from jobs.endings import Ending
from jobs.errors import ArtifactNotFound
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.states import Status
from jobs.stores import open_store


@pytest.fixture
def house(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "house")
    open_database(settings).close()
    return settings


def deliver(settings: Settings, database: Database, content: bytes) -> str:
    """Have a job end with one file, as a worker does: first the file, then the ledger."""
    job_id = submit(database)
    token = claim(database).attempt
    source = settings.data / "source"
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    delivery = Delivery("student.onnx", "student", len(content), digest, "x/y")
    where = open_store(settings).put(job_id, token, delivery, source)
    with database.write() as session:
        Repository(session).settle(
            job_id, token, Status.SUCCEEDED, Ending("finished"), deliveries=[(delivery, where)]
        )
    return job_id


def test_a_backup_beside_writers_is_one_state_of_the_ledger(
    house: Settings, tmp_path: Path
) -> None:
    stop = threading.Event()
    with Database(house.database_url) as database:
        submit(database)

        def write() -> None:
            while not stop.is_set():
                submit(database, labels={"a": "b"})

        writers = [threading.Thread(target=write) for _ in range(3)]
        for writer in writers:
            writer.start()
        try:
            sizes = [back_up(house.database_url, tmp_path / f"{n}.sqlite3") for n in range(5)]
        finally:
            stop.set()
            for writer in writers:
                writer.join()
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1], "the writers were at work meanwhile"
    for number in range(5):
        copy = tmp_path / f"{number}.sqlite3"
        with Database(f"sqlite:///{copy}") as restored, restored.read() as session:
            ledger = Repository(session)
            # Three tables that one transaction writes together.
            listed = ledger.list(limit=1).items
            assert listed
            assert (
                sum(ledger.counts().values())
                == session.connection().exec_driver_sql("SELECT count(*) FROM jobs").scalar_one()
            )
            assert [event.type for event in ledger.events(listed[0].id)] == ["job.queued"]


def test_a_house_is_restored_as_the_documentation_says(house: Settings, tmp_path: Path) -> None:
    with Database(house.database_url) as database:
        kept = deliver(house, database, b"the student")
        running = submit(database)
        claim(database)
    backup = tmp_path / "backup"
    backup.mkdir()
    back_up(house.database_url, backup / "ledger.sqlite3")
    shutil.copytree(house.data / "artifacts", backup / "artifacts")
    with Database(house.database_url) as database:
        later = deliver(house, database, b"after the backup")
    shutil.rmtree(house.data)  # the disk is gone
    house.data.mkdir()
    shutil.copy(backup / "ledger.sqlite3", house.data)
    shutil.copytree(backup / "artifacts", house.data / "artifacts")
    with open_database(house) as database:
        with database.read() as session:
            ledger = Repository(session)
            artifact = ledger.artifact(kept, "student.onnx")
            assert ledger.get(running).status == "running"
            with pytest.raises(ArtifactNotFound):
                ledger.artifact(later, "student.onnx")
        with open_store(house).open(artifact.location) as content:
            assert hashlib.sha256(content.read()).hexdigest() == artifact.sha256
        with database.write() as session:
            (lease,) = Repository(session).leases()
            Repository(session).heartbeat(running, lease.token, -1)
        with database.write() as session:
            (lease,) = Repository(session).leases()
            assert Repository(session).expire(lease, retry_seconds=0) is Status.QUEUED
        assert claim(database).job_id == running
        submit(database)


def test_the_command_tells_what_it_did_and_does_not_overwrite(
    house: Settings, tmp_path: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jobs.backup", *arguments],
            env={**os.environ, "STILLHOUSE_DATA": str(house.data)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    file = str(tmp_path / "b.sqlite3")
    done = run(file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "checked" in done.stdout
    again = run(file)
    assert again.returncode == 1
    assert "--replace" in again.stderr
    assert run(file, "--replace").returncode == 0
    assert [path.name for path in tmp_path.glob("*b.sqlite3*")] == ["b.sqlite3"]


def test_a_damaged_ledger_makes_no_backup(house: Settings, tmp_path: Path) -> None:
    with Database(house.database_url) as database:
        for _ in range(200):
            submit(database, name="x" * 100)
    ledger = house.data / "ledger.sqlite3"
    with sqlite3.connect(ledger) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = opened.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_jobs_1'"
        ).fetchone()
    opened.close()
    with ledger.open("r+b") as file:
        file.seek((page - 1) * 4096 + 8)
        file.write(b"\xff" * 64)
    before = tmp_path / "b.sqlite3"
    with pytest.raises((BackupError, sqlite3.DatabaseError)):
        back_up(house.database_url, before)
    assert list(tmp_path.glob("*b.sqlite3*")) == []


def test_other_ledgers_are_told_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", "postgresql://me:secret-word@db/house")
    assert main([str(tmp_path / "b")]) == 1
    said = capsys.readouterr().err
    assert "pg_dump" in said
    assert "secret-word" not in said
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite3")
    assert main([str(tmp_path / "b")]) == 1
    assert "STILLHOUSE_DATA" in capsys.readouterr().err
    assert not (tmp_path / "none.sqlite3").exists()
