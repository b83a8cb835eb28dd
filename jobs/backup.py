"""`python -m jobs.backup FILE`: copy a SQLite ledger, whole and checked, while everything runs.

The copy is one state of the ledger, between two transactions; nobody waits for it. A PostgreSQL
ledger has better tools of its own (`pg_dump`), which are named.
"""

import argparse
import contextlib
import os
import sqlite3
import sys
import time
from pathlib import Path

from sqlalchemy import make_url

from jobs.errors import JobError
from jobs.settings import Settings
from kdcore.files import sync_folder

DONE = 0
FAILED = 1


class BackupError(JobError):
    """There is no backup."""

    code = "backup_failed"


def main(arguments: list[str] | None = None) -> int:
    """Back up the ledger that the settings name; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jobs.backup", description=__doc__)
    parser.add_argument("file", type=Path, help="where the copy goes; it must not be there yet")
    parser.add_argument("--replace", action="store_true", help="it may be there")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        size = back_up(Settings().database_url, chosen.file, replace=chosen.replace)
    except (BackupError, OSError, sqlite3.Error) as error:
        hint = getattr(error, "hint", None)
        sys.stderr.write(f"error: {error}{f'; {hint}' if hint else ''}\n")
        return FAILED
    seconds = time.monotonic() - began
    sys.stdout.write(f"{chosen.file}: {size} bytes in {seconds:.1f} s, checked\n")
    return DONE


def back_up(database_url: str, file: Path, *, replace: bool = False) -> int:
    """Copy a SQLite ledger to a file, which appears whole or not at all; return its bytes.

    Raises:
        BackupError: it is no SQLite ledger, it is damaged, or the file is there already.
        OSError: the disk refuses.
        sqlite3.Error: the ledger cannot be read.
    """
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise BackupError(
            "found a PostgreSQL ledger, expected SQLite",
            hint="its own tool makes the copy: pg_dump --format=custom --file=FILE DATABASE",
        )
    ledger = Path(url.database)
    if not ledger.is_file():
        raise BackupError(f"there is no ledger {ledger}", hint="name its folder: STILLHOUSE_DATA")
    if file.exists() and not replace:
        raise BackupError(f"{file} is there already", hint="name another file, or use --replace")
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        _copy(ledger, beside)
        size = beside.stat().st_size
        beside.replace(file)
        sync_folder(file.absolute().parent)
    finally:
        for left in beside.parent.glob(f"{beside.name}*"):
            left.unlink()
    return size


def _copy(ledger: Path, target: Path) -> None:
    with (
        contextlib.closing(
            sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)
        ) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        # In one go: in several, each write of somebody else between them would start it anew. In
        # WAL mode a reader, however long it reads, holds up no writer.
        source.backup(copy, pages=-1)
        # A single file, which needs no other beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        orphans = copy.execute("PRAGMA foreign_key_check").fetchone()
    if found != "ok" or orphans is not None:
        raise BackupError(
            f"the copy is damaged, so the ledger is: {found if found != 'ok' else orphans}",
            hint="restore the last backup that is whole",
        )
    with target.open("rb+") as written:
        os.fsync(written.fileno())


if __name__ == "__main__":
    sys.exit(main())
