"""An API over an empty ledger, in the process or as a real server, and a worker for it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import httpx
import pytest
from doors import Doors
from fastapi.testclient import TestClient
from ledgers import empty
from s3_server import S3Server, settings_of
from serving import SPEC, Server, running
from stage_worker import StageWorker

from api.app import create_app
from jobs.database import Database, migrate
from jobs.keys import Scope
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.stores import open_store

HOST = "http://localhost"


@pytest.fixture
def client(settings: Settings) -> Generator[TestClient]:
    """Give a client of an app in this process; what the app cannot handle raises here."""
    with TestClient(create_app(settings), base_url=HOST) as inside:
        yield inside


@pytest.fixture
def worker(settings: Settings, database: Database, tmp_path: Path) -> StageWorker:
    """Give a worker that plays attempts."""
    return StageWorker(database, open_store(settings), tmp_path / "files")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """Give a real server, one for all tests on each kind of database."""
    folder = tmp_path_factory.mktemp("server")
    settings = Settings(data=folder)
    if request.param == "postgresql":
        url = request.getfixturevalue("lasting_postgres_url")
        settings = Settings(data=folder, database_url=url)
    with running(settings) as started:
        yield started


@pytest.fixture
def remote(server: Server) -> Generator[httpx.Client]:
    """Give a client of the real server, whose ledger is empty."""
    with Database(server.settings.database_url) as database:
        empty(database)
    with httpx.Client(base_url=server.url, timeout=20) as outside:
        yield outside


@pytest.fixture
def remote_worker(server: Server, tmp_path: Path) -> Generator[StageWorker]:
    """Give a worker that plays attempts of the real server's jobs."""
    with Database(server.settings.database_url) as database:
        yield StageWorker(database, open_store(server.settings), tmp_path / "files")


@pytest.fixture
def doors(database: Database, settings: Settings) -> Generator[Doors]:
    """Give an app with two projects."""
    keys: dict[str, str] = {}
    with database.write() as session:
        repository = Repository(session)
        repository.add_project("vision")
        for who, project, scope in (
            ("house", None, Scope.ADMIN),
            ("admin", "default", Scope.ADMIN),
            ("writer", "default", Scope.WRITE),
            ("reader", "default", Scope.READ),
            ("vision", "vision", Scope.ADMIN),
        ):
            _, made = repository.add_key(who, scope, project=project)
            keys[who] = made.text
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield Doors(client, keys)


@pytest.fixture(params=["folder", "s3"])
def each_store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[TestClient]:
    """Give an app over each kind of store; parts of uploads are small."""
    settings = Settings(data=tmp_path / "data", upload_part_bytes=1024)
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        settings = settings.model_copy(update=settings_of(server, server.make_bucket()))
    with TestClient(create_app(settings), base_url=HOST) as inside:
        yield inside


@pytest.fixture
def submit(client: TestClient) -> Callable[..., str]:
    """Give a function that posts a spec and returns the job's id."""

    def post(**fields: object) -> str:
        response = client.post("/v1/jobs", json={**SPEC, **fields})
        assert response.status_code == 201, response.text
        job_id: str = response.json()["id"]
        return job_id

    return post


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def lasting_client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[TestClient]:
    """Give one app on each kind of database, for tests that leave no trace in it."""
    folder = tmp_path_factory.mktemp("lasting")
    url = f"sqlite:///{folder / 'ledger.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("lasting_postgres_url")
    settings = Settings(data=folder, database_url=url)
    with Database(settings.database_url) as database:
        migrate(database)
        empty(database)
    with TestClient(create_app(settings), base_url="http://localhost") as inside:
        yield inside
