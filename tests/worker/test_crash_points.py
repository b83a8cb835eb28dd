"""A worker dies at every point where half of something is done; the next one makes it whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench
from chaos.verify import violations
from crashing import FILE_POINTS, LEDGER_POINTS
from waiting import wait_until

from jobs.database import Database
from jobs.repository import Repository
from jobs.settings import Settings

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "crashing.py"
LEASE_SECONDS = 1.0
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def bench(settings: Settings, database: Database) -> Generator[Bench]:
    """Give a place to run attempts to their end, with cold trainers."""
    changed = {"retry_seconds": 0.0, "warm": False, "lease_seconds": LEASE_SECONDS}
    opened = Bench(settings.model_copy(update=changed), database)
    yield opened
    opened.close()


@on_sqlite
@pytest.mark.parametrize("point", [*LEDGER_POINTS, *FILE_POINTS])
def test_the_job_ends_as_if_nothing_had_been(bench: Bench, point: str) -> None:
    die_and_recover(bench, point)


@on_postgresql
@pytest.mark.parametrize("point", ["claim committed", "settle written", "settle committed"])
def test_it_ends_so_on_a_server_as_well(bench: Bench, point: str) -> None:
    die_and_recover(bench, point)


def die_and_recover(bench: Bench, point: str) -> None:
    # Long enough for a heartbeat; and a crash of the trainer alone is what leads to a release.
    pause = 0.05 if point.startswith("heartbeat") else 0.0
    script: dict[str, Any] = {"steps": 12, "pause": pause}
    if point.startswith("release"):
        script |= {"crash_at": 3, "once": True}
    calm = bench.submit(steps=12)
    bench.run()
    job_id = bench.submit(**script)
    killed = _run_into(bench.settings, point)
    assert killed == -signal.SIGKILL, f"it never came to the point {point!r}"
    wait_until(lambda: not bench.trainers(), seconds=10)
    _sweep(bench)
    while bench.job(job_id).finished_at is None:
        bench.run()
    assert bench.job(job_id).status == "succeeded"
    found = violations(
        bench.database, bench.settings.artifacts, {job_id: "hash"}, {"hash": calm}, {}
    )
    assert list(found) == []


def _run_into(settings: Settings, point: str) -> int:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("STILLHOUSE_")}
    for name in ("data", "database_url", "lease_seconds", "retry_seconds"):
        environ[f"STILLHOUSE_{name.upper()}"] = str(getattr(settings, name))
    environ["PYTHONPATH"] = str(ROOT)
    return subprocess.run([sys.executable, SCRIPT, point], env=environ, check=False).returncode


def _sweep(bench: Bench) -> None:
    """Free what the dead one holds, once its lease is over."""

    def freed() -> bool:
        with bench.database.write() as session:
            ledger = Repository(session)
            for lease in ledger.leases():
                ledger.expire(lease, retry_seconds=0.0)
            return not ledger.leases()

    wait_until(freed, seconds=10)
