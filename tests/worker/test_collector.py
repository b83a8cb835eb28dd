"""What no job names is removed from either store, in its time, and nothing else ever is."""

import os
import random
import threading
import time
from pathlib import Path

import pytest
from backstage import Backstage, FolderBackstage, S3Backstage, announced
from s3_server import S3Server, settings_of
from waiting import wait_until

from jobs.database import Database
from jobs.endings import Ending
from jobs.errors import StoreUnavailable
from jobs.folder_store import FolderStore
from jobs.ids import new_job_id
from jobs.inputs import Brought
from jobs.receiving import Announced, Place, Received, Reception
from jobs.repository import Repository
from jobs.s3_bucket import Bucket
from jobs.s3_store import S3Store
from jobs.settings import Settings
from jobs.spec import JobSpec
from jobs.states import Status
from jobs.uploads import Wanted
from worker.collector import Collector

SENT = {"teacher": "mlp", "student": "mlp", "data": "digits"}
LARGE = random.Random(8).randbytes(6_000_000)


@pytest.fixture(params=["folder", "s3"])
def backstage(request: pytest.FixtureRequest, settings: Settings) -> Backstage:
    if request.param == "folder":
        folder = FolderStore(settings.data / "artifacts")
        folder.prepare()
        return FolderBackstage(folder)
    server: S3Server = request.getfixturevalue("s3_server")
    named = settings.model_copy(update=settings_of(server, server.make_bucket()))
    return S3Backstage(S3Store(Bucket.of(named)), server.client())


@pytest.fixture
def collector(settings: Settings, database: Database, backstage: Backstage) -> Collector:
    """Give a collector for which nothing is too young."""
    at_once = settings.model_copy(update={"orphan_grace_seconds": 1e-6})
    return Collector(at_once, database, backstage.store)


def put(backstage: Backstage, source: Path, job_id: str, attempt: int, name: str) -> str:
    source.write_bytes(b"content")
    return backstage.store.put(job_id, attempt, announced(name, b"content"), source)


def begin_upload(backstage: Backstage, job_id: str, attempt: int) -> None:
    """Leave what a writer leaves that is killed half way."""
    if isinstance(backstage.store, S3Store):
        store = backstage.store
        store._patient.create_multipart_upload(**store._where(f"{job_id}/{attempt}/big.bin"))
    else:
        backstage.plant(f"{job_id}/{attempt}/.{'0f' * 16}.tmp", b"half")


def claimed(database: Database) -> str:
    """Return a new job that runs its first attempt."""
    with database.write() as session:
        job_id = Repository(session).add(JobSpec.model_validate(SENT), SENT).id
        assert Repository(session).claim("collected", 60.0)
    return job_id


def test_orphans_go_and_what_is_named_or_may_be_named_stays(
    collector: Collector, backstage: Backstage, database: Database, tmp_path: Path
) -> None:
    source = tmp_path / "file"
    job_id, unknown = claimed(database), new_job_id()
    mine = [put(backstage, source, job_id, 1, name) for name in ("a.bin", "b.bin")]
    put(backstage, source, unknown, 1, "a.bin")
    begin_upload(backstage, job_id, 1)
    begin_upload(backstage, unknown, 2)
    for foreign in ("readme.md", "elsewhere/1/.hidden", f"{job_id}/notes.txt"):
        backstage.plant(foreign, b"not ours")
    here = set(backstage.names())
    assert collector.collect() == 2, "the unknown job's file and upload"
    gone = here - set(backstage.names())
    assert len(gone) == 2
    assert all(unknown in name for name in gone)

    with database.write() as session:
        told = [(announced("a.bin", b"content"), mine[0])]
        ending = Ending("finished", exit_code=0)
        Repository(session).settle(job_id, 1, Status.SUCCEEDED, ending, deliveries=told)
    assert collector.collect() == 2, "b.bin, which the job does not name, and the upload"
    assert collector.collect() == 0
    left = [name for name in backstage.names() if not name.startswith("elsewhere")]
    assert left == sorted([mine[0], f"{job_id}/notes.txt", "readme.md"])


def test_uploads_that_the_ledger_knows_stay_and_those_of_a_dead_server_go(
    collector: Collector, backstage: Backstage, database: Database
) -> None:
    def receive(owner: str, number: int, name: str) -> Received:
        place = Place(owner, name, number)
        reception = Reception(backstage.store, place, most_bytes=99, announced=Announced())
        reception.write(f"{owner} {number}".encode())
        return reception.finish()

    with database.write() as session:
        ledger = Repository(session)
        brought = Brought("ds_1", "dataset", "a.csv", "text/csv", receive("ds_1", 0, "a.csv"))
        ledger.keep_input("default", brought)
        wanted = Wanted("dataset", "b.csv", 14)
        upload, _ = ledger.begin_upload("default", wanted, part_bytes=7, seconds=60, by=None)
        ledger.keep_part(upload.id, 1, receive(upload.id, 1, "part"), 60)
    # Killed between the store and the commit, and in the middle of a file.
    receive("ds_2", 0, "a.csv")
    receive(upload.id, 2, "part")
    half = backstage.store.receive("mdl_3", 0, "a.onnx")
    half.write(bytes(17 << 20))
    assert collector.collect() == 3
    kept = [one.location for one in backstage.store.list()]
    assert kept == ["ds_1/0/a.csv", f"{upload.id}/1/part"]
    assert list(backstage.store.unfinished()) == []
    half.abandon()
    with database.write() as session:
        Repository(session).drop_upload(upload.id)
        Repository(session).delete_input("dataset", "ds_1")
    collector._clearing.run()
    assert list(backstage.store.list()) == []


def test_what_is_young_stays(
    settings: Settings, backstage: Backstage, database: Database, tmp_path: Path
) -> None:
    patient = Collector(settings, database, backstage.store)
    location = put(backstage, tmp_path / "file", new_job_id(), 1, "a.bin")
    assert patient.collect() == 0
    assert backstage.names() == [location]
    if isinstance(backstage.store, FolderStore):
        long_ago = time.time() - settings.orphan_grace_seconds - 1
        os.utime(backstage.store.root / location, (long_ago, long_ago))
        assert patient.collect() == 1


def test_a_part_is_looked_through_at_a_time_and_any_number_may_look(
    collector: Collector,
    backstage: Backstage,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.collector.MOST", 3)
    job_id = claimed(database)
    kept = [put(backstage, tmp_path / "file", job_id, 1, f"{n}.bin") for n in range(4)]
    for _ in range(7):
        put(backstage, tmp_path / "file", new_job_id(), 1, "a.bin")
    assert collector.collect() <= 3
    other = Collector(collector._settings, database, backstage.store)
    both = [threading.Thread(target=one.collect) for one in (collector, other)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    for _ in range(5):
        assert collector.collect() <= 3
    assert backstage.names() == sorted(kept)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_is_away_is_looked_through_when_it_is_back(
    settings: Settings, database: Database, mortal_s3: S3Server, tmp_path: Path
) -> None:
    changed = settings_of(mortal_s3, mortal_s3.make_bucket())
    changed |= {"orphan_grace_seconds": 1e-6, "collect_seconds": 0.05}
    named = settings.model_copy(update=changed)
    store = S3Store(Bucket.of(named))
    source = tmp_path / "file"
    source.write_bytes(LARGE)
    store.put(new_job_id(), 1, announced("a.bin", LARGE), source)
    collector = Collector(named, database, store)
    mortal_s3.kill()
    with pytest.raises(StoreUnavailable):
        collector.collect()
    mortal_s3.start()
    mortal_s3.make_bucket(store.bucket.name)
    stop = threading.Event()
    thread = threading.Thread(target=collector.run, args=(stop,))
    thread.start()
    try:
        store.put(new_job_id(), 1, announced("b.bin", LARGE), source)
        wait_until(lambda: not list(store.list()))
    finally:
        stop.set()
        thread.join()
