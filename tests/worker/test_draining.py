"""One of two real workers is told to drain over the ledger, while both run jobs."""

import time

import pytest
from house import House, terminate
from waiting import wait_until

from jobs.operating import DrainMode
from jobs.repository import Repository
from jobs.tables import Attempt

pytestmark = pytest.mark.slow
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
ENDLESS = 1_000_000


def attempts(house: House, job_id: str) -> list[Attempt]:
    with house.database.read() as session:
        return list(Repository(session).attempts(job_id))


def listed(house: House) -> list[str]:
    with house.database.read() as session:
        return [worker.id for worker in Repository(session).workers()]


def test_who_is_to_finish_ends_its_job_and_takes_no_other_one(house: House) -> None:
    workers = {house.worker_id(process): process for process in (house.start(), house.start())}
    mine = house.submit(6000)
    house.wait_for_step(mine, 1, "teacher")
    left = house.job(mine).worker
    assert left is not None
    leaving = workers.pop(left)
    ((stayed, staying),) = workers.items()
    theirs = house.submit(ENDLESS)
    house.wait_for(theirs, "running")

    house.drain(leaving, DrainMode.FINISH)
    # Only a worker that takes jobs after it was told not to could take this one.
    waiting = house.submit()
    assert leaving.wait(120) == 0

    (attempt,) = attempts(house, mine)
    assert (attempt.worker, attempt.reason, house.job(mine).status) == (
        left,
        "finished",
        "succeeded",
    )
    assert attempts(house, waiting) == []
    assert listed(house) == [stayed]
    with house.database.write() as session:
        Repository(session).request_cancel(theirs, "now")
    house.wait_for(waiting, "succeeded")
    assert [one.worker for one in attempts(house, waiting)] == [stayed]
    assert [one.worker for one in attempts(house, theirs)] == [stayed]
    assert terminate(staying) == 0


def test_who_is_to_save_gives_its_job_to_the_other_one_which_goes_on(house: House) -> None:
    leaving = house.start()
    mine = house.submit(ENDLESS)
    house.wait_for_step(mine, 100, "teacher")
    staying = house.start(slots=2)
    stayed = house.worker_id(staying)
    theirs = house.submit(ENDLESS)
    house.wait_for_step(theirs, 1, "teacher")

    house.drain(leaving, DrainMode.SAVE)
    assert leaving.wait(30) == 0

    wait_until(lambda: len(house.first_steps(mine)) == 2)
    assert house.reasons(mine) == ["preempted", None]
    assert attempts(house, mine)[1].worker == stayed
    assert house.job(mine).failed_attempts == 0
    assert house.first_steps(mine)[1] >= 100, "it went on from what was saved"
    assert house.reasons(theirs) == [None]
    assert listed(house) == [stayed]


@on_sqlite
def test_who_was_to_finish_can_be_told_to_save_after_all(house: House) -> None:
    worker = house.start()
    job_id = house.submit(ENDLESS)
    house.wait_for_step(job_id, 1, "teacher")
    house.drain(worker, DrainMode.FINISH)
    wait_until(lambda: "no more jobs are taken" in house.log(worker))
    assert house.job(job_id).status == "running"
    house.drain(worker, DrainMode.SAVE)
    assert worker.wait(30) == 0
    assert (house.reasons(job_id), house.job(job_id).status) == (["preempted"], "queued")


@on_sqlite
def test_a_worker_that_finishes_still_ends_at_sigterm(house: House) -> None:
    worker = house.start()
    job_id = house.submit(ENDLESS)
    house.wait_for_step(job_id, 1, "teacher")
    house.drain(worker, DrainMode.FINISH)
    wait_until(lambda: "no more jobs are taken" in house.log(worker))
    assert terminate(worker) == 0
    assert house.reasons(job_id) == ["preempted"]


@on_sqlite
def test_a_worker_is_listed_until_its_attempts_have_saved(house: House) -> None:
    worker = house.start(stop_seconds=3.0)
    worker_id = house.worker_id(worker)
    job_id = house.submit(ENDLESS)
    house.wait_for_step(job_id, 1, "teacher")
    # It cannot save, so that it is killed after three seconds.
    house.the_trainer().suspend()
    house.drain(worker, DrainMode.SAVE)
    wait_until(lambda: "stopping the trainer" in house.log(worker))
    assert listed(house) == [worker_id]
    assert worker.wait(30) == 0
    assert listed(house) == []
    assert house.job(job_id).status == "queued"


@on_postgresql
@pytest.mark.parametrize("mode", DrainMode)
def test_an_idle_worker_that_waits_for_bells_hears_of_it_within_seconds(
    ringing_house: House, mode: DrainMode
) -> None:
    worker = ringing_house.start()
    wait_until(lambda: "ready" in ringing_house.log(worker))
    ringing_house.drain(worker, mode)
    asked = time.monotonic()
    assert worker.wait(30) == 0
    assert time.monotonic() - asked < 8
    assert listed(ringing_house) == []
