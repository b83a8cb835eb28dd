"""docker-compose.yml, run without containers: every one of our services by its very command.

The processes get the commands, the environment and the secrets that the file gives them; only host
names, folders and ports are those of this machine.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from compose_host import COMPOSE, ROOT, Host
from psycopg import sql
from sqlalchemy import make_url
from waiting import wait_until

OPERATING = ROOT / "docs" / "operating.md"
SPEC = {
    "name": "by compose",
    "teacher": {"model": {"name": "mlp", "hidden": [8]}},
    "student": {"model": {"name": "mlp", "hidden": [4]}},
    "data": {"name": "synthetic"},
    "method": "kd",
    "training": {"max_steps": 30},
    "seeds": [0, 1],
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def _closed(connection: psycopg.Connection[Any], role: str) -> Generator[None]:
    """Have the server ask a role for its password, which the tests' own server does not."""
    rules = connection.execute("SELECT pg_read_file(current_setting('hba_file'))").fetchone()
    assert rules is not None
    asked = "".join(
        f"{way} scram-sha-256\n" for way in (f"local all {role}", f"host all {role} all")
    )

    def tell(text: str) -> None:
        where = connection.execute("SELECT current_setting('hba_file')").fetchone()
        assert where is not None
        write = "COPY (SELECT string_to_table({text}, E'\\n')) TO {where}"
        lines = sql.Literal(text.replace("\t", " ").rstrip("\n"))
        connection.execute(sql.SQL(write).format(text=lines, where=sql.Literal(where[0])))
        connection.execute("SELECT pg_reload_conf()")

    tell(asked + rules[0])
    try:
        yield
    finally:
        tell(rules[0])


@pytest.fixture
def host(postgres_url: str, tmp_path: Path) -> Generator[Host]:
    """A machine with a database, whose user has the password of the file, and a broker alike."""
    plain = postgres_url.replace("postgresql+psycopg://", "postgresql://")
    name = f"compose_{uuid.uuid4().hex[:8]}"
    host = Host(tmp_path)
    own = make_url(plain).set(username=name, password=None, database=name)
    host.database_url = own.render_as_string(hide_password=False)
    password = sql.Literal(host.secret("postgres_password"))
    owner = sql.Identifier(name)
    redis = host.redis(COMPOSE["services"]["redis"]["command"][-1])
    with psycopg.connect(plain, autocommit=True) as connection, ExitStack() as stack:
        make = "SET password_encryption = 'scram-sha-256'; CREATE ROLE {} LOGIN PASSWORD {}"
        connection.execute(sql.SQL(make).format(owner, password))
        stack.callback(connection.execute, sql.SQL("DROP ROLE {}").format(owner))
        connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(owner))
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(owner)
        stack.callback(connection.execute, drop)
        stack.enter_context(_closed(connection, name))
        server = stack.enter_context(subprocess.Popen(redis, stdout=subprocess.DEVNULL))
        stack.callback(server.kill)
        check = COMPOSE["services"]["redis"]["healthcheck"]["test"]
        assert check[0] == "CMD-SHELL"
        wait_until(lambda: subprocess.run(host.redis(check[1]), check=False).returncode == 0)
        yield host
        server.terminate()
        assert server.wait(10) == 0, "SIGTERM does not reach Redis"


def test_the_services_see_a_job_through_and_end_in_order(host: Host, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{host.port}"
    said: set[str] = set()
    with ExitStack() as running:
        migrated = host.start("migrate")
        assert migrated.wait(60) == 0, host.log("migrate")
        key = {"Authorization": f"Bearer {host.first_key()}"}
        processes: dict[str, subprocess.Popen[bytes]] = {}
        assert not host.healthy("worker")
        assert not host.healthy("sweeper")
        # The GPU worker's command is the CPU worker's: the device is found, not named.
        for service in ("sweeper", "api", "worker", "worker-gpu"):
            processes[service] = host.start(service)
            running.callback(processes[service].kill)
            if service == "sweeper":
                wait_until(lambda: host.healthy("sweeper"), seconds=60, every=0.5)
        wait_until(lambda: host.healthy("api"), seconds=120, every=0.3)
        wait_until(lambda: host.healthy("worker"), seconds=120, every=0.5)
        job = httpx.post(f"{url}/v1/jobs", json=SPEC, headers=key).raise_for_status().json()

        def ended() -> dict[str, Any] | None:
            for service, process in processes.items():
                assert process.poll() is None, host.log(service)
                said.update(_told(process.pid))
            found = httpx.get(f"{url}/v1/jobs/{job['id']}", headers=key).json()
            return found if found["terminal"] else None

        done = wait_until(ended, seconds=120, every=0.2)
        assert done is not None
        assert done["status"] == "succeeded", (done["failure"], host.log("worker"))
        assert httpx.get(f"{url}/v1/jobs").status_code == 401
        listed = httpx.get(f"{url}/v1/jobs/{job['id']}/artifacts", headers=key)
        files = listed.json()["data"]
        assert "student.safetensors" in {file["name"] for file in files}
        ready = httpx.get(f"{url}/readyz", headers=key)
        assert ready.status_code == 200, ready.text

        for service in ("worker", "worker-gpu", "sweeper", "api"):
            processes[service].send_signal(signal.SIGTERM)
            # uvicorn ends by the signal that ended it, once everything is closed.
            assert processes[service].wait(60) in {0, -signal.SIGTERM}, host.log(service)
        assert not host.healthy("worker"), "an orderly end is noted"
        # And back, as docs/operating.md says: the new program takes its tables away.
        (back,) = re.findall(r"run --rm migrate python (.*)", OPERATING.read_text())
        for words in (shlex.split(back), shlex.split(back)[:-1]):
            moved = host.run("migrate", words)
            assert moved.returncode == 0, moved.stderr
    for name in ("postgres_password", "redis_password"):
        secret = host.secret(name)
        assert re.fullmatch(r"[0-9a-f]{48}", secret)
        assert not [told for told in said if secret in told]
        assert not [service for service in processes if secret in host.log(service)]
    assert any("STILLHOUSE_BROKER_PASSWORD_FILE" in told for told in said)


def _told(pid: int) -> set[str]:
    """What a process and those that it has started were told: their words and their variables."""
    told: set[str] = set()
    with suppress(psutil.Error):
        for one in (parent := psutil.Process(pid), *parent.children(recursive=True)):
            with suppress(psutil.Error, OSError):
                told.update(one.cmdline())
                told.update("=".join(pair) for pair in one.environ().items())
    return told


def test_redis_asks_for_the_password_and_drops_no_bell(host: Host) -> None:
    redis = pytest.importorskip("redis")
    with redis.Redis(port=host.redis_port, password=host.secret("redis_password")) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with redis.Redis(port=host.redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert (host.tmp / "redis.conf").stat().st_mode & 0o077 == 0


def test_postgresql_asks_for_the_password(host: Host) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host.database_url)
