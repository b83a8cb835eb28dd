"""Server processes that benchmarks speak to."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A server process."""

    port: int
    pid: int


@contextlib.contextmanager
def running(command: list[str], port: int, **variables: str) -> Generator[Server]:
    """Start a server and wait until it answers."""
    process = subprocess.Popen(  # noqa: S603  # our own programs
        command, cwd=ROOT, env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
