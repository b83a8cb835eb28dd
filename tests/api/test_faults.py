"""An API that is killed while it stores a job, or whose disk is full."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from serving import SPEC, running
from waiting import wait_until

from jobs.settings import Settings

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "crashing_api.py"
KEY = {"Idempotency-Key": "one-and-the-same"}


@pytest.mark.parametrize(("point", "stored"), [("written", 0), ("committed", 1)])
def test_a_submission_that_is_sent_again_after_a_crash_makes_one_job(
    settings: Settings, point: str, stored: int
) -> None:
    port = settings.data / "port"
    settings.data.mkdir(parents=True)
    environ = {
        **os.environ,
        "STILLHOUSE_DATA": str(settings.data),
        "STILLHOUSE_DATABASE_URL": settings.database_url,
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, SCRIPT, point, "--port", "0", "--port-file", port]
    with subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL) as dying:
        wait_until(port.exists)
        url = f"http://127.0.0.1:{wait_until(port.read_text).strip()}"
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}/v1/jobs", json=SPEC, headers=KEY, timeout=20)
        assert dying.wait(10) != 0
    with running(settings) as server, httpx.Client(base_url=server.url) as client:
        assert len(client.get("/v1/jobs").json()["data"]) == stored
        again = client.post("/v1/jobs", json=SPEC, headers=KEY)
        assert again.status_code == 201
        (job,) = client.get("/v1/jobs").json()["data"]
        assert (job["id"], job["status"]) == (again.json()["id"], "queued")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_under_the_ledger_is_503_and_it_goes_on_when_there_is_room(
    settings: Settings,
) -> None:
    file = settings.database_url.removeprefix("sqlite:///")
    with running(settings) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        assert client.post("/v1/jobs", json=SPEC).status_code == 201
        # The processes' own limit on a file, which the system answers like a full disk.
        process = psutil.Process(server.process.pid)
        process.rlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        refused = client.post("/v1/jobs", json=SPEC)
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert refused.headers["retry-after"]
        assert client.get("/livez").status_code == 200
        process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert client.post("/v1/jobs", json=SPEC).status_code == 201
        assert len(client.get("/v1/jobs").json()["data"]) == 2
    with contextlib.closing(sqlite3.connect(file)) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
