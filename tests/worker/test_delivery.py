"""Attempts that deliver into a bucket: it may go away, and the job is not lost for it."""

import pytest
from bench import Bench
from s3_server import S3Server, settings_of
from waiting import wait_until

from jobs.repository import Repository
from jobs.settings import Settings
from jobs.stores import open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.parametrize("bench", ["cold"], indirect=True),
]


@pytest.fixture
def settings(database_url: str, settings: Settings, mortal_s3: S3Server) -> Settings:
    return settings.model_copy(update=settings_of(mortal_s3, mortal_s3.make_bucket("results")))


def come_back(server: S3Server) -> None:
    server.start()
    server.make_bucket("results")


def test_a_student_is_delivered_into_the_bucket(bench: Bench) -> None:
    job_id = bench.submit(steps=5)
    bench.run()
    assert bench.job(job_id).status == "succeeded"
    assert len(bench.result(job_id)) == 64
    (kept,) = open_store(bench.settings).list(job_id)
    assert kept.location == f"{job_id}/1/student.safetensors"


def test_a_bucket_that_is_away_is_waited_for(
    bench: Bench, mortal_s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = bench.submit(steps=5)
    mortal_s3.kill()
    attempt = bench.start(bench.claim())
    wait_until(lambda: "the artifact store is away" in caplog.text)
    assert bench.job(job_id).status == "running"
    come_back(mortal_s3)
    attempt.result(60)
    assert bench.reasons(job_id) == [("succeeded", "finished")]
    assert len(bench.result(job_id)) == 64


def test_a_bucket_that_stays_away_costs_the_job_no_attempt(
    bench: Bench, mortal_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.patience.PATIENCE_SECONDS", 0.1)
    job_id = bench.submit({"max_attempts": 1}, steps=5)
    mortal_s3.kill()
    for _ in range(2):
        bench.run()
    job = bench.job(job_id)
    assert (job.status, job.failed_attempts) == ("queued", 0)
    assert bench.reasons(job_id) == [("failed", "store_unavailable")] * 2
    come_back(mortal_s3)
    bench.run()
    assert bench.job(job_id).status == "succeeded"


@pytest.mark.parametrize("how", ["cancel", "drain"])
def test_nobody_waits_for_a_bucket_in_vain(
    bench: Bench, mortal_s3: S3Server, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    job_id = bench.submit(steps=5)
    mortal_s3.kill()
    attempt = bench.start(bench.claim(), lease_seconds=1.0)
    wait_until(lambda: "the artifact store is away" in caplog.text)
    if how == "cancel":
        with bench.database.write() as session:
            Repository(session).request_cancel(job_id)
    else:
        bench.draining.set()
    attempt.result(60)
    assert bench.job(job_id).status == ("cancelled" if how == "cancel" else "queued")
