"""The migrations make what the tables say, there and back, with data inside."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from specs import claim, submit
from sqlalchemy import inspect

from jobs.database import Database, migrate, require_schema
from jobs.repository import Repository
from jobs.tables import Table

# SQLite does not tell how an index is sorted, so these are looked for by name.
SORTED_INDEXES = {"ix_jobs_next"}


def tables_of(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    def comparable(_: object, name: str | None, *__: object) -> bool:
        return name not in SORTED_INDEXES

    options = {"compare_type": True, "include_object": comparable}
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Table.metadata) == []
    indexes = {index["name"] for index in inspect(database.engine).get_indexes("jobs")}
    assert indexes >= SORTED_INDEXES


def test_checks_and_foreign_keys_are_there_too(database: Database) -> None:
    # The comparison above does not look at checks.
    inspector = inspect(database.engine)
    for table in Table.metadata.sorted_tables:
        expected = {check.name for check in table.constraints if check.name and "ck_" in check.name}
        found = {check["name"] for check in inspector.get_check_constraints(table.name)}
        assert found == expected


def test_down_and_up_again_with_data_inside(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    points = {"step": [1], "loss": [0.5]}
    events = [{"type": "metrics", "stage": "teacher", "seed": 0, "columns": points}]
    with database.write() as session:
        Repository(session).record(job_id, token, events, batch=1)
        Repository(session).greet("w", 1)
    migrate(database)  # nothing to do, nothing lost
    with database.read() as session:
        assert Repository(session).metrics(job_id).points == 1
    try:
        migrate(database, "base")
        assert tables_of(database) == {"alembic_version"}
    finally:
        migrate(database)
    require_schema(database)
    submit(database)


def test_labels_counts_and_curves_go_along_both_ways(database: Database) -> None:
    for team in ("a", "b", "a"):
        job_id = submit(database, labels={"team": team, "k.e/y": "x'\"y"})
    token = claim(database).attempt
    columns = {"step": [10, 20, 30], "loss": [0.5, None, 0.25]}
    uneven = {"step": [40, 70, 90], "loss": [1.0, 2.0, 3.0]}
    events = [
        {"type": "metrics", "stage": "teacher", "seed": 0, "columns": one}
        for one in (columns, uneven)
    ]
    with database.write() as session:
        (leased,) = Repository(session).leases()
        Repository(session).record(leased.job_id, token, events, batch=1)
    migrate(database, "0001")
    with database.engine.connect() as connection:
        # The version before keeps every step as eight bytes, and each value as four.
        sizes = connection.exec_driver_sql("SELECT length(data) FROM metric_chunks").scalars()
        assert list(sizes) == [3 * (8 + 4)] * 2
    migrate(database)
    with database.read() as session:
        ledger = Repository(session)
        assert ledger.counts() == {"queued": 2, "running": 1}
        assert len(ledger.list(labels={"team": "a"}).items) == 2
        assert ledger.list(labels={"k.e/y": "x'\"y"}).items[0].id == job_id
        told = ledger.metrics(leased.job_id).stages["teacher"].columns
    assert told["step"] == [10, 20, 30, 40, 70, 90]
    assert told["loss"] == [0.5, None, 0.25, 1.0, 2.0, 3.0]


def test_jobs_that_were_paused_cloned_or_purged_go_along_both_ways(database: Database) -> None:
    kept, deleted = submit(database), submit(database)
    with database.write() as session:
        ledger = Repository(session)
        ledger.pause(kept)
        ledger.delete(deleted)
    migrate(database, "0002")
    assert not {"deleted_jobs", "condemned_files"} & tables_of(database)
    migrate(database)
    with database.write() as session:
        job = Repository(session).resume(kept)
    assert (job.status, job.cloned_from, job.artifacts_purged_at) == ("queued", None, None)


def test_workers_that_drain_go_along_both_ways(database: Database) -> None:
    with database.write() as session:
        for worker in ("staying", "leaving"):
            Repository(session).greet(worker, 2, {"cores": 8})
        Repository(session).drain_worker("leaving")
    migrate(database, "0006")
    columns = {column["name"] for column in inspect(database.engine).get_columns("workers")}
    assert columns == {"id", "slots", "started_at", "seen_at", "about"}
    migrate(database)
    with database.read() as session:
        workers = Repository(session).workers()
    told = {row.id: (row.slots, row.about, row.draining_since) for row in workers}
    # The version before knows of no drain: whoever wants it still, asks again.
    assert told == {name: (2, {"cores": 8}, None) for name in ("staying", "leaving")}


def test_of_two_servers_that_start_at_once_one_migrates(database: Database) -> None:
    migrate(database, "base")

    def start(_: int) -> None:
        with Database(str(database.engine.url.render_as_string(hide_password=False))) as mine:
            migrate(mine)
            require_schema(mine)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(start, range(3)))
    assert tables_of(database) == {*Table.metadata.tables, "alembic_version"}


@pytest.mark.slow
def test_the_command_line_migrates_what_the_environment_names(
    database: Database, tmp_path: Path
) -> None:
    migrate(database, "base")
    root = Path(__file__).resolve().parents[2]
    url = database.engine.url.render_as_string(hide_password=False)
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=root,
        env={**os.environ, "STILLHOUSE_DATABASE_URL": url},
        check=True,
        capture_output=True,
    )
    require_schema(database)
