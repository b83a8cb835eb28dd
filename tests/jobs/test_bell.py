"""The bell: quick to ring, quick to give up, and it carries an id only."""

import json
import socket
import time
from pathlib import Path

import pytest
import redis
from servers import Redis

from jobs.queue import QUEUE, Bell
from jobs.settings import Settings

JOB = "job_01m82a9epwrcth147mhe9hy5xm"


def test_a_bell_carries_the_id_and_nothing_else(redis_url: str, tmp_path: Path) -> None:
    bell = Bell(Settings(data=tmp_path, broker_url=redis_url))
    assert bell.ring(JOB)
    bell.close()
    with redis.Redis.from_url(redis_url) as client:
        (raw,) = client.lrange(QUEUE, 0, -1)
    message = json.loads(raw)
    assert message["content-type"] == "application/json"
    assert message["headers"]["task"] == "stillhouse.wake"
    assert message["headers"]["argsrepr"] == f"['{JOB}']"
    assert len(raw) < 2000


def test_without_a_broker_and_without_a_worker_nobody_hears_it(tmp_path: Path) -> None:
    bell = Bell(Settings(data=tmp_path))
    assert bell.ring(JOB) is False
    bell.close()


@pytest.mark.slow
def test_a_dead_broker_costs_a_moment_and_no_error(mortal_redis: Redis, tmp_path: Path) -> None:
    bell = Bell(Settings(data=tmp_path, broker_url=mortal_redis.url))
    assert bell.ring(JOB)
    mortal_redis.kill()
    started = time.monotonic()
    assert bell.ring(JOB) is False
    assert time.monotonic() - started < 3
    mortal_redis.start()
    assert bell.ring(JOB), "the bell works again when the broker does"
    bell.close()


@pytest.mark.slow
def test_a_broker_that_never_answers_costs_a_moment_and_no_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        bell = Bell(Settings(data=tmp_path, broker_url=f"redis://127.0.0.1:{port}/0"))
        started = time.monotonic()
        assert bell.ring(JOB) is False
        assert time.monotonic() - started < 3
        bell.close()
