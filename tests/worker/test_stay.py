"""A worker that was started for what waits ends by itself: after its jobs, or without any."""

from __future__ import annotations

import sys
import threading

import pytest
from house import House
from waiting import wait_until

from jobs.database import Database
from jobs.inspections import Question
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.stores import open_store
from worker.inspecting import Inspecting
from worker.stay import Stay

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.slow
def test_after_its_job_it_leaves_the_next_one_to_others_and_ends(house: House) -> None:
    mine, theirs = house.submit(), house.submit()
    worker = house.start(worker_jobs=1, lease_seconds=60.0)
    assert worker.wait(120) == 0
    assert house.job(mine).status == "succeeded"
    assert (house.job(theirs).status, house.reasons(theirs)) == ("queued", [])
    with house.database.read() as session:
        assert list(Repository(session).workers()) == []


@pytest.mark.slow
def test_it_waits_for_work_no_longer_than_it_may_however_seldom_it_polls(house: House) -> None:
    # It takes longer than the worker may be idle, whose second slot is all the while.
    job_id = house.submit(1000)
    lonely = {"poll_seconds": 600.0, "lease_seconds": 60.0, "slots": 2}
    worker = house.start(worker_idle_seconds=0.5, **lonely)
    assert worker.wait(120) == 0
    job = house.job(job_id)
    assert job.status == "succeeded"
    assert house.reasons(job_id) == ["finished"]
    assert job.finished_at is not None
    assert job.started_at is not None
    assert (job.finished_at - job.started_at).total_seconds() > 0.5
    assert "had nothing to do for 0.5 s" in house.log(worker)


def test_who_looks_at_data_has_something_to_do(settings: Settings, database: Database) -> None:
    may = settings.model_copy(update={"worker_idle_seconds": 0.001})
    stop = threading.Event()
    command = (sys.executable, "-c", "import signal; signal.pause()")
    stay = Stay(may)
    room = Inspecting(may, database, open_store(may), stop, stay, command=command)
    stay.begin()
    wait_until(stay.is_over)
    with database.write() as session:
        Repository(session).inspect("default", Question("preflight", {}), by=None)
    looking = threading.Thread(target=room.answer_one)
    looking.start()
    try:
        wait_until(lambda: not stay.is_over())
        assert looking.is_alive()
    finally:
        stop.set()
        looking.join(30)
    wait_until(stay.is_over)
