"""Server-sent events: parsing, and watching over a network that breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bad_network import BadNetwork
from stand import SPEC, Server, Worker
from stillhouse import ApiError, Client, Unreachable
from stillhouse.bodies import EventBody
from stillhouse.sse import Frame, Frames

STREAM = (
    b": hello\n\n"
    b"id: 1\nevent: job.queued\ndata: {}\n\n"
    b"retry: 3000\r\nid: 2\r\nevent: two\r\ndata: first\r\ndata: second\r\n\r\n"
    b"event: progress\rdata:no space\r\r"
    b"event: nothing\n\n"
    b'id: 3\nevent: odd\ndata: "a\xe2\x80\xa8b\x0bc"\n\n'
    b"id: 4\nevent: cut off\ndata: {}\n"
)
FRAMES = [
    Frame("job.queued", "{}", "1"),
    Frame("two", "first\nsecond", "2"),
    Frame("progress", "no space", None),
    Frame("odd", '"a\u2028b\x0bc"', "3"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames_are_the_same_however_the_bytes_come(size: int) -> None:
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    frames = Frames()
    assert [frame for piece in pieces for frame in frames.feed(piece)] == FRAMES


def _told(events: list[EventBody]) -> list[tuple[int | None, str]]:
    return [(event["seq"], event["type"]) for event in events if event["seq"] is not None]


def test_a_finished_job_is_told_from_beginning_to_end(client: Client, worker: Worker) -> None:
    job = client.submit(SPEC)
    claim = worker.take(job["id"])
    worker.tell(claim, {"type": "phase", "phase": "training"})
    worker.succeed(claim)
    told = _told(list(client.watch(job["id"])))
    assert [number for number, _ in told] == list(range(1, len(told) + 1))
    assert [kind for _, kind in told][:3] == ["job.queued", "attempt.started", "phase"]
    assert told[-1][1] == "job.succeeded"
    assert list(client.watch(job["id"], after=len(told))) == []
    assert _told(list(client.watch(job["id"], after=2))) == told[2:]


def test_progress_comes_between_the_events(client: Client, worker: Worker) -> None:
    job = client.submit(SPEC)
    claim = worker.take(job["id"])
    worker.tell(
        claim,
        {
            "type": "stage.progress",
            "stage": "teacher",
            "role": "teacher",
            "seed": 0,
            "step": 3,
            "total_steps": 5,
            "epoch": 1.5,
            "samples_per_second": 100.0,
            "eta_seconds": 1.0,
            "percent": 20.0,
            "run_eta_seconds": 4.0,
            "metrics": {"loss": 0.5},
        },
    )
    events = client.watch(job["id"])
    progress = next(event for event in events if event["type"] == "progress")
    assert progress["seq"] is None
    assert progress["data"]["percent"] == 20.0
    assert progress["data"]["eta_seconds"] == 4.0
    worker.succeed(claim)
    assert list(events)[-1]["type"] == "job.succeeded"


@pytest.mark.parametrize("cut_after", [1000, 1200, 1500, 1777])
def test_a_stream_that_is_cut_again_and_again_loses_and_repeats_nothing(
    server: Server, worker: Worker, bad_network: BadNetwork, cut_after: int
) -> None:
    with Client(server.url) as direct:
        job = direct.submit(SPEC)
        claim = worker.take(job["id"])
        for step in range(20):
            worker.tell(claim, {"type": "warning", "code": "test", "message": f"number {step}"})
        worker.succeed(claim)
        whole = _told(list(direct.watch(job["id"])))
    bad_network.cut_after = cut_after
    with Client(bad_network.url, patience_seconds=10) as client:
        assert _told(list(client.watch(job["id"]))) == whole
    assert bad_network.connections > 2


@pytest.mark.slow
def test_a_watch_survives_the_death_and_restart_of_the_server(
    own_server: Server, own_worker: Worker, tmp_path: Path
) -> None:
    with Client(own_server.url, patience_seconds=60) as client:
        job = client.submit(SPEC)
        claim = own_worker.take(job["id"])
        events = client.watch(job["id"])
        told = [next(events), next(events)]
        own_server.stop()
        own_worker.tell(claim, {"type": "warning", "code": "test", "message": "while it was away"})
        own_server.start()
        own_worker.deliver(claim, tmp_path, "report.md", b"# Report\n")
        own_worker.succeed(claim)
        told += list(events)
    numbers = [number for number, _ in _told(told)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert "while it was away" in json.dumps(told)
    assert told[-1]["type"] == "job.succeeded"


def test_a_job_that_is_not_there_ends_the_watch_at_once(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        next(client.watch("job_00000000000000000000000000"))
    assert caught.value.status == 404


def test_a_server_that_stays_away_ends_the_watch(bad_network: BadNetwork) -> None:
    bad_network.cut_after = 0
    with (
        Client(bad_network.url, patience_seconds=1) as client,
        pytest.raises(Unreachable),
    ):
        next(client.watch("job_00000000000000000000000000"))
