"""A real server for tests, and what tests say to it again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from waiting import wait_until

from jobs.settings import Settings

SPEC: dict[str, Any] = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}


@dataclass(frozen=True)
class Server:
    """`python -m api` as its own process."""

    process: subprocess.Popen[str]
    url: str
    settings: Settings


@contextmanager
def running(settings: Settings, *arguments: str, **variables: str) -> Generator[Server]:
    """Give a server process on a free port."""
    settings.data.mkdir(parents=True, exist_ok=True)
    port_file = settings.data / "api.port"
    environment = {
        **os.environ,
        "STILLHOUSE_DATA": str(settings.data),
        "STILLHOUSE_DATABASE_URL": settings.database_url,
        **variables,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "--port", "0", "--port-file", str(port_file), *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        wait_until(lambda: port_file.exists() or process.poll() is not None, seconds=90)
        yield Server(process, process.stdout.readline().split()[-1], settings)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        port_file.unlink(missing_ok=True)


def check(client: TestClient, response: Any, status: int, code: str, pointer: str | None) -> None:
    """Check one refusal whole."""
    body = response.json()
    assert response.status_code == status, body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["code"] == code or code in {error["code"] for error in body["errors"]}
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["error"]["message"] == body["detail"]
    assert "Traceback" not in response.text
    if pointer is not None:
        assert pointer in {error["pointer"] for error in body["errors"]}, body["errors"]
    assert client.get("/v1/jobs").json()["data"] == []
