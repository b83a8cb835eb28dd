"""What the official openai client sends again: a post makes one job, and a 409 is final."""

from __future__ import annotations

from collections.abc import Generator
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from fastapi.testclient import TestClient
from openai_clients import DIGITS, arrays, client_of
from proxy import FaultProxy
from serving import Server
from sqlalchemy import update
from stage_worker import StageWorker
from waiting import wait_until

from jobs.database import Database
from jobs.moments import clock
from jobs.tables import Job

TRY = "x-stainless-retry-count"


@pytest.fixture
def proxy(server: Server) -> Generator[FaultProxy]:
    """Give a link to the real server that can fail."""
    where = urlsplit(server.url)
    with FaultProxy((str(where.hostname), int(where.port or 0))) as link:
        yield link


def jobs_of(remote: httpx.Client) -> list[str]:
    return [job["id"] for job in remote.get("/v1/jobs").json()["data"]]


def test_a_job_whose_answer_was_lost_is_found_again(
    proxy: FaultProxy, remote: httpx.Client
) -> None:
    def heal_once_it_is_stored() -> None:
        wait_until(lambda: jobs_of(remote) and proxy.swallow_from is None)
        proxy.heal()

    proxy.swallow_from = b"HTTP/1.1 200"
    healing = Thread(target=heal_once_it_is_stored)
    healing.start()
    with client_of(f"http://127.0.0.1:{proxy.port}") as (client, sent):
        raw = client.fine_tuning.jobs.with_raw_response.create(**DIGITS)
        healing.join()
        assert [request.headers[TRY] for request in sent] == ["0", "1"]
        assert raw.headers["idempotent-replayed"] == "true"
        job = raw.parse()
        assert jobs_of(remote) == [job.id]
        # Whoever asks anew means another job.
        assert client.fine_tuning.jobs.create(**DIGITS).id != job.id
        assert len(jobs_of(remote)) == 2


def test_a_request_that_never_arrived_makes_its_job_when_it_comes_again(
    proxy: FaultProxy, remote: httpx.Client
) -> None:
    proxy.cut_after = 1
    with client_of(f"http://127.0.0.1:{proxy.port}") as (client, sent):
        job = client.fine_tuning.jobs.create(**DIGITS)
    assert sent[-1].headers[TRY] == "1"
    assert jobs_of(remote) == [job.id]


def test_a_verb_that_does_not_fit_is_sent_once(
    server: Server, remote: httpx.Client, remote_worker: StageWorker
) -> None:
    with client_of(server.url) as (client, sent):
        job = client.fine_tuning.jobs.create(**DIGITS)
        remote_worker.begin()
        remote_worker.succeed()
        for verb in (client.fine_tuning.jobs.cancel, client.fine_tuning.jobs.pause):
            del sent[:]
            with pytest.raises(openai.ConflictError) as refused:
                verb(job.id)
            assert refused.value.code == "illegal_transition"
            assert len(sent) == 1


def posted(client: TestClient, tries: str, body: object = DIGITS, **headers: str) -> Any:
    sent = {TRY: tries, **headers}
    answer = client.post("/v1/fine_tuning/jobs", json=body, headers=sent)
    assert answer.status_code == 200, answer.text
    return answer.json()


def made_earlier(database: Database, seconds: float) -> None:
    with database.write() as session:
        session.execute(update(Job).values(created_at=clock(-seconds)))


def test_how_long_ago_a_try_may_have_been_is_what_the_client_waits(
    client: TestClient, database: Database
) -> None:
    first = posted(client, "0")["id"]
    made_earlier(database, 300)
    patient = {"x-stainless-read-timeout": "600"}
    assert posted(client, "1", **patient)["id"] == first
    assert posted(client, "1", **{"x-stainless-read-timeout": "2.5"})["id"] != first


def test_a_job_that_is_found_again_is_told_as_it_was_made(client: TestClient) -> None:
    file = client.post("/v1/datasets?name=d.npz", content=arrays()).json()["id"]
    body = {**DIGITS, "training_file": file, "metadata": {"a": "b"}}
    made = posted(client, "0", body)
    client.patch(f"/v1/jobs/{made['id']}", json={"labels": {"c": "d"}})
    client.post(f"/v1/jobs/{made['id']}/cancel")
    assert client.delete(f"/v1/files/{file}").status_code == 200
    # A new job of this file would be refused by now.
    assert posted(client, "2", body) == made


@pytest.mark.parametrize("said", ["", "x", "-1", "1" * 30, "1e9"])
def test_a_try_that_is_no_number_makes_a_job(client: TestClient, said: str) -> None:
    assert posted(client, said)["id"] != posted(client, said)["id"]


def test_an_idempotency_key_counts_more(client: TestClient) -> None:
    key = {"Idempotency-Key": "mine"}
    first = posted(client, "0", **key)["id"]
    assert posted(client, "0", **key)["id"] == first
    assert posted(client, "1")["id"] != first
    other = client.post("/v1/fine_tuning/jobs", json={**DIGITS, "seed": 9}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_project_that_is_full_still_tells_what_it_has_made(client: TestClient) -> None:
    made = posted(client, "0")
    client.patch("/v1/projects/default", json={"max_waiting": 1})
    full = client.post("/v1/fine_tuning/jobs", json=DIGITS, headers={TRY: "0"})
    assert (full.status_code, full.json()["code"]) == (429, "project_full")
    assert posted(client, "1") == made
