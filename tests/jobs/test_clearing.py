"""What is kept no more goes: rows first, files after them, and what a crash left behind as well."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from specs import claim, status_of, story_of, submit
from sqlalchemy import update

from jobs.artifacts import Delivery
from jobs.clearing import Clearing
from jobs.database import Database
from jobs.endings import Ending, Failure
from jobs.errors import ArtifactsPurged
from jobs.folder_store import FolderStore
from jobs.moments import clock
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.states import Status
from jobs.tables import Job

VERDICT = {"outcome": "beats", "gates_passed": True}


@pytest.fixture
def store(settings: Settings) -> FolderStore:
    return FolderStore(settings.artifacts)


def clearing(settings: Settings, database: Database, store: FolderStore) -> Clearing:
    return Clearing(settings.model_copy(update={"retention_days": 30.0}), database, store)


def ended(
    database: Database, settings: Settings, store: FolderStore, status: Status, days: float
) -> str:
    """Store a job that delivered a file and ended so many days ago, with its working directory."""
    job_id = submit(database)
    token = claim(database).attempt
    workdir = settings.work / job_id / str(token)
    workdir.mkdir(parents=True)
    (workdir / "model.safetensors").write_bytes(b"content")
    content = hashlib.sha256(b"content").hexdigest()
    file = Delivery("student.bin", "student", 7, content, "application/octet-stream")
    where = store.put(job_id, token, file, workdir / "model.safetensors")
    failure = Failure("nan_loss", "NaN") if status is Status.FAILED else None
    with database.write() as session:
        Repository(session).settle(
            job_id,
            token,
            status,
            Ending("x", failure),
            verdict=VERDICT if status is Status.SUCCEEDED else None,
            deliveries=[(file, where)],
        )
        session.execute(
            update(Job).where(Job.id == job_id).values(finished_at=clock(-days * 86_400))
        )
    return job_id


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_files_of_jobs_that_ended_long_ago_go_and_what_is_known_of_them_stays(
    database: Database, settings: Settings, store: FolderStore, status: Status
) -> None:
    old = ended(database, settings, store, status, 31)
    new = ended(database, settings, store, status, 29)
    for _ in range(2):
        clearing(settings, database, store).run()
    assert files_under(store.root) == [f"{new}/1/student.bin"]
    assert not (store.root / old).exists()
    assert not (settings.work / old).exists()
    kept = status is Status.FAILED
    assert (settings.work / new / "1").exists() is kept, "a retry may go on from there"
    with database.read() as session:
        ledger = Repository(session)
        job = ledger.get(old)
        assert (job.status, job.verdict) == (status, VERDICT if job.result_attempt else None)
        assert ledger.artifacts(old) == []
        assert ledger.keeping_files(new).id == new
        with pytest.raises(ArtifactsPurged):
            ledger.keeping_files(old)
    assert story_of(database, old).count("job.purged") == 1


def test_without_a_retention_time_everything_is_kept(
    database: Database, settings: Settings, store: FolderStore
) -> None:
    job_id = ended(database, settings, store, Status.FAILED, 10_000)
    Clearing(settings, database, store).run()
    assert files_under(store.root) == [f"{job_id}/1/student.bin"]
    assert (settings.work / job_id / "1").exists()


def test_a_purged_job_is_retried_from_scratch_alone_and_its_new_files_stay(
    database: Database,
    settings: Settings,
    store: FolderStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = ended(database, settings, store, Status.FAILED, 31)
    tidy = clearing(settings, database, store)
    tidy.purge()
    with database.write() as session, pytest.raises(ArtifactsPurged) as caught:
        Repository(session).retry(job_id)
    assert "scratch" in str(caught.value.hint)
    with database.write() as session:
        seen = Repository(session).spent([job_id])
        Repository(session).retry(job_id, "scratch")
    again = claim(database)
    assert (again.attempt, again.resume_from) == (2, [])
    (settings.work / job_id / "2").mkdir(parents=True)
    # As if it had been looked at before the retry, and cleared away after it.
    monkeypatch.setattr(Repository, "spent", lambda *_: seen)
    tidy.run()
    assert [path.name for path in (settings.work / job_id).iterdir()] == ["2"]
    assert status_of(database, job_id) == "running"


def test_a_deleted_job_takes_its_files_and_working_directories_with_it(
    database: Database, settings: Settings, store: FolderStore
) -> None:
    gone = ended(database, settings, store, Status.FAILED, 0)
    kept = ended(database, settings, store, Status.FAILED, 0)
    (settings.work / "somebody-elses").mkdir()
    (settings.work / "job_0123456789abcdefghjkmnpqrs").mkdir()
    with database.write() as session:
        Repository(session).delete(gone)
    assert (store.root / gone).exists(), "files go after the commit, never before"
    for _ in range(2):
        Clearing(settings, database, store).run()
    assert files_under(store.root) == [f"{kept}/1/student.bin"]
    assert sorted(path.name for path in settings.work.iterdir()) == sorted(
        [kept, "job_0123456789abcdefghjkmnpqrs", "somebody-elses"]
    )


def test_a_file_that_cannot_be_removed_waits_and_holds_up_no_other(
    database: Database,
    settings: Settings,
    store: FolderStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = [ended(database, settings, store, Status.FAILED, 0) for _ in range(3)]
    for job_id in ids:
        with database.write() as session:
            Repository(session).delete(job_id)
    remove = FolderStore.delete

    def refuse(self: FolderStore, location: str) -> None:
        if location.startswith(ids[0]):
            raise PermissionError(location)
        remove(self, location)

    monkeypatch.setattr("jobs.clearing.AT_ONCE", 1)
    with monkeypatch.context() as broken:
        broken.setattr(FolderStore, "delete", refuse)
        Clearing(settings, database, store).files()
    assert files_under(store.root) == [f"{ids[0]}/1/student.bin"]
    Clearing(settings, database, store).files()
    assert files_under(store.root) == []
    with database.read() as session:
        assert Repository(session).condemned("", 10) == []


def test_who_has_no_store_does_not_say_that_files_are_gone(
    database: Database, settings: Settings, store: FolderStore, tmp_path: Path
) -> None:
    job_id = ended(database, settings, store, Status.FAILED, 0)
    with database.write() as session:
        Repository(session).delete(job_id)
    Clearing(settings, database, FolderStore(tmp_path / "elsewhere")).files()
    Clearing(settings, database, store).files()
    assert files_under(store.root) == []


def test_a_crash_between_a_file_and_its_row_is_made_good(
    database: Database,
    settings: Settings,
    store: FolderStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = ended(database, settings, store, Status.FAILED, 0)
    with database.write() as session:
        Repository(session).delete(job_id)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Repository, "cleared", crash)
        with pytest.raises(KeyboardInterrupt):
            Clearing(settings, database, store).files()
    assert files_under(store.root) == []
    Clearing(settings, database, store).files()
    with database.read() as session:
        assert Repository(session).condemned("", 10) == []
