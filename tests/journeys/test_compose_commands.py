"""docker-compose.yml, run without containers: every one of our services by its very command.

The processes get the commands and the environment that the file gives them; only host names, the
data folder and the port are those of this machine.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from sqlalchemy import make_url
from waiting import wait_until

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if str(service["image"]).startswith("stillhouse-")
}
SPEC = {
    "name": "by compose",
    "teacher": {"model": {"name": "mlp", "hidden": [8]}},
    "student": {"model": {"name": "mlp", "hidden": [4]}},
    "data": {"name": "synthetic"},
    "method": "kd",
    "training": {"max_steps": 30},
    "seeds": [0, 1],
}
ENDED = {"succeeded", "failed", "cancelled"}

pytestmark = pytest.mark.slow


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Host:
    """This machine in the place of the containers."""

    def __init__(self, data: Path, database_url: str, broker_url: str) -> None:
        """Remember what takes the place of the services that are not ours."""
        self.data = data
        self.port = _free_port()
        self._database_url = database_url
        self._broker_url = broker_url

    def command(self, service: str) -> list[str]:
        """The service's command, on this machine's Python and port."""
        words = [str(word) for word in OURS[service]["command"]]
        assert words[0] == "python"
        here = {"0.0.0.0": "127.0.0.1", "8000": str(self.port)}  # noqa: S104 - what stands there
        return [sys.executable, *(here.get(word, word) for word in words[1:])]

    def environment(self, service: str) -> dict[str, str]:
        """The service's environment, and of this process's only what a container has too."""
        given = {key: self._value(key, str(value)) for key, value in _environment(service).items()}
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
        return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **given}

    def _value(self, key: str, value: str) -> str:
        match key:
            case "STILLHOUSE_DATA":
                assert value == "/data"
                return str(self.data)
            case "STILLHOUSE_DATABASE_URL":
                assert re.fullmatch(r"postgresql://\w+:\$\{\w+:\?.+\}@postgres:5432/\w+", value)
                return self._database_url
            case "STILLHOUSE_BROKER_URL":
                assert re.fullmatch(r"redis://:\$\{\w+:\?.+\}@redis:6379/0", value)
                return self._broker_url
            case _:
                return re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)

    def first_key(self) -> str:
        """Make the first key, as the file's head says."""
        make = [sys.executable, "-m", "jobs.make_key", "--house", "--name", "operator"]
        environment = self.environment("api")
        made = subprocess.run(
            make, env=environment, cwd=self.data, capture_output=True, text=True, check=True
        )
        return made.stdout.strip()

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start a service as compose would."""
        with (self.data / f"{service}.log").open("wb") as log:
            return subprocess.Popen(
                self.command(service),
                env=self.environment(service),
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self, service: str) -> str:
        """What it has said."""
        return (self.data / f"{service}.log").read_text()


def _environment(service: str) -> dict[str, Any]:
    return OURS[service]["environment"]


@pytest.fixture
def host(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[Host]:
    """A machine with an empty database of its own."""
    plain = postgres_url.replace("postgresql+psycopg://", "postgresql://")
    name = f"compose_{uuid.uuid4().hex[:8]}"
    own = make_url(plain).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    yield Host(tmp_path, own, redis_url)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_the_services_see_a_job_through_and_end_in_order(host: Host, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{host.port}"
    with ExitStack() as running:
        migrated = host.start("migrate")
        assert migrated.wait(60) == 0, host.log("migrate")
        key = {"Authorization": f"Bearer {host.first_key()}"}
        processes: dict[str, subprocess.Popen[bytes]] = {}
        # The GPU worker's command is the CPU worker's: the device is found, not named.
        for service in ("api", "worker", "worker-gpu", "sweeper"):
            processes[service] = host.start(service)
            running.callback(processes[service].kill)

        def healthy() -> bool:
            assert processes["api"].poll() is None, host.log("api")
            probe = [sys.executable, *OURS["api"]["healthcheck"]["test"][2:]]
            probe[-1] = probe[-1].replace(":8000", f":{host.port}")
            return subprocess.run(probe, capture_output=True, check=False).returncode == 0

        wait_until(healthy, seconds=60, every=0.3)
        job = httpx.post(f"{url}/v1/jobs", json=SPEC, headers=key).raise_for_status().json()

        def ended() -> dict[str, Any] | None:
            for service, process in processes.items():
                assert process.poll() is None, host.log(service)
            found = httpx.get(f"{url}/v1/jobs/{job['id']}", headers=key).json()
            return found if found["terminal"] else None

        done = wait_until(ended, seconds=120, every=0.2)
        assert done is not None
        assert done["status"] == "succeeded", (done["failure"], host.log("worker"))
        assert httpx.get(f"{url}/v1/jobs").status_code == 401
        listed = httpx.get(f"{url}/v1/jobs/{job['id']}/artifacts", headers=key)
        files = listed.json()["data"]
        assert "student.safetensors" in {file["name"] for file in files}

        for service in ("worker", "worker-gpu", "sweeper", "api"):
            processes[service].send_signal(signal.SIGTERM)
            # uvicorn ends by the signal that ended it, once everything is closed.
            assert processes[service].wait(60) in {0, -signal.SIGTERM}, host.log(service)


def test_every_service_of_ours_is_locked_down_and_waits_for_the_schema() -> None:
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["init"] is True, name
        waits_for = service["depends_on"]
        if name != "migrate":
            assert waits_for["migrate"]["condition"] == "service_completed_successfully", name
    for name in ("worker", "worker-gpu"):
        assert OURS[name]["stop_grace_period"] == "120s"


def test_only_the_api_is_published_and_only_on_the_loopback() -> None:
    published = {name: service.get("ports") for name, service in COMPOSE["services"].items()}
    assert {name for name, ports in published.items() if ports} == {"api"}
    assert published["api"] == ["${STILLHOUSE_PUBLISH:-127.0.0.1:8000}:8000"]


def test_redis_accepts_our_configuration(tmp_path: Path) -> None:
    """The broker's settings as the file names them, on a real server."""
    from servers import redis_program

    redis = pytest.importorskip("redis")
    settings = (ROOT / "docker" / "redis.conf").read_text().replace("/data", str(tmp_path))
    port = _free_port()
    with subprocess.Popen(
        [redis_program(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as server:
        assert server.stdin is not None
        server.stdin.write(f"{settings}\nport {port}\nrequirepass secret\n".encode())
        server.stdin.close()
        try:
            with redis.Redis(port=port, password="secret") as client:  # noqa: S106 - its own

                def answers() -> bool:
                    try:
                        return bool(client.ping())
                    except redis.ConnectionError:
                        return False

                wait_until(answers, seconds=10)
                assert client.config_get("appendonly") == {"appendonly": "yes"}
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
        finally:
            server.kill()
