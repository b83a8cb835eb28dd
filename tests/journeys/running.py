"""The house in operation: an API process and a worker process on one ledger."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from stillhouse import Client
from waiting import wait_until

from jobs.settings import Settings

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running_house(settings: Settings, folder: Path, **variables: str) -> Generator[Client]:
    """Start both processes, their logs in a folder; give a client of theirs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STILLHOUSE_")}
    environment = kept | {
        "STILLHOUSE_DATA": str(settings.data),
        "STILLHOUSE_DATABASE_URL": settings.database_url,
        "STILLHOUSE_SLOTS": "2",
        "STILLHOUSE_POLL_SECONDS": "0.1",
        "STILLHOUSE_RETRY_SECONDS": "0.1",
        "PYTHONPATH": str(ROOT),
        **variables,
    }
    port = folder / "port"
    commands = {
        "api": ["api", "--port", "0", "--port-file", str(port)],
        "worker": ["worker"],
    }
    with contextlib.ExitStack() as running:
        for name, words in commands.items():
            log = running.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *words], env=environment, stdout=log, stderr=log
            )
            running.callback(process.wait)
            running.callback(process.terminate)
        wait_until(port.exists, seconds=90)
        url = f"http://127.0.0.1:{wait_until(port.read_text).strip()}"
        yield running.enter_context(Client(url))
