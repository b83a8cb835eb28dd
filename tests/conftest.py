"""What tests of several parts stand on: a ledger on each database, and a real Redis.

Nothing here imports torch, so the tests of the API and the ledger also run where it is missing.
"""

import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hook_server import Hook, running_hook
from ledgers import empty
from mlflow_server import MlflowServer
from s3_server import S3Server, give_keys, settings_of
from servers import REDIS_VARIABLE, Redis, postgres, redis_for_this_process, redis_program
from sqlalchemy import make_url, text

from jobs.database import Database, migrate
from jobs.settings import Settings

# Small networks on shared cores: many threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def postgres_url() -> Generator[str]:
    """Give the URL of a PostgreSQL database with our tables."""
    with postgres() as url:
        settings = Settings(database_url=url)
        with Database(settings.database_url) as database:
            migrate(database, "base")
            migrate(database)
        yield settings.database_url


@pytest.fixture(scope="session")
def lasting_postgres_url(postgres_url: str) -> str:
    """Give the URL of tables for apps that outlive a test, since their sweepers go on writing."""
    with Database(postgres_url) as database, database.write() as session:
        session.execute(text("DROP SCHEMA IF EXISTS lasting CASCADE"))
        session.execute(text("CREATE SCHEMA lasting"))
    lasting = make_url(postgres_url).update_query_dict({"options": "-csearch_path=lasting"})
    url = lasting.render_as_string(hide_password=False)
    with Database(url) as database:
        migrate(database)
    return url


@pytest.fixture(scope="session")
def _empty_sqlite() -> Generator[bytes]:
    """Give a migrated SQLite file, since copying one is faster than making one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "empty.sqlite3"
        with Database(f"sqlite:///{file}") as database:
            migrate(database)
        yield file.read_bytes()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty ledger, on each kind of database."""
    if request.param == "sqlite":
        file = tmp_path / "ledger.sqlite3"
        file.write_bytes(request.getfixturevalue("_empty_sqlite"))
        return f"sqlite:///{file}"
    url: str = request.getfixturevalue("postgres_url")
    with Database(url) as database:
        empty(database)
    return url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Give settings with an empty ledger and an empty data folder."""
    return Settings(data=tmp_path / "data", database_url=database_url)


@pytest.fixture
def database(settings: Settings) -> Generator[Database]:
    """Give an empty ledger, on each kind of database."""
    with Database(settings.database_url) as opened:
        yield opened


@pytest.fixture
def receiver() -> Generator[Hook]:
    """Give a receiver of webhooks."""
    with running_hook() as running:
        yield running


@pytest.fixture(scope="session")
def _mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.kill()


@pytest.fixture
def mlflow_server(_mlflow_server: MlflowServer) -> MlflowServer:
    """Give an MLflow server that all tests share; a test may kill it, and start it again."""
    if not _mlflow_server.runs:
        _mlflow_server.start()
    return _mlflow_server


@pytest.fixture(scope="session")
def _redis_url() -> Generator[str]:
    if url := os.environ.get(REDIS_VARIABLE):
        yield redis_for_this_process(url)
        return
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(redis_program(), Path(folder))
        server.start()
        yield server.url
        server.kill()


@pytest.fixture
def redis_url(_redis_url: str) -> str:
    """Give the URL of an empty Redis database."""
    import redis

    with redis.Redis.from_url(_redis_url) as client:
        client.flushdb()
    return _redis_url


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Generator[Redis]:
    """Give a Redis server that the test may kill and start again."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = Redis(redis_program(), folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def _s3_server() -> Generator[S3Server]:
    server = S3Server()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def s3_server(_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Give an S3 server that all tests share, each with buckets of its own."""
    give_keys(monkeypatch)
    return _s3_server


@pytest.fixture
def mortal_s3(monkeypatch: pytest.MonkeyPatch) -> Generator[S3Server]:
    """Give an S3 server that the test may kill, freeze and start again."""
    give_keys(monkeypatch)
    server = S3Server()
    server.start()
    yield server
    server.thaw()
    server.kill()


@pytest.fixture
def s3_settings(settings: Settings, s3_server: S3Server) -> Settings:
    """Give settings with an empty ledger and an empty bucket."""
    return settings.model_copy(update=settings_of(s3_server, s3_server.make_bucket()))
