"""Whether the ledger still hears of a worker, or of a sweeper, of this machine: a health check.

    python -m worker.alive worker       exits with 0 where it does, with 1 otherwise

Both write into the ledger every few seconds whatever they are at. A process that hangs, or that is
cut off from the database, does not; and a container is a machine of its own.
"""

import argparse
import sys

from sqlalchemy.exc import SQLAlchemyError

from jobs.database import Database
from jobs.ids import this_machine
from jobs.operating import SweeperRound, Worker
from jobs.repository import Repository
from jobs.settings import Settings


def main() -> int:
    """Look; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m worker.alive")
    parser.add_argument("whose", choices=["worker", "sweeper"])
    whose = parser.parse_args().whose
    settings = Settings()
    most = max(settings.lease_seconds, 6 * settings.sweep_seconds)
    of = Worker if whose == "worker" else SweeperRound
    try:
        with (
            Database(settings.database_url, settings.database_seconds) as database,
            database.read() as session,
        ):
            silence = Repository(session).silence(of, this_machine())
    except SQLAlchemyError as error:
        return _fail(f"the database does not answer: {type(error).__name__}")
    if silence is None:
        return _fail(f"no {whose} of {this_machine()} was heard of")
    if silence > most:
        return _fail(f"no {whose} was heard of for {silence:.0f} s, expected {most:g} at most")
    return 0


def _fail(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
