"""Threads are divided among the slots, and a trainer really computes with its share."""

from typing import Any

import psutil
import pytest
from bench import Bench
from house import House
from waiting import wait_until

from jobs.repository import Repository
from kdcore.cores import usable_cores

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
BROAD = {
    "teacher": {"model": {"name": "mlp", "hidden": [2048, 2048]}},
    "data": {"name": "synthetic", "shape": [3, 16, 16]},
}


def told(house: House, job_id: str, kind: str) -> list[dict[str, Any]]:
    with house.database.read() as session:
        events = Repository(session).events(job_id)
    return [event.data for event in events if event.type == kind]


@pytest.mark.parametrize("bench", ["cold"], indirect=True)
@pytest.mark.parametrize("slots", [1, 2, 64])
def test_the_order_names_the_slot_s_share_of_the_cores(
    bench: Bench, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.attempt.usable_cores", lambda: 6)
    bench.submit(no_end=True)
    claim = bench.run(slots=slots)
    seen = (bench.workdir(claim) / "order.json").read_text()
    assert f'"max_threads": {max(1, 6 // slots)}' in seen


def test_more_threads_than_the_share_are_not_given_and_the_job_says_so(house: House) -> None:
    cores = usable_cores()
    house.start(slots=cores, warm=False)
    job_id = house.submit(runtime={"threads": 64})
    house.wait_for(job_id, "succeeded")
    (started,) = told(house, job_id, "run.started")
    assert started["threads"] == 1
    (warning,) = told(house, job_id, "warning")
    assert warning["code"] == "threads_bounded"
    assert "64" in warning["message"]


@pytest.mark.skipif(usable_cores() < 2, reason="one core cannot show it")
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_trainer_computes_with_as_many_threads_as_it_was_given(house: House, warm: bool) -> None:
    _ = house.start_warm() if warm else house.start(warm=False)
    job_id = house.submit(1_000_000, runtime={"threads": 2}, **BROAD)
    house.wait_for_step(job_id, 1, "teacher")
    trainer = house.the_trainer()
    assert house.were_warm(job_id) == [warm]

    def both_have_computed() -> bool:
        spent = sorted(thread.user_time for thread in trainer.threads())
        return len(spent) >= 2 and spent[-2] > 0.3

    wait_until(both_have_computed, seconds=60)
    assert told(house, job_id, "run.started")[0]["threads"] == 2
    assert psutil.Process(trainer.pid).is_running()
