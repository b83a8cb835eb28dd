"""Attempts with a scripted trainer: every way to end, and nothing left behind."""

from concurrent.futures import Future
from typing import Any

import psutil
import pytest
from bench import Bench
from sqlalchemy.exc import OperationalError
from waiting import wait_until

from jobs.endings import Ending
from jobs.leases import Claim
from jobs.repository import Repository
from jobs.verbs import CancelMode
from worker.trainer import STOPPED

pytestmark = pytest.mark.slow


def undisturbed(bench: Bench, steps: int = 5) -> str:
    job_id = bench.submit(steps=steps)
    bench.run()
    return bench.result(job_id)


def begun(bench: Bench, claim: Claim, **changed: Any) -> Future[None]:
    """Start an attempt and wait until the ledger has heard of its first checkpoint."""
    attempt = bench.start(claim, **changed)
    wait_until(lambda: bench.job(claim.job_id).saved_steps)
    return attempt


def test_a_run_to_the_end(bench: Bench) -> None:
    job_id = bench.submit(steps=5)
    claim = bench.run()
    job = bench.job(job_id)
    assert (job.status, job.result_attempt, job.phase) == ("succeeded", 1, None)
    assert job.progress is not None
    assert job.progress["percent"] == 100
    curves = bench.ask(lambda ledger: ledger.metrics(job_id))
    assert curves.stages["student-0"].columns["step"] == [1, 2, 3, 4, 5]
    kinds = [event.type for event in bench.ask(lambda ledger: ledger.events(job_id))]
    assert kinds[-3:] == ["run.finished", "attempt.ended", "job.succeeded"]
    assert bench.trainers() == []
    assert not bench.workdir(claim).parent.exists(), "what counts is in the store"


def test_the_trainer_gets_no_secrets(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STILLHOUSE_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "hunter2")
    bench.submit(no_end=True)
    claim = bench.run()
    assert "hunter2" not in (bench.workdir(claim) / "seen.json").read_text()


@pytest.mark.parametrize(
    ("fault", "reason", "code", "signal"),
    [
        ({"crash_at": 3}, "crashed", 1, None),
        ({"kill_at": 3}, "crashed", None, 9),
        ({"garbage_at": 3}, "broken_story", None, 9),
        ({"huge_at": 3}, "broken_story", None, 9),
        ({"hang_at": 3}, "hang", None, 9),
        ({"crash_at": 3, "code": STOPPED}, "crashed", 75, None),
    ],
    ids=str,
)
def test_after_a_fault_the_next_attempt_goes_on_and_ends_the_same(
    bench: Bench, fault: dict[str, Any], reason: str, code: int | None, signal: int | None
) -> None:
    job_id = bench.submit(steps=5, once=True, **fault)
    bench.run(hang_seconds=0.5 if "hang_at" in fault else 60.0)
    first = bench.ask(lambda ledger: ledger.attempts(job_id))[0]
    assert (first.status, first.reason) == ("failed", reason)
    # A broken story may be noticed before or after the trainer went on to its own end.
    assert (first.exit_code, first.signal) == (code, signal) or reason == "broken_story"
    bench.run()
    assert bench.job(job_id).status == "succeeded"
    assert bench.result(job_id) == undisturbed(bench)
    if reason != "broken_story":  # what it told after the broken line is not believed
        curves = bench.ask(lambda ledger: ledger.metrics(job_id))
        assert curves.stages["student-0"].columns["step"] == [1, 2, 3, 4, 5]


def test_a_trainer_that_always_crashes_ends_in_a_crash_loop(bench: Bench) -> None:
    job_id = bench.submit(crash_at=1)
    for _ in range(3):
        bench.run()
    job = bench.job(job_id)
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure["code"] == "crash_loop"


def test_an_end_without_the_last_line_is_no_success(bench: Bench) -> None:
    job_id = bench.submit(no_end=True)
    bench.run()
    assert bench.reasons(job_id) == [("failed", "crashed")]
    assert bench.job(job_id).status == "queued"


def test_what_the_engine_refuses_fails_at_once_with_its_own_words(bench: Bench) -> None:
    job_id = bench.submit(refuse_at=2, refuse="nan_loss")
    claim = bench.run()
    job = bench.job(job_id)
    assert job.status == "failed"
    assert job.failure == {
        "code": "nan_loss",
        "message": "cannot go on",
        "hint": "do otherwise",
        "attempt": 1,
    }
    assert (bench.workdir(claim) / "state.json").exists(), "a retry goes on from here"


def test_a_full_disk_is_tried_again(bench: Bench) -> None:
    job_id = bench.submit(refuse_at=2, refuse="disk_full")
    bench.run()
    assert bench.job(job_id).status == "queued"
    assert bench.reasons(job_id) == [("failed", "disk_full")]


@pytest.mark.parametrize(
    "lie",
    [
        {"sha256": "0" * 64},
        {"path": "../../../elsewhere"},
        {"path": "/etc/passwd"},
        {"path": "artifacts/missing"},
        {"artifact": "../student"},
    ],
    ids=str,
)
def test_a_file_that_is_not_what_was_announced_is_no_success(
    bench: Bench, lie: dict[str, str]
) -> None:
    job_id = bench.submit(**lie)
    bench.run()
    assert bench.reasons(job_id) == [("failed", "artifact_refused")]
    assert bench.ask(lambda ledger: ledger.artifacts(job_id)) == []


@pytest.mark.parametrize("mode", ["graceful", "now"])
def test_a_cancel_stops_the_trainer(bench: Bench, mode: CancelMode) -> None:
    job_id = bench.submit(steps=10_000, pause=0.02)
    claim = bench.claim()
    attempt = begun(bench, claim)
    with bench.database.write() as session:
        Repository(session).request_cancel(job_id, mode)
    attempt.result(10)
    assert bench.job(job_id).status == "cancelled"
    kinds = [event.type for event in bench.ask(lambda ledger: ledger.events(job_id))]
    assert ("run.stopped" in kinds) is (mode == "graceful")
    assert (bench.workdir(claim) / "state.json").exists(), "a retry goes on from here"
    assert bench.trainers() == []


def test_a_trainer_that_ignores_the_request_is_killed(bench: Bench) -> None:
    job_id = bench.submit(steps=5, hang_at=2)
    attempt = begun(bench, bench.claim(), stop_seconds=0.5, lease_seconds=1.0)
    with bench.database.write() as session:
        Repository(session).request_cancel(job_id)
    attempt.result(10)
    assert bench.job(job_id).status == "cancelled"


def test_a_draining_worker_gives_the_job_back_and_it_ends_the_same(bench: Bench) -> None:
    job_id = bench.submit(steps=60, hold_at=30, once=True, save_every=1000)
    attempt = bench.start(bench.claim())
    wait_until(lambda: bench.job(job_id).progress)
    bench.draining.set()
    attempt.result(10)
    job = bench.job(job_id)
    assert (job.status, job.failed_attempts) == ("queued", 0)
    assert bench.reasons(job_id) == [("lost", "preempted")]
    bench.draining.clear()
    bench.run()
    assert bench.result(job_id) == undisturbed(bench, 60)
    started = [
        event.data["step"]
        for event in bench.ask(lambda ledger: ledger.events(job_id))
        if event.type == "stage.started"
    ]
    assert started[1] > 0, "the second attempt went on from where the first one saved"


def test_a_job_ends_when_its_time_is_over(bench: Bench) -> None:
    job_id = bench.submit({"max_runtime_seconds": 1}, steps=10_000, pause=0.02)
    bench.run()
    job = bench.job(job_id)
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure["code"] == "deadline_exceeded"


def test_a_worker_that_lost_the_lease_kills_its_trainer_and_writes_nothing(bench: Bench) -> None:
    # The trainer is silent, so nothing but the heartbeat can tell.
    job_id = bench.submit(steps=5, hang_at=2)
    claim = bench.claim()
    attempt = begun(bench, claim, lease_seconds=1.0)
    (trainer,) = bench.trainers()
    with bench.database.write() as session:
        ledger = Repository(session)
        ledger.release(job_id, 1, Ending("lost"), counted=True, retry_seconds=0)
    before = bench.ask(lambda ledger: len(ledger.events(job_id)))
    attempt.result(10)
    assert not trainer.is_running()
    assert bench.ask(lambda ledger: len(ledger.events(job_id))) == before
    assert bench.job(job_id).status == "queued"


def test_what_the_trainer_started_goes_with_it(bench: Bench) -> None:
    # A helper that holds the pipe must neither outlive the attempt nor keep it waiting.
    job_id = bench.submit(steps=2, child=True, kill_at=2)
    claim = bench.run()
    helper = int((bench.workdir(claim) / "helper.pid").read_text())
    wait_until(lambda: _is_gone(helper), seconds=5)
    assert bench.reasons(job_id) == [("failed", "crashed")]


def test_an_outage_of_the_database_does_not_stop_the_training(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit(steps=40, pause=0.02)
    away = OperationalError("", {}, Exception("gone"))

    def refuse(*_: object, **__: object) -> None:
        raise away

    real = Repository.record
    monkeypatch.setattr(Repository, "record", refuse)
    monkeypatch.setattr("worker.report.AWAY_SECONDS", 0.1)
    monkeypatch.setattr("worker.patience.PAUSE_SECONDS", 0.1)
    claim = bench.claim()
    attempt = bench.start(claim)
    wait_until((bench.workdir(claim) / "artifacts" / "student.safetensors").exists)
    monkeypatch.setattr(Repository, "record", real)
    attempt.result(20)
    assert bench.job(job_id).status == "succeeded"
    curves = bench.ask(lambda ledger: ledger.metrics(job_id))
    assert curves.stages["student-0"].columns["step"] == list(range(1, 41))


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
