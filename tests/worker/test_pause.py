"""A pause stops the trainer and keeps its work; a job's time is what its attempts ran together."""

import pytest
from bench import Bench
from house import House
from sqlalchemy import update
from waiting import wait_until

from jobs.moments import clock
from jobs.repository import Repository
from jobs.tables import Attempt

pytestmark = pytest.mark.slow
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def pause(bench: Bench | House, job_id: str) -> None:
    with bench.database.write() as session:
        Repository(session).pause(job_id)


def resume(bench: Bench | House, job_id: str) -> None:
    with bench.database.write() as session:
        Repository(session).resume(job_id)


def undisturbed(bench: Bench, steps: int) -> str:
    job_id = bench.submit(steps=steps)
    bench.run()
    return bench.result(job_id)


def test_a_paused_job_goes_on_where_it_saved_and_ends_the_same(bench: Bench) -> None:
    job_id = bench.submit({"max_attempts": 1}, steps=60, hold_at=30, once=True, save_every=1000)
    attempt = bench.start(bench.claim())
    wait_until(lambda: bench.job(job_id).progress)
    pause(bench, job_id)
    attempt.result(60)
    job = bench.job(job_id)
    assert (job.status, job.failed_attempts, job.stalled_attempts) == ("paused", 0, 0)
    assert bench.reasons(job_id) == [("paused", "paused")]
    assert bench.trainers() == []
    resume(bench, job_id)
    bench.run()
    assert bench.result(job_id) == undisturbed(bench, 60)
    curves = bench.ask(lambda ledger: ledger.metrics(job_id))
    assert curves.stages["student-0"].columns["step"] == list(range(1, 61))


def test_a_pause_that_is_taken_back_too_late_only_costs_a_new_start(bench: Bench) -> None:
    job_id = bench.submit({"max_attempts": 1}, steps=5, hold_at=3, once=True)
    attempt = bench.start(bench.claim(), lease_seconds=1.0)
    wait_until(lambda: bench.job(job_id).progress)
    pause(bench, job_id)
    # The trainer has been asked to stop, and may have stopped already.
    wait_until(lambda: attempt.done() or "run.stopped" in kinds(bench, job_id))
    resume(bench, job_id)
    attempt.result(60)
    assert bench.job(job_id).status == "queued"
    bench.run()
    assert bench.result(job_id) == undisturbed(bench, 5)


def kinds(bench: Bench, job_id: str) -> list[str]:
    return [event.type for event in bench.ask(lambda ledger: ledger.events(job_id))]


def test_a_trainer_that_does_not_hear_of_the_pause_is_killed_and_costs_no_attempt(
    bench: Bench,
) -> None:
    job_id = bench.submit({"max_attempts": 1}, steps=5, hang_at=2, once=True)
    attempt = bench.start(bench.claim(), stop_seconds=0.5, lease_seconds=1.0)
    wait_until(lambda: bench.job(job_id).saved_steps)
    pause(bench, job_id)
    attempt.result(60)
    job = bench.job(job_id)
    assert (job.status, job.failed_attempts) == ("paused", 0)
    resume(bench, job_id)
    bench.run()
    assert bench.result(job_id) == undisturbed(bench, 5)


def test_a_cancel_wins_over_a_pause(bench: Bench) -> None:
    job_id = bench.submit(steps=5, hang_at=2)
    attempt = bench.start(bench.claim(), lease_seconds=1.0)
    wait_until(lambda: bench.job(job_id).saved_steps)
    pause(bench, job_id)
    with bench.database.write() as session:
        Repository(session).request_cancel(job_id, "now")
    attempt.result(60)
    assert bench.job(job_id).status == "cancelled"
    assert bench.reasons(job_id) == [("cancelled", "cancelled")]


def test_the_time_of_all_attempts_counts_and_what_was_saved_is_there_for_a_retry(
    bench: Bench,
) -> None:
    limit = {"max_runtime_seconds": 100}
    job_id = bench.submit(limit, steps=100, hold_at=20, once=True, pause=0.02)
    attempt = bench.start(bench.claim())
    wait_until(lambda: bench.job(job_id).progress)
    pause(bench, job_id)
    attempt.result(60)
    with bench.database.write() as session:
        # It ran for 99.9 seconds, and was paused for 900.
        session.execute(update(Attempt).values(started_at=clock(-1000), ended_at=clock(-900.1)))
    resume(bench, job_id)
    claim = bench.run()
    assert claim.used_seconds == pytest.approx(99.9, abs=0.05)
    job = bench.job(job_id)
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure["code"] == "deadline_exceeded"
    assert "max_runtime_seconds" in job.failure["hint"]
    with bench.database.write() as session:
        Repository(session).retry(job_id, max_runtime_seconds=600)
    bench.run()
    assert bench.result(job_id) == undisturbed(bench, 100)
    events = bench.ask(lambda ledger: ledger.events(job_id))
    started = [event.data["step"] for event in events if event.type == "stage.started"]
    assert started[0] == 0
    assert min(started[1:]) >= 20


@on_postgresql
def test_a_real_run_that_was_paused_twice_ends_in_the_same_student(house: House) -> None:
    house.start()
    # Many steps, so that no stage is over before it is paused: a fast machine does 2,000 a second.
    calm = house.submit(6000, name="calm")
    house.wait_for(calm, "succeeded", seconds=300)
    job_id = house.submit(6000, name="paused", max_attempts=1)
    for stage, step in (("teacher", 200), ("student-0", 300)):
        house.wait_for_step(job_id, step, stage)
        pause(house, job_id)
        house.wait_for(job_id, "paused")
        assert house.trainers() == []
        # The slot is free.
        house.wait_for(house.submit(20), "succeeded")
        assert house.job(job_id).status == "paused"
        resume(house, job_id)
    job = house.wait_for(job_id, "succeeded", seconds=300)
    assert house.reasons(job_id) == ["paused", "paused", "finished"]
    assert (job.failed_attempts, job.result_attempt) == (0, 3)
    assert house.digest(job_id) == house.digest(calm)
    assert house.curves(job_id) == house.curves(calm)
    teacher, teacher_again, student, student_again = house.first_steps(job_id)
    assert (teacher, student) == (0, 0)
    assert teacher_again >= 200
    assert student_again >= 300


@on_sqlite
def test_a_worker_that_is_killed_while_its_job_is_pausing_leaves_it_paused(house: House) -> None:
    calm = house.submit(2000, name="calm")
    worker = house.start(lease_seconds=600.0)
    house.wait_for(calm, "succeeded")
    job_id = house.submit(2000, name="hunted", max_attempts=1)
    house.wait_for_step(job_id, 50, "teacher")
    trainer = house.the_trainer()
    trainer.suspend()  # it would save and end before the kill
    pause(house, job_id)
    worker.kill()
    worker.wait()
    assert house.job(job_id).status == "pausing"
    with house.database.write() as session:
        Repository(session).heartbeat(job_id, 1, 1.0)  # as if it had beaten a while ago
    house.start()
    job = house.wait_for(job_id, "paused")
    assert job.failed_attempts == 0
    assert house.reasons(job_id) == ["lost"]
    resume(house, job_id)
    house.wait_for(job_id, "succeeded")
    assert house.digest(job_id) == house.digest(calm)
