"""Transactions: one request or one step of a worker is one of them."""

import json
import logging
import math
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self, cast

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from jobs.errors import SchemaOutOfDate
from jobs.moments import STORED_TIME
from jobs.settings import Settings
from jobs.watchdog import Watchdog, watched_connection

BUSY_MILLISECONDS = 10_000
CONNECT_SECONDS = 5
MIGRATION_LOCK = 0x5711_1005E
UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)
"""What a database raises that is away, locked, full, or has no connection left: it may pass."""


class Database:
    """A SQLite file or a PostgreSQL server."""

    def __init__(self, url: str, call_seconds: float | None = None) -> None:
        """Prepare connections to an SQLAlchemy URL; the first one is made when it is needed.

        A call to a server that has not answered after `call_seconds` fails; None waits for ever.
        """
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        arguments: dict[str, Any] = {}
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        if not self.is_sqlite:
            arguments = {
                "connect_timeout": CONNECT_SECONDS,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 20_000,
            }
        self.engine = create_engine(
            parsed,
            connect_args=arguments,
            json_serializer=dump_json,
            pool_pre_ping=not self.is_sqlite,
            pool_size=10,
            max_overflow=30,
            pool_timeout=10,
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._watchdog = Watchdog(call_seconds) if call_seconds and not self.is_sqlite else None
        if self._watchdog is not None:
            _watch(self.engine, self._watchdog)
        self._reading = self.engine.execution_options(
            **{"read_only": True}
            if self.is_sqlite
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        self._looking = (
            self._reading
            if self.is_sqlite
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @contextmanager
    def write(self) -> Generator[Session]:
        """Yield a session whose transaction is committed at the end, or undone by an exception."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Generator[Session]:
        """Yield a session that sees one state, never waits for a writer, and can write nothing."""
        with Session(self._reading, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def look(self) -> Generator[Connection]:
        """Yield a connection for a statement that reads: each sees the state that it finds.

        On PostgreSQL there is no transaction, which would be asked for and ended as well.
        """
        with self._looking.connect() as connection:
            yield connection

    def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            sqlalchemy.exc.OperationalError: it gives none.
        """
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        if self._watchdog is not None:
            self._watchdog.close()

    def __enter__(self) -> Self:
        """Return the database itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()


def open_database(settings: Settings) -> Database:
    """Open the database of the settings with its schema in place.

    Raises:
        SchemaOutOfDate: migrations are wanted first, and these settings leave them to the operator.
    """
    # What Alembic has to say is for whoever migrates by hand.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    database = Database(settings.database_url, settings.database_seconds)
    wanted = database.is_sqlite if settings.migrate is None else settings.migrate
    if wanted:
        # A change of a large table takes as long as it takes.
        with Database(settings.database_url) as unhurried:
            migrate(unhurried)
    else:
        require_schema(database)
    return database


def migrate(database: Database, revision: str = "head") -> None:
    """Bring the schema to a revision; of several processes at once one does it, the rest wait."""
    from alembic import command

    with database.engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK}
            )
        configuration = _alembic(connection)
        current = _revision(connection)
        if revision == "base" or (current and _is_older(configuration, revision, current)):
            command.downgrade(configuration, revision)
        else:
            command.upgrade(configuration, revision)


def require_schema(database: Database) -> None:
    """Check that the schema is the one that this program was written for.

    Raises:
        SchemaOutOfDate: it is another.
    """
    found, expected = schema_revision(database)
    if found != expected:
        raise SchemaOutOfDate(
            f"found the schema {found or '(none)'}; expected {expected}",
            hint="run `python -m jobs.migrate`, or start with STILLHOUSE_MIGRATE=1",
        )


def schema_revision(database: Database) -> tuple[str | None, str | None]:
    """Return the schema's revision as it is, and the one that this program was written for."""
    with database.read() as session:
        return _revision(session.connection()), _newest_revision()


@cache
def _newest_revision() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic(None)).get_current_head()


def _alembic(connection: Connection | None) -> Any:
    from alembic.config import Config

    import migrations

    configuration = Config()
    configuration.set_main_option("script_location", str(next(iter(migrations.__path__))))
    configuration.attributes["connection"] = connection
    return configuration


def _revision(connection: Connection) -> str | None:
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def _is_older(configuration: Any, revision: str, current: str) -> bool:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(configuration)
    older = {step.revision for step in script.iterate_revisions(current, "base")}
    return revision in older - {current}


def _watch(engine: Engine, watchdog: Watchdog) -> None:
    kind = watched_connection(watchdog)

    def connect(_: object, __: object, arguments: Any, options: Any) -> Any:
        return kind.connect(*arguments, **options)

    event.listen(engine, "do_connect", connect)


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The driver's own idea of transactions starts with plain BEGIN; ours start in `_begin_sqlite`.
    connection.isolation_level = None
    connection.create_function("ledger_clock", 1, _sqlite_clock)
    for line in (
        f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}",
        "PRAGMA journal_mode = WAL",
        # NORMAL would be faster and may forget the last commits when the power fails.
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ):
        connection.execute(line)


def _begin_sqlite(connection: Connection) -> None:
    reads = bool(connection.get_execution_options().get("read_only", False))
    # Told to a connection only where it has to change its mind.
    if connection.info.get("reads") is not reads:
        connection.exec_driver_sql(f"PRAGMA query_only = {int(reads)}")
        connection.info["reads"] = reads
    # A plain BEGIN that writes later cannot wait for its turn: it fails with "database is locked".
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _sqlite_clock(seconds: float) -> str:
    # SQLite's own functions stop at milliseconds; leases are compared for equality.
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime(STORED_TIME)


class Written(str):
    """A document that is JSON text already."""

    __slots__ = ()


def dump_json(value: object) -> Written:
    """Write strict JSON: a number that is not finite becomes null."""
    if isinstance(value, Written):
        return value
    try:
        text = _dump(value)
    except ValueError:
        text = _dump(_finite(value))
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, from the name of a file
        text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    return Written(text)


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {key: _finite(inner) for key, inner in fields.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in cast("list[object]", value)]
    return value
