"""A worker that dies at a named point: `python crashing.py POINT`, settings from the environment.

It claims one job and runs the attempt, like a worker, and is killed the moment that it comes to the
point. The points are laid around our functions from outside; nothing in the sources knows of them.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event

from jobs.database import Database
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.stores import open_store
from worker.attempt import Supervisor
from worker.child import Child

SCRIPT = Path(__file__).parent / "script_trainer.py"
SAID = ("claim", "heartbeat", "record", "settle", "release")
"""What a worker says to the ledger; each dies before it, before its commit, and after it."""
LEDGER_POINTS = [f"{verb} {when}" for verb in SAID for when in ("begun", "written", "committed")]
FILE_POINTS = [
    "folder written",
    "folder renamed",
    "trainer started",
    "file written",
    "file renamed",
]


def die() -> None:
    """Be killed, with no chance to clean up."""
    os.kill(os.getpid(), signal.SIGKILL)


def lay(point: str, settings: Settings) -> None:
    """Have this process die at the point."""
    where, when = point.split()
    if where in SAID:
        _around_a_verb(where, when)
    elif where == "trainer":
        _after(Child, "__init__")
    else:
        folder = settings.work if where == "folder" else settings.artifacts
        _around_a_rename("rename" if where == "folder" else "replace", when, folder)


def _around_a_verb(verb: str, when: str) -> None:
    real: Callable[..., Any] = getattr(Repository, verb)

    def dying(ledger: Repository, *arguments: Any, **options: Any) -> Any:
        if when == "begun":
            die()
        answer = real(ledger, *arguments, **options)
        if when == "written":
            die()
        event.listen(ledger._session, "after_commit", lambda _: die())
        return answer

    setattr(Repository, verb, dying)


def _around_a_rename(name: str, when: str, folder: Path) -> None:
    real: Callable[..., Any] = getattr(Path, name)

    def dying(source: Path, target: Path) -> Any:
        is_ours = Path(target).is_relative_to(folder)
        if is_ours and when == "written":
            die()
        answer = real(source, target)
        if is_ours:
            die()
        return answer

    setattr(Path, name, dying)


def _after(kind: type, name: str) -> None:
    real: Callable[..., Any] = getattr(kind, name)

    def dying(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        die()

    setattr(kind, name, dying)


def main() -> None:
    settings = Settings()
    lay(sys.argv[1], settings)
    with Database(settings.database_url) as database:
        with database.write() as session:
            claim = Repository(session).claim("a-worker-that-dies", settings.lease_seconds)
        assert claim is not None
        store = open_store(settings)
        command = (sys.executable, "-P", str(SCRIPT))
        Supervisor(settings, database, store, threading.Event(), command=command).run(claim)


if __name__ == "__main__":
    main()
