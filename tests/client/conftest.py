"""Servers, clients and networks for the tests of the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_network import BadNetwork
from moody import Moody, moody_server
from stand import SPEC, Cli, Said, Server, Worker, run_cli, worker_on
from stillhouse import Client


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    running = Server(tmp_path_factory.mktemp("server"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def worker(server: Server) -> Iterator[Worker]:
    """The worker of the session's server."""
    playing = worker_on(server.data)
    yield playing
    playing.database.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop and start."""
    running = Server(tmp_path / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def own_worker(own_server: Server) -> Iterator[Worker]:
    """The worker of the test's own server."""
    playing = worker_on(own_server.data)
    yield playing
    playing.database.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of the session's server."""
    with Client(server.url, patience_seconds=10) as made:
        yield made


@pytest.fixture
def cli(server: Server) -> Cli:
    """`stillhouse`, told of the session's server."""

    def run(*arguments: str, **more: str) -> Said:
        return run_cli(*arguments, **{"url": server.url, **more})

    return run


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(SPEC))
    return file


@pytest.fixture
def bad_network(server: Server) -> Iterator[BadNetwork]:
    """A bad network before the session's server; good until told otherwise."""
    network = BadNetwork(server.port)
    network.open()
    yield network
    network.close()


@pytest.fixture
def moody() -> Iterator[Moody]:
    """A server of moods."""
    with moody_server() as server:
        yield server
