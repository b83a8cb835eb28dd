"""workers, workers drain: who works for the server, and who is to stop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from stand import Server, Worker, run_cli
from stillhouse import Client
from stillhouse.errors import ApiError
from waiting import wait_until

from jobs import tables
from jobs.operating import DrainMode
from jobs.repository import Repository


@pytest.fixture(autouse=True)
def _one_worker(own_worker: Worker) -> None:
    with own_worker.database.write() as session:
        Repository(session).greet("w-1", 2)


def asked(worker: Worker) -> DrainMode | None:
    with worker.database.read() as session:
        return Repository(session).drain_asked("w-1")


def test_workers_are_listed_and_one_drains(own_server: Server, own_worker: Worker) -> None:
    shown = run_cli("workers", url=own_server.url)
    assert (shown.code, "at work" in shown.out) == (0, True)
    said = run_cli("workers", "drain", "w-1", url=own_server.url)
    assert (said.code, said.out) == (0, "w-1 drains (finish)\n")
    assert asked(own_worker) is DrainMode.FINISH
    told = run_cli("workers", "drain", "w-1", "--mode", "save", "--json", url=own_server.url)
    assert (told.json["id"], told.json["draining"]) == ("w-1", "save")
    for words in (("workers", "--json"), ("workers", "list", "--json")):
        assert run_cli(*words, url=own_server.url).json == [told.json]
    assert "drains (save)" in run_cli("workers", "list", url=own_server.url).out
    doctor = run_cli("doctor", url=own_server.url)
    assert (doctor.code, "all 1 that are there drain" in doctor.out) == (1, True)


def test_who_waits_is_let_go_when_it_has_ended(own_server: Server, own_worker: Worker) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run_cli, "workers", "drain", "w-1", "--wait", url=own_server.url)
        wait_until(lambda: asked(own_worker))
        assert not waiting.done()
        with own_worker.database.write() as session:
            Repository(session).part("w-1")
        said = waiting.result(60)
    assert (said.code, "w-1 has ended" in said.err) == (0, True)


def test_who_waits_for_too_long_is_told_what_else_there_is(own_server: Server) -> None:
    said = run_cli("workers", "drain", "w-1", "--wait", "--timeout", "0", url=own_server.url)
    assert said.code == 124
    assert "workers drain w-1 --mode save" in said.err


def test_who_waits_for_a_silent_worker_is_told(own_server: Server, own_worker: Worker) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with own_worker.database.write() as session:
        session.execute(update(tables.Worker).values(seen_at=long_ago))
    assert "silent" in run_cli("workers", url=own_server.url).out
    said = run_cli("workers", "drain", "w-1", "--wait", url=own_server.url)
    assert (said.code, "has said nothing for 1 h" in said.err) == (1, True)


def test_a_worker_that_is_not_there_is_an_error(own_server: Server) -> None:
    said = run_cli("workers", "drain", "nobody", url=own_server.url)
    assert (said.code, "GET /v1/workers" in said.err) == (2, True)
    assert run_cli("workers", "drain", "w-1", "--mode", "now", url=own_server.url).code == 2
    with Client(own_server.url) as client, pytest.raises(ApiError) as refused:
        client.operations.drain_worker("../../readyz")
    assert refused.value.status == 404
