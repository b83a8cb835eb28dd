"""The heartbeat behind a link to the database that takes everything and brings nothing."""

import logging
from collections.abc import Generator

import pytest
from bench import Bench
from links import proxied
from proxy import FaultProxy
from waiting import wait_until

from jobs.database import Database
from jobs.repository import Repository
from jobs.settings import Settings

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def far(settings: Settings, database: Database) -> Generator[tuple[Bench, FaultProxy]]:
    """Give a bench whose attempts reach the ledger through a link that can fail."""
    with proxied(settings.database_url) as (proxy, url), Database(url, 0.5) as through:
        opened = Bench(settings.model_copy(update={"warm": False}), through)
        yield opened, proxy
        proxy.heal()
        opened.close()


def test_a_link_that_swallows_everything_stops_neither_training_nor_heart(
    far: tuple[Bench, FaultProxy], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bench, proxy = far
    job_id = bench.submit(steps=10, hold_at=3)

    def lease() -> object:
        with database.read() as session:
            return Repository(session).get(job_id).lease_until

    claim = bench.claim()
    attempt = bench.start(claim, lease_seconds=3.0)
    wait_until((bench.workdir(claim) / "state.json").exists)
    (trainer,) = bench.trainers()
    proxy.swallow()
    wait_until(lambda: "no heartbeat" in caplog.text, seconds=20)
    assert trainer.is_running()
    seen = lease()
    proxy.heal()
    wait_until(lambda: lease() != seen, seconds=20)
    bench.draining.set()
    attempt.result(30)
    assert bench.reasons(job_id) == [("lost", "preempted")]
    job = bench.job(job_id)
    assert (job.status, job.failed_attempts, job.saved_steps) == ("queued", 0, {"student-0": 3})
