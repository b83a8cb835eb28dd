"""Uploaded files reach the trainer as they were brought, or the job says why they do not."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench import Bench
from s3_server import S3Server, settings_of
from waiting import wait_until
from zips import plain

from jobs.inputs import Brought
from jobs.intake import store_all
from jobs.receiving import Announced, Place, Reception
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.stores import open_store
from jobs.submission import Submission
from worker.furnishing import furnished
from worker.input_cache import InputCache
from worker.verifying import InVain

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.parametrize("bench", ["cold"], indirect=True),
]
CONTENT = b"a,b\n1,2\n" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = f"uploads/{SHA256}/mine.csv"


def upload(bench: Bench, content: bytes = CONTENT, name: str = "mine.csv") -> str:
    """Bring a file, as the API does, and return its id."""
    store = open_store(bench.settings)
    reception = Reception(store, Place("ds_1", name), most_bytes=10**6, announced=Announced())
    reception.write(content)
    received = reception.finish()
    with bench.database.write() as session:
        brought = Brought("ds_1", "dataset", name, "text/csv", received)
        row, _ = Repository(session).keep_input("default", brought)
        return row.id


@pytest.fixture
def data_id(bench: Bench) -> str:
    return upload(bench)


def submit(bench: Bench, data_id: str, **script: Any) -> str:
    """Store a job that names the file; its trainer reads it."""
    script = {"reads": [PATH], "steps": 5, **script}
    sent = {"teacher": "mlp", "student": "mlp", "data": "digits", "name": json.dumps(script)}
    one = replace(Submission.of(JobSpec.model_validate(sent), sent), inputs=(data_id,))
    (row,) = store_all(bench.database, [one])
    assert not isinstance(row, Exception)
    return row.id


def stored(bench: Bench) -> Path:
    """Return where the store's folder has the file."""
    return Path(bench.settings.artifacts) / "ds_1/0/mine.csv"


def cached(bench: Bench) -> list[str]:
    """Return what the cache holds, whole or not."""
    folder = bench.settings.input_cache
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def failure(bench: Bench, job_id: str) -> dict[str, Any]:
    """Return why a job failed."""
    job = bench.job(job_id)
    assert job.status == "failed"
    assert job.failure is not None
    return job.failure


def held(bench: Bench, claim: Any) -> dict[str, Any]:
    """Wait until the trainer holds on, and return what it has seen."""
    seen = bench.workdir(claim) / "seen.json"
    wait_until(lambda: seen.exists() and seen.read_text().endswith("}"))
    return json.loads(seen.read_text())["inputs"]


def test_the_trainer_finds_the_files_beside_those_of_the_operator(
    bench: Bench, data_id: str
) -> None:
    bench.settings.inputs.mkdir(parents=True, exist_ok=True)
    (bench.settings.inputs / "own.csv").write_text("own")
    (bench.settings.inputs / "photos").mkdir()
    (bench.settings.inputs / "photos" / "one.txt").write_text("one")
    (bench.settings.inputs / "uploads").mkdir()  # the operator's, and not this job's
    job_id = submit(bench, data_id, reads=[PATH, "own.csv", "photos/one.txt"], hold_at=2)
    claim = bench.claim()
    attempt = bench.start(claim)
    found = {PATH: CONTENT.decode(), "own.csv": "own", "photos/one.txt": "one"}
    assert held(bench, claim) == found
    with bench.database.write() as session:
        Repository(session).request_cancel(job_id)
    attempt.result(60)
    assert not (bench.workdir(claim) / "inputs").exists()
    assert (bench.settings.inputs / "own.csv").read_text() == "own"
    assert cached(bench) == [SHA256]


@pytest.mark.parametrize("name", ["0.tar", "cats/0.png"])
def test_a_zip_of_shards_is_a_folder_and_one_of_images_a_zip(
    bench: Bench, name: str, tmp_path: Path
) -> None:
    content = plain((name, CONTENT))
    data_id = upload(bench, content, "mine.zip")
    submit(bench, data_id)
    claim, store = bench.claim(), open_store(bench.settings)
    with furnished(claim.inputs, tmp_path, bench.settings, store, lambda: False) as inputs:
        (laid,) = (inputs / "uploads").glob("*/*")
        assert laid.name == "mine.zip"
        if name.endswith(".tar"):
            assert (laid / name).read_bytes() == CONTENT
        else:
            assert laid.read_bytes() == content
        assert list(laid.parent.iterdir()) == [laid]
    assert cached(bench) == [hashlib.sha256(content).hexdigest()]


def test_the_store_is_asked_once(bench: Bench, data_id: str) -> None:
    for _ in range(2):
        job_id = submit(bench, data_id)
        bench.run()
        assert bench.job(job_id).status == "succeeded"
        stored(bench).unlink(missing_ok=True)


def test_a_trainer_that_writes_into_its_input_spoils_no_other_job(
    bench: Bench, data_id: str
) -> None:
    submit(bench, data_id)
    bench.run()
    (bench.settings.input_cache / SHA256).write_bytes(CONTENT[::-1])
    job_id = submit(bench, data_id)
    bench.run()
    assert bench.job(job_id).status == "succeeded"
    assert (bench.settings.input_cache / SHA256).read_bytes() == CONTENT


def test_what_a_dead_attempt_left_is_replaced(bench: Bench, data_id: str, tmp_path: Path) -> None:
    submit(bench, data_id)
    claim, store = bench.claim(), open_store(bench.settings)
    stale = tmp_path / "inputs" / PATH
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"spoiled")
    with furnished(claim.inputs, tmp_path, bench.settings, store, lambda: False) as inputs:
        assert (inputs / PATH).read_bytes() == CONTENT
    with (
        pytest.raises(InVain),
        furnished(claim.inputs, tmp_path, bench.settings, store, lambda: True),
    ):
        pytest.fail("nobody wants it any more")
    assert list(tmp_path.glob("inputs*")) == []


def test_a_file_that_is_missing_ends_the_job(bench: Bench, data_id: str) -> None:
    stored(bench).unlink()
    job_id = submit(bench, data_id)
    bench.run()
    failed = failure(bench, job_id)
    assert failed["code"] == "input_missing"
    assert "mine.csv" in failed["message"]
    assert "upload the file again" in failed["hint"]
    assert cached(bench) == []


def test_a_file_that_is_damaged_in_the_store_ends_the_job(bench: Bench, data_id: str) -> None:
    content = bytearray(CONTENT)
    content[-1] ^= 1
    stored(bench).write_bytes(content)
    job_id = submit(bench, data_id)
    bench.run()
    failed = failure(bench, job_id)
    assert failed["code"] == "input_damaged"
    assert SHA256 in failed["message"]
    assert cached(bench) == []
    # Brought again, it is another file; mended in the store, this one serves.
    stored(bench).write_bytes(CONTENT)
    job_id = submit(bench, data_id)
    bench.run()
    assert bench.job(job_id).status == "succeeded"


def test_a_cache_that_cannot_be_written_is_done_without(bench: Bench, data_id: str) -> None:
    bench.settings.input_cache.parent.mkdir(parents=True, exist_ok=True)
    bench.settings.input_cache.write_text("no folder")
    job_id = submit(bench, data_id)
    bench.run()
    assert bench.job(job_id).status == "succeeded"


@pytest.mark.slow
def test_a_bucket_that_is_away_is_waited_for_and_costs_no_attempt(
    bench: Bench,
    mortal_s3: S3Server,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed = settings_of(mortal_s3, mortal_s3.make_bucket("inputs"))
    bench.settings = bench.settings.model_copy(update=changed)
    job_id = submit(bench, upload(bench))
    mortal_s3.kill()
    attempt = bench.start(bench.claim())
    wait_until(lambda: "the artifact store is away" in caplog.text)
    assert bench.job(job_id).status == "running"
    bench.draining.set()
    attempt.result(60)
    bench.draining.clear()
    monkeypatch.setattr("worker.patience.PATIENCE_SECONDS", 0.1)
    bench.run()
    job = bench.job(job_id)
    assert (job.status, job.failed_attempts) == ("queued", 0)
    assert bench.reasons(job_id) == [("failed", "store_unavailable")] * 2
    mortal_s3.start()
    mortal_s3.make_bucket("inputs")  # the server has lost what was in its memory
    bench.run()
    assert failure(bench, job_id)["code"] == "input_missing"


def test_the_cache_keeps_within_its_budget(bench: Bench, tmp_path: Path) -> None:
    cache = InputCache(tmp_path / "cache", 25)
    for number in range(4):
        source = tmp_path / f"{number}"
        source.write_bytes(bytes([number]) * 10)
        cache.keep(str(number) * 64, source)
        os.utime(tmp_path / "cache" / (str(number) * 64), (number, number))
        if number == 2:
            # Used again: another one is the oldest now.
            assert cache.lay("1" * 64, tmp_path / "laid")
    assert sorted(path.name[0] for path in (tmp_path / "cache").iterdir()) == ["1", "3"]
    assert (tmp_path / "laid").read_bytes() == b"\1" * 10
    assert not cache.lay("0" * 64, tmp_path / "gone")
    large = tmp_path / "large"
    large.write_bytes(bytes(26))
    cache.keep("f" * 64, large)
    assert sorted(path.name[0] for path in (tmp_path / "cache").iterdir()) == ["1", "3"]
