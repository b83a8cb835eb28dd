"""A real S3 server for tests, as a process: moto's."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from typing import Any

import httpx
import pytest
from waiting import wait_until

KEYS = {"aws_access_key_id": "tests", "aws_secret_access_key": "hunter2-of-the-bucket"}
"""What the server takes, unless it checks keys."""


class S3Server:
    """Keeps everything in its memory: what is killed has lost it."""

    def __init__(self) -> None:
        """Prepare a server on a free port, or skip the test."""
        pytest.importorskip("moto.server", reason="moto[server] is not installed")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Any = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, seconds=60)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it take connections, and never answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def client(self, **keys: str) -> Any:
        """Return an S3 client of the server, to look behind the store's back."""
        if not keys and self._client is not None:
            return self._client
        from boto3.session import Session
        from botocore.config import Config

        client: Any = Session().client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
            **(keys or KEYS),
        )
        if not keys:
            self._client = client
        return client

    def make_bucket(self, name: str = "") -> str:
        """Make an empty bucket and return its name."""
        name = name or f"tests-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=name)
        return name

    def check_keys(self, *, after: int = 0) -> None:
        """Refuse from now on, or after so many requests, whoever is not known."""
        httpx.post(f"{self.url}/moto-api/reset-auth", content=str(after)).raise_for_status()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the S3 server has ended"
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/moto-api/", timeout=5).status_code < 500
        return False


def settings_of(server: S3Server, bucket: str) -> dict[str, Any]:
    """Return the settings that name a bucket; its keys come as AWS's variables."""
    return {"artifacts": f"s3://{bucket}/some/prefix", "s3_endpoint": server.url}


def give_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the keys found as AWS's own tools find them, and nothing else of this machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
