"""Planted passwords come out nowhere: not in logs, answers, files, or the list of processes."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import psutil
import pytest
from servers import postgres, redis_program
from sqlalchemy import make_url, text
from waiting import wait_until

from jobs.database import Database, migrate
from jobs.settings import Settings

ROOT = Path(__file__).parents[2]
DATABASE_WORD = "planted-Database-77"
BROKER_WORD = "planted-Broker-88"
SECRETS = (DATABASE_WORD, BROKER_WORD)
SPEC = {
    "teacher": "mlp",
    "student": "mlp",
    "data": "synthetic",
    "baseline": False,
    "training": {"max_steps": 3},
    "export": ["safetensors"],
}
pytestmark = pytest.mark.slow


@pytest.fixture
def database_url(tmp_path: Path) -> Generator[str]:
    """Give a PostgreSQL ledger whose user has a password."""
    with postgres() as url:
        plain = Settings(database_url=url).database_url
        with Database(plain) as database:
            with database.write() as session:
                session.execute(text("DROP ROLE IF EXISTS planted"))
                session.execute(
                    text(f"CREATE ROLE planted SUPERUSER LOGIN PASSWORD '{DATABASE_WORD}'")
                )
            migrate(database)
        named = make_url(plain).set(username="planted", password=DATABASE_WORD)
        yield named.render_as_string(hide_password=False)
        with Database(plain) as database, database.write() as session:
            session.execute(text("DROP ROLE planted"))


@pytest.fixture
def broker(tmp_path: Path) -> Generator[tuple[str, subprocess.Popen[bytes]]]:
    """Give a Redis that wants a password."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = tmp_path / "redis.conf"
    conf.write_text(f'port {port}\nbind 127.0.0.1\nsave ""\nrequirepass {BROKER_WORD}\n')
    server = subprocess.Popen([redis_program(), str(conf)], stdout=subprocess.DEVNULL, cwd=tmp_path)

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    wait_until(answers)
    yield f"redis://:{BROKER_WORD}@127.0.0.1:{port}/0", server
    server.kill()
    server.wait()


def arguments_of(process: psutil.Process) -> set[str]:
    """Return the command lines of a process and of all that it started."""
    found: set[str] = set()
    with contextlib.suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found.update(one.cmdline())
    return found


@pytest.mark.parametrize("form", ["json", "text"])
def test_planted_passwords_come_out_nowhere(
    form: str,
    database_url: str,
    broker: tuple[str, subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    url, redis = broker
    data, logs = tmp_path / "data", tmp_path / "logs"
    logs.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STILLHOUSE_")}
    environment = kept | {
        "STILLHOUSE_DATA": str(data),
        "STILLHOUSE_DATABASE_URL": database_url,
        "STILLHOUSE_BROKER_URL": url,
        "STILLHOUSE_LOG_FORMAT": form,
        "STILLHOUSE_LOG_LEVEL": "debug",
        "STILLHOUSE_WARM": "0",
        "PYTHONPATH": str(ROOT),
    }
    port = tmp_path / "port"
    data.mkdir()
    said = ""
    with contextlib.ExitStack() as stack:
        running: list[psutil.Process] = []
        for name, words in {
            "api": ["api", "--port", "0", "--port-file", str(port)],
            "worker": ["worker"],
            "sweeper": ["worker", "sweeper"],
        }.items():
            log = stack.enter_context((logs / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *words], env=environment, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            running.append(psutil.Process(process.pid))
        wait_until(port.exists, seconds=60)
        base = f"http://127.0.0.1:{port.read_text().strip()}"
        with httpx.Client(base_url=base, timeout=30) as client:
            posted = client.post("/v1/jobs", json=SPEC, headers={"X-Request-ID": "traced-1"})
            assert posted.status_code == 201, posted.text
            job = posted.json()
            arguments: set[str] = set()

            def ended() -> bool:
                arguments.update(*map(arguments_of, running))
                return client.get(f"/v1/jobs/{job['id']}").json()["terminal"]

            wait_until(ended, seconds=120)
            paths = ["", "/events", "/attempts", "/logs", "/artifacts", "/metrics"]
            pages = [f"/v1/jobs/{job['id']}{path}" for path in paths]
            pages += ["/readyz", "/metrics", "/v1/workers", "/v1/queue", "/", f"/jobs/{job['id']}"]
            for page in pages:
                said += client.get(page).text
            # And when everything goes wrong.
            redis.kill()
            redis.wait()
            said += client.get("/readyz").text
            said += client.post("/v1/jobs", json=SPEC).text
            time.sleep(1.0)  # for the worker to complain of it
        said += "\0".join(arguments)
    for file in [*logs.iterdir(), *(path for path in data.rglob("*") if path.is_file())]:
        said += file.read_bytes().decode(errors="replace")
    assert job["id"] in said
    for secret in SECRETS:
        assert secret not in said
    worker = (logs / "worker.log").read_text()
    assert "traced-1" in worker, "a job is traced to its request"
    assert "traced-1" in (logs / "api.log").read_text()
    if form == "json":
        for file in logs.iterdir():
            for line in file.read_text().splitlines():
                assert json.loads(line)["message"], line


@pytest.mark.parametrize("words", [["api", "--port", "0"], ["worker"], ["jobs.migrate"]])
def test_a_database_that_refuses_is_told_without_its_password(
    words: list[str], tmp_path: Path
) -> None:
    wrong = f"postgresql://nobody:{DATABASE_WORD}@127.0.0.1:9/none"
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "STILLHOUSE_DATA": str(tmp_path), "STILLHOUSE_DATABASE_URL": wrong},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr
    assert DATABASE_WORD not in done.stdout + done.stderr
