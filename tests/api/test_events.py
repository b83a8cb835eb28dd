"""A job's story: pages, and streams that are cut and resumed without loss or repetition."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from listening import STREAM, frames
from serving import Server, running
from stage_worker import PLAN, StageWorker
from waiting import wait_until

from jobs.settings import Settings

SPEC = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}
Submit = Callable[..., str]


def test_events_are_read_page_by_page(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}/events"
    worker.play({})
    seen: list[dict[str, Any]] = []
    after = "0"
    while True:
        page = client.get(path, params={"after": after, "limit": 7}).json()
        seen += page["data"]
        after = page["next_cursor"]
        assert page["terminal"] is not page["has_more"]
        if not page["has_more"]:
            break
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert (seen[0]["type"], seen[-1]["type"]) == ("job.queued", "job.succeeded")
    assert {event["attempt"] for event in seen} == {None, 1}
    empty = client.get(path, params={"after": after}).json()
    assert (empty["data"], empty["next_cursor"], empty["terminal"]) == ([], after, True)


def test_a_stream_tells_what_the_pages_tell_and_then_ends(
    remote: httpx.Client, remote_worker: StageWorker
) -> None:
    path = remote.post("/v1/jobs", json=SPEC).headers["location"] + "/events"
    playing = threading.Thread(target=remote_worker.play, args=({},))
    with remote.stream("GET", path, headers=STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        playing.start()
        told = list(frames(response))
    playing.join()
    numbered = [frame for frame in told if "id" in frame]
    pages = remote.get(path, params={"limit": 1000}).json()["data"]
    assert [json.loads(frame["data"]) for frame in numbered] == pages
    assert [frame["event"] for frame in numbered] == [event["type"] for event in pages]
    progress = [json.loads(f["data"]) for f in told if f.get("event") == "progress"]
    assert progress
    assert told[-1]["event"] == "end"
    assert json.loads(told[-1]["data"]) == {"status": "succeeded", "terminal": True}


@pytest.mark.parametrize("how", ["header", "query"])
def test_a_stream_cut_again_and_again_loses_and_repeats_nothing(
    remote: httpx.Client, remote_worker: StageWorker, how: str
) -> None:
    path = remote.post("/v1/jobs", json=SPEC).headers["location"] + "/events"
    playing = threading.Thread(target=remote_worker.play, args=({},))
    playing.start()
    seen: list[int] = []
    ended = False
    while not ended:
        last = str(seen[-1]) if seen else "0"
        headers = STREAM | ({"Last-Event-ID": last} if how == "header" else {})
        params = {} if how == "header" else {"after": last}
        taken = 0
        with remote.stream("GET", path, headers=headers, params=params) as response:
            if response.status_code == 204:
                break
            for frame in frames(response):
                ended = frame.get("event") == "end"
                if "id" in frame:
                    seen.append(int(frame["id"]))
                    taken += 1
                if taken == 5:
                    break
    playing.join()
    last_seq = remote.get(path, params={"limit": 1000}).json()["data"][-1]["seq"]
    assert seen == list(range(1, last_seq + 1))


def test_an_ended_job_with_nothing_left_is_204(
    remote: httpx.Client, remote_worker: StageWorker
) -> None:
    path = remote.post("/v1/jobs", json=SPEC).headers["location"] + "/events"
    remote_worker.play({})
    last = remote.get(path, params={"limit": 1000}).json()["data"][-1]["seq"]
    for told in (str(last), str(last + 1), "9" * 18):
        assert remote.get(path, headers=STREAM | {"Last-Event-ID": told}).status_code == 204
    tail = remote.get(path, headers=STREAM | {"Last-Event-ID": str(last - 1)})
    assert [f["event"] for f in frames(tail) if "event" in f] == [
        "job.succeeded",
        "progress",
        "end",
    ]


def test_an_event_number_that_cannot_be_replays_everything(remote: httpx.Client) -> None:
    path = remote.post("/v1/jobs", json=SPEC).headers["location"] + "/events"
    for told in ("999999", "nonsense", "-1", "", "9" * 5000):
        with remote.stream("GET", path, headers=STREAM | {"Last-Event-ID": told}) as response:
            assert next(frame for frame in frames(response) if "id" in frame)["id"] == "1"


def test_a_client_that_never_reads_disturbs_nobody(
    server: Server, remote: httpx.Client, remote_worker: StageWorker
) -> None:
    path = remote.post("/v1/jobs", json=SPEC).headers["location"] + "/events"
    address = urlsplit(server.url)
    assert address.hostname is not None
    remote_worker.begin()
    remote_worker.start()
    big = "x" * 30_000
    for _ in range(100):
        remote_worker.report({"type": "warning", "code": "big", "message": big})
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect((address.hostname, address.port))
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        silent.sendall(request.encode())
        wait_until(lambda: _open_streams(remote) == 1)
        with remote.stream("GET", path, headers=STREAM) as response:
            numbers = [int(f["id"]) for _, f in zip(range(100), frames(response)) if "id" in f]  # noqa: B905
            assert numbers[:90] == list(range(1, 91))
        started = time.monotonic()
        assert remote.get("/livez").status_code == 200
        assert time.monotonic() - started < 2
    # Both clients are gone now, and the server notices without sending anything.
    wait_until(lambda: _open_streams(remote) == 0, seconds=10)


def _open_streams(remote: httpx.Client) -> int:
    lines = remote.get("/metrics").text.splitlines()
    return int(
        float(next(x for x in lines if x.startswith("stillhouse_event_streams ")).split()[1])
    )


def test_many_listeners_of_one_job_all_hear_all(
    server: Server, remote: httpx.Client, remote_worker: StageWorker
) -> None:
    path = remote.post("/v1/jobs", json=SPEC).headers["location"] + "/events"
    heard: list[list[int]] = []

    def listen() -> None:
        with (
            httpx.Client(base_url=server.url, timeout=30) as own,
            own.stream("GET", path, headers=STREAM) as response,
        ):
            heard.append([int(f["id"]) for f in frames(response) if "id" in f])

    listeners = [threading.Thread(target=listen) for _ in range(20)]
    for listener in listeners:
        listener.start()
    remote_worker.play({})
    for listener in listeners:
        listener.join(timeout=30)
    assert len(heard) == 20
    assert all(numbers == list(range(1, len(heard[0]) + 1)) for numbers in heard)


def test_a_stream_tells_nothing_more_to_a_key_that_was_revoked(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with running(settings) as server, httpx.Client(base_url=server.url, timeout=30) as remote:
        path = remote.post("/v1/jobs", json=SPEC).headers["location"]
        with remote.stream("GET", f"{path}/events", headers=STREAM) as open_house:
            before = frames(open_house)
            assert next(frame for frame in before if "id" in frame)["event"] == "job.queued"
            owner = remote.post("/v1/keys", json={"name": "owner", "scope": "admin"}).json()
            remote.headers["Authorization"] = f"Bearer {owner['key']}"
            reader = remote.post("/v1/keys", json={"name": "reader", "scope": "read"}).json()
            shown = {"Authorization": f"Bearer {reader['key']}"}
            with remote.stream("GET", f"{path}/events", headers=STREAM | shown) as response:
                told = frames(response)
                assert next(frame for frame in told if "id" in frame)["event"] == "job.queued"
                remote.delete(f"/v1/keys/{reader['id']}").raise_for_status()
                # Asked for by another connection, and too late for both.
                wait_until(lambda: remote.get("/v1/me", headers=shown).status_code == 401)
                remote.post(f"{path}/cancel").raise_for_status()
                assert [frame for frame in told if "id" in frame] == []
                # A house that has got its first key asks everybody for one.
                assert [frame for frame in before if "id" in frame] == []


def test_a_stopped_server_ends_its_streams_and_exits_at_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with running(settings) as server, httpx.Client(base_url=server.url, timeout=20) as remote:
        path = remote.post("/v1/jobs", json=SPEC).headers["location"] + "/events"
        with remote.stream("GET", path, headers=STREAM) as response:
            told = frames(response)
            assert next(frame for frame in told if "id" in frame)["id"] == "1"
            started = time.monotonic()
            server.process.terminate()
            assert list(told) == []
        assert server.process.wait(timeout=10) == 0
        assert time.monotonic() - started < 4


def test_metrics_are_columns_that_can_be_picked_and_thinned(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}/metrics"
    worker.play({})
    body = client.get(path).json()
    assert list(body["stages"]) == [name for name, *_ in PLAN]
    teacher = body["stages"]["teacher"]
    assert (teacher["role"], teacher["seed"]) == ("teacher", 0)
    assert set(teacher["columns"]) == {"step", "loss", "learning_rate", "validation/accuracy"}
    assert len({len(column) for column in teacher["columns"].values()}) == 1
    assert None in teacher["columns"]["validation/accuracy"]
    assert body["points"] == 30 + 9 * 60
    assert body["downsampled"] is False
    thin = client.get(path, params={"keys": "loss,nope", "max_points": 10}).json()
    assert set(thin["stages"]["student-0"]["columns"]) == {"step", "loss"}
    assert len(thin["stages"]["student-0"]["columns"]["step"]) <= 10
    assert thin["downsampled"] is True
    assert max(thin["stages"]["teacher"]["columns"]["loss"]) == max(teacher["columns"]["loss"])
