"""The slots go on looking for jobs, whatever went wrong with one of them."""

import threading
from collections.abc import Callable

import pytest
from bench import Bench
from waiting import wait_until

from jobs.stores import open_store
from worker.attempt import Supervisor
from worker.slots import Slots
from worker.stay import Stay

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.parametrize("bench", ["cold"], indirect=True),
]


def test_a_job_that_could_not_be_started_takes_no_slot_with_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("worker.slots.AWAY_SECONDS", 0.01)
    settings = bench.settings.model_copy(update={"poll_seconds": 0.01})
    store = open_store(settings)
    supervisor = Supervisor(settings, bench.database, store, bench.draining)
    started: list[Callable[[], None]] = []

    def start(run: Callable[[], None]) -> None:
        started.append(run)
        if len(started) == 1:
            raise RuntimeError("can't start new thread")

    unlucky, lucky = bench.submit(), bench.submit()
    slots = Slots(settings, bench.database, supervisor, start, Stay(settings))
    thread = threading.Thread(target=slots.run)
    thread.start()
    try:
        wait_until(lambda: len(started) == 2, seconds=10)
        assert {bench.job(job_id).status for job_id in (unlucky, lucky)} == {"running"}
        assert "can't start new thread" in caplog.text
    finally:
        bench.draining.set()
        slots._free.release()  # the second one, which nobody runs here
        thread.join(10)
    assert not thread.is_alive()
