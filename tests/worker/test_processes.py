"""Real workers, real trainers, and whatever may happen to them."""

import itertools
import json
import pickle
import signal
import time

import psutil
import pytest
import redis
from house import House, loads_torch, terminate
from proxy import FaultProxy
from servers import Redis
from waiting import wait_until

from jobs.queue import QUEUE, WAKE, Bell
from jobs.repository import Repository

pytestmark = pytest.mark.slow
# Each of these takes seconds; the statements under them are tested on both databases elsewhere.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@on_sqlite
def test_a_worker_without_a_broker_finds_the_job_by_itself(house: House) -> None:
    worker = house.start()
    job_id = house.submit(2000)
    house.wait_for_step(job_id, 1)
    trainer = house.the_trainer()
    assert loads_torch(trainer.pid)
    assert not loads_torch(worker.pid), "the Celery process must stay without torch"
    house.wait_for(job_id, "succeeded")
    assert not loads_torch(worker.pid)
    with house.database.read() as session:
        (listed,) = Repository(session).workers()
        (attempt,) = Repository(session).attempts(job_id)
    assert attempt.worker == listed.id
    assert terminate(worker) == 0
    with house.database.read() as session:
        assert Repository(session).workers() == []


def test_a_worker_without_a_broker_is_rung_in_the_data_folder(house: House) -> None:
    worker = house.start(poll_seconds=600.0)
    wait_until(lambda: "ready" in house.log(worker))
    house.wait_for(house.submit(), "succeeded")
    assert terminate(worker) == 0
    assert list(house.settings.bells.iterdir()) == []


@on_sqlite
def test_an_idle_worker_ends_at_once(house: House) -> None:
    worker = house.start()
    wait_until(lambda: "ready" in house.log(worker))
    # Celery's own loop would look up only after three more seconds.
    assert terminate(worker, seconds=2) == 0


@on_postgresql
def test_a_bell_wakes_one_of_two_workers_at_once_and_a_hundred_bells_make_one_attempt(
    ringing_house: House,
) -> None:
    house = ringing_house
    workers = [house.start(), house.start()]
    for worker in workers:
        wait_until(lambda worker=worker: "ready" in house.log(worker))
    job_id = house.submit(200)
    for _ in range(100):
        house.bell.ring(job_id)
    house.wait_for(job_id, "succeeded")
    assert house.reasons(job_id) == ["finished"]
    with redis.Redis.from_url(house.settings.broker_url) as client:
        wait_until(lambda: client.llen(QUEUE) == 0)
    assert [terminate(worker) for worker in workers] == [0, 0]


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_kills_of_trainer_and_worker_do_not_change_the_student(house: House, warm: bool) -> None:
    worker = house.start_warm() if warm else house.start(warm=False)
    # Many, so that no stage is over before it is killed: a fast machine does 2,000 in a second.
    calm = house.submit(6000, name="calm")
    house.wait_for(calm, "succeeded")
    job_id = house.submit(6000, name="hunted")
    house.wait_for_step(job_id, 200, "teacher")
    house.the_trainer().kill()
    house.wait_for_step(job_id, 300)
    trainer = house.the_trainer()
    worker.kill()
    worker.wait()
    wait_until(lambda: not trainer.is_running(), seconds=30)
    house.start(warm=warm)
    job = house.wait_for(job_id, "succeeded")
    assert house.reasons(job_id) == ["crashed", "lost", "finished"]
    assert house.were_warm(job_id)[:2] == [warm, warm]
    assert job.result_attempt == 3
    assert house.digest(job_id) == house.digest(calm)
    with house.database.read() as session:
        events = Repository(session).events(job_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert house.curves(job_id) == house.curves(calm)
    assert sum(event.type == "job.succeeded" for event in events) == 1
    assert house.first_steps(job_id)[1] > 0, "the teacher went on from its checkpoint"


@on_sqlite
def test_a_worker_that_is_told_to_end_saves_and_gives_the_job_back(house: House) -> None:
    worker = house.start()
    job_id = house.submit(1_000_000)
    house.wait_for_step(job_id, 100, "teacher")
    assert terminate(worker) == 0
    job = house.job(job_id)
    assert (job.status, job.failed_attempts, job.worker) == ("queued", 0, None)
    assert house.reasons(job_id) == ["preempted"]
    assert house.trainers() == []
    house.start()
    wait_until(lambda: len(house.first_steps(job_id)) == 2)
    assert house.first_steps(job_id)[0] == 0
    assert house.first_steps(job_id)[1] >= 100


@on_postgresql
def test_a_worker_that_was_frozen_longer_than_its_lease_finds_itself_replaced(
    house: House,
) -> None:
    frozen = house.start()
    job_id = house.submit(1_000_000)
    house.wait_for_step(job_id, 1, "teacher")
    old = house.the_trainer()
    # Its trainer goes on, as on a machine that only lost its network.
    frozen.send_signal(signal.SIGSTOP)
    house.start()
    wait_until(lambda: house.job(job_id).attempt == 2, seconds=60)
    frozen.send_signal(signal.SIGCONT)
    wait_until(lambda: not _is_alive(old), seconds=30)
    wait_until(lambda: len(house.trainers()) == 1)
    assert house.reasons(job_id) == ["lost", None]
    with house.database.read() as session:
        told = [event.attempt for event in Repository(session).events(job_id) if event.attempt]
    assert told == sorted(told), "nothing of the first attempt came after it was lost"


@on_sqlite
def test_hostile_messages_do_no_harm(ringing_house: House) -> None:
    house = ringing_house
    worker = house.start()
    wait_until(lambda: "ready" in house.log(worker))
    canary = house.settings.data / "executed"
    bomb = pickle.dumps(_Bomb(str(canary)))
    tags = itertools.count()

    def message(body: bytes | str, *, task: str = WAKE, kind: str = "application/json") -> str:
        text = body if isinstance(body, str) else body.decode("latin-1")
        return json.dumps(
            {
                "body": text,
                "content-encoding": "utf-8",
                "content-type": kind,
                "headers": {"task": task, "id": f"m{next(tags)}", "lang": "py"},
                "properties": {
                    "body_encoding": None,
                    "delivery_mode": 2,
                    "delivery_tag": f"t{next(tags)}",
                    "delivery_info": {"exchange": "", "routing_key": QUEUE},
                },
            }
        )

    no_embed = [{}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    hostile = [
        "no json at all",
        "{}",
        "[1, 2, 3]",
        "\x00\xff",
        message(bomb, kind="application/x-python-serialize"),
        message(json.dumps([["x"], *no_embed]), task="os.system"),
        message(json.dumps([["x", "y", "z"], *no_embed])),
        message(json.dumps([[{"a": 1}], *no_embed])),
        message("not json"),
        message(json.dumps([["x" * 5_000_000], *no_embed])),
    ]
    with redis.Redis.from_url(house.settings.broker_url) as client:
        for raw in hostile:
            client.lpush(QUEUE, raw)
            # One at a time: each must be met by a worker that is alive and listening.
            wait_until(lambda: client.llen(QUEUE) == 0, seconds=60)
    job_id = house.submit()
    house.wait_for(job_id, "succeeded")
    assert worker.poll() is None
    assert not canary.exists()


@on_postgresql
def test_a_flushed_broker_loses_no_job(ringing_house: House) -> None:
    house = ringing_house
    made = [house.submit(), house.submit()]
    with redis.Redis.from_url(house.settings.broker_url) as client:
        client.flushdb()
    # Lost bells are rung again after a while; this poll is only a little slower than that.
    house.start(poll_seconds=3.0)
    for job_id in made:
        house.wait_for(job_id, "succeeded")


@on_sqlite
def test_a_dead_broker_stops_neither_jobs_nor_the_end_of_a_worker(
    house: House, mortal_redis: Redis
) -> None:
    mortal_redis.kill()
    worker = house.start(broker_url=mortal_redis.url)
    job_id = house.submit()
    house.wait_for(job_id, "succeeded")
    assert terminate(worker) == 0


@on_sqlite
def test_a_link_to_the_broker_that_swallows_everything_stops_no_job_and_heals(
    house: House, mortal_redis: Redis
) -> None:
    with FaultProxy(("127.0.0.1", mortal_redis.port)) as link:
        worker = house.start(broker_url=f"redis://127.0.0.1:{link.port}/0", poll_seconds=2.0)
        wait_until(lambda: "ready" in house.log(worker))
        link.swallow()
        job_id = house.submit(ring=False)
        house.wait_for(job_id, "succeeded")
        assert house.reasons(job_id) == ["finished"]
        link.heal()
        bell = Bell(house.settings.model_copy(update={"broker_url": mortal_redis.url}))
        with redis.Redis.from_url(mortal_redis.url) as client:
            assert bell.ring(job_id)
            # Heard, and so taken from the queue, over a connection that was made anew.
            wait_until(lambda: client.llen(QUEUE) == 0, seconds=60)
        bell.close()
        assert terminate(worker) == 0


@on_sqlite
def test_a_link_to_the_broker_that_dies_under_a_bell_leaves_nobody_deaf(
    house: House, mortal_redis: Redis
) -> None:
    bell = Bell(house.settings.model_copy(update={"broker_url": mortal_redis.url}))
    with FaultProxy(("127.0.0.1", mortal_redis.port)) as link:
        worker = house.start(broker_url=f"redis://127.0.0.1:{link.port}/0", poll_seconds=2.0)
        wait_until(lambda: "ready" in house.log(worker))
        link.swallow_from = b"ZREM"  # the acknowledgement of the bell
        assert bell.ring("job_1")
        wait_until(lambda: link.swallow_from is None)
        wait_until(lambda: "Couldn't ack" in house.log(worker), seconds=60)
        link.heal()
        with redis.Redis.from_url(mortal_redis.url) as client:
            assert bell.ring("job_2")
            wait_until(lambda: client.llen(QUEUE) == 0, seconds=60)
        assert terminate(worker) == 0
    bell.close()


@on_postgresql
def test_a_sweeper_alone_frees_the_job_of_a_dead_worker(house: House) -> None:
    job_id = house.submit(ring=False)
    with house.database.write() as session:
        assert Repository(session).claim("a-worker-that-is-gone", 1.0)
    sweeper = house.start("sweeper")
    job = house.wait_for(job_id, "queued", seconds=60)
    assert job.failed_attempts == 1
    assert terminate(sweeper) == 0


@on_sqlite
def test_a_worker_on_a_strange_database_says_what_to_do(house: House) -> None:
    worker = house.start(database_url=f"sqlite:///{house.settings.data}/new.sqlite3", migrate=False)
    assert worker.wait(30) == 78
    assert "python -m jobs.migrate" in house.log(worker)


@on_sqlite
def test_a_cancel_reaches_the_trainer_within_moments(house: House) -> None:
    house.start(lease_seconds=60.0)
    job_id = house.submit(1_000_000)
    house.wait_for_step(job_id, 1, "teacher")
    with house.database.write() as session:
        Repository(session).request_cancel(job_id, "now")
    asked = time.monotonic()
    house.wait_for(job_id, "cancelled")
    assert time.monotonic() - asked < 5
    assert house.trainers() == []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class _Bomb:
    """What a pickle can do to whoever opens it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self._path, "w")
