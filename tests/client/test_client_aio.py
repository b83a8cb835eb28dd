"""The client for asyncio, against a real server: many at once, cancelled, cut off, sent again."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from bad_network import BadNetwork
from moody import Moody
from stand import SPEC, Server, Worker
from stillhouse import ApiError, AsyncClient, DigestMismatch, SpecError, WaitTimedOut
from waiting import wait_until

BIG = random.Random(7).randbytes(400_000)
WATCHES = 20


def held(client: AsyncClient) -> int:
    """Return how many connections are in use."""
    pool: Any = client._http._transport
    return sum(not one.is_idle() and not one.is_closed() for one in pool._pool.connections)


async def told(client: AsyncClient, job_id: str, **more: Any) -> list[tuple[int | None, str]]:
    events = [event async for event in client.watch(job_id, **more)]
    return [(event["seq"], event["type"]) for event in events if event["seq"] is not None]


def test_a_job_from_its_submission_to_its_files(
    server: Server, worker: Worker, tmp_path: Path
) -> None:
    async def journey() -> None:
        async with AsyncClient(server.url, patience_seconds=10) as client:
            job_id = (await client.submit(SPEC))["id"]
            other = (await client.clone(job_id, {"seeds": [1]}))["id"]
            listed = await client.list(limit=2)
            assert [job["id"] for job in listed["data"]] == [other, job_id]
            assert (await client.cancel(other))["status"] == "cancelled"
            assert (await client.wait(other))["status"] == "cancelled"
            assert (await client.retry(other))["status"] == "queued"
            assert (await client.pause(other))["status"] == "paused"

            claim = worker.take(job_id)
            columns = {"step": [1, 2], "loss": [0.5, 0.25]}
            metrics = {"type": "metrics", "stage": "student-0", "seed": 0, "columns": columns}
            worker.tell(claim, metrics)
            worker.deliver(claim, tmp_path, "report.md", b"# The report\n")
            worker.deliver(claim, tmp_path, "student.onnx", BIG)
            worker.succeed(claim)
            assert (await client.wait(job_id))["outcome"] == "beats"
            stages = (await client.metrics(job_id, keys=["loss"]))["stages"]
            assert stages["student-0"]["columns"]["loss"] == [0.5, 0.25]
            assert await client.report(job_id) == "# The report\n"
            assert (await client.report_json(job_id))["job"] == job_id
            assert (await client.attempts(job_id))[0]["status"] == "succeeded"
            assert len((await client.events(job_id))["data"]) >= 3
            compared = await client.compare([job_id, other])
            assert [row["pointer"] for row in compared["spec_diff"]] == ["/seeds"]
            assert {one["name"] for one in await client.methods()} >= {"kd", "dkd"}

            heights = list[int]()
            paths = await client.download(
                job_id, tmp_path / "out", received=lambda here, _: heights.append(here)
            )
            assert [path.name for path in paths] == ["report.md", "student.onnx"]
            assert (tmp_path / "out" / "student.onnx").read_bytes() == BIG
            assert heights[-1] == len(BIG)
            with pytest.raises(SpecError, match="has no file x"):
                await client.download(job_id, tmp_path, names=["x"])

    asyncio.run(journey())


def test_files_are_uploaded_and_sweeps_made(server: Server, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_bytes(b"a,b\n" + b"1,2\n" * 500)

    async def bring() -> None:
        async with AsyncClient(server.url) as client:
            made = await client.datasets.upload(table)
            assert made["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
            assert await client.datasets.upload(table) == made
            assert made in await client.datasets.list()
            await client.datasets.delete(made["id"])
            sweep = await client.sweeps.create({"spec": SPEC, "space": {"/seeds": [[0], [1]]}})
            assert sweep["trials"]["active"] == 2
            await client.sweeps.cancel(sweep["id"], mode="now")
            assert (await client.sweeps.wait(sweep["id"]))["status"] == "cancelled"
            assert all(one["ok"] for one in await client.operations.ready())
            assert (await client.access.me())["project"] == "default"

    asyncio.run(bring())


def test_twenty_watches_are_one_thread(server: Server, worker: Worker) -> None:
    async def watch_all() -> None:
        async with AsyncClient(server.url) as client:
            jobs = [(await client.submit(SPEC))["id"] for _ in range(WATCHES)]
            claims = [worker.take(job) for job in jobs]
            begun = asyncio.Event()
            waiting = set(jobs)

            async def follow(job: str) -> list[str]:
                story = list[str]()
                async for event in client.watch(job):
                    story.append(event["type"])
                    waiting.discard(job)
                    if not waiting:
                        begun.set()
                return story

            before = threading.active_count()
            tasks = [asyncio.create_task(follow(job)) for job in jobs]
            async with asyncio.timeout(30):
                await begun.wait()
                assert held(client) == WATCHES
                assert threading.active_count() == before
                for claim in claims:
                    worker.succeed(claim)
                stories = await asyncio.gather(*tasks)
            assert {story[-1] for story in stories} == {"job.succeeded"}
            assert {story[0] for story in stories} == {"job.queued"}
            assert held(client) == 0

    asyncio.run(watch_all())


@pytest.mark.parametrize("how", ["wait", "watch"])
def test_who_is_cancelled_lets_go_at_once_and_of_its_connection(server: Server, how: str) -> None:
    async def let_go() -> None:
        async with AsyncClient(server.url) as client:
            job_id = (await client.submit(SPEC))["id"]

            async def stay() -> object:
                return await client.wait(job_id) if how == "wait" else await told(client, job_id)

            task = asyncio.create_task(stay())
            await asyncio.to_thread(wait_until, lambda: held(client))
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 1
            assert held(client) == 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await stay()
            assert held(client) == 0
            assert (await client.get(job_id))["status"] == "queued", "the job goes on"

    asyncio.run(let_go())


def test_waiting_gives_up_when_it_was_told_to(server: Server) -> None:
    async def give_up() -> None:
        async with AsyncClient(server.url) as client:
            job_id = (await client.submit(SPEC))["id"]
            with pytest.raises(WaitTimedOut, match="still queued"):
                await client.wait(job_id, timeout_seconds=0.3)
            with pytest.raises(WaitTimedOut, match="still queued"):
                await told(client, job_id, timeout_seconds=0.3)

    asyncio.run(give_up())


def test_a_watch_that_is_left_in_the_middle_gives_its_connection_back(server: Server) -> None:
    async def leave() -> None:
        async with AsyncClient(server.url) as client:
            job_id = (await client.submit(SPEC))["id"]
            async with aclosing(client.watch(job_id)) as events:
                async for event in events:
                    assert event["type"] == "job.queued"
                    assert held(client) == 1
                    break
            assert held(client) == 0

    asyncio.run(leave())


def test_a_stream_that_is_cut_again_and_again_loses_and_repeats_nothing(
    server: Server, worker: Worker, bad_network: BadNetwork
) -> None:
    async def follow() -> None:
        async with AsyncClient(server.url) as direct:
            job_id = (await direct.submit(SPEC))["id"]
            claim = worker.take(job_id)
            for step in range(20):
                worker.tell(claim, {"type": "warning", "code": "test", "message": f"number {step}"})
            worker.succeed(claim)
            whole = await told(direct, job_id)
        bad_network.cut_after = 1500
        async with AsyncClient(bad_network.url, patience_seconds=10) as client:
            assert await told(client, job_id) == whole
        assert bad_network.connections > 2

    asyncio.run(follow())


def test_downloads_go_on_where_they_were_cut_and_flipped_bits_are_noticed(
    server: Server, worker: Worker, bad_network: BadNetwork, tmp_path: Path
) -> None:
    async def bring() -> None:
        async with AsyncClient(server.url) as direct:
            job_id = (await direct.submit(SPEC))["id"]
            claim = worker.take(job_id)
            worker.deliver(claim, tmp_path, "student.onnx", BIG)
            worker.succeed(claim)
        async with AsyncClient(bad_network.url, patience_seconds=10) as client:
            bad_network.cut_after = 90_000
            (path,) = await client.download(job_id, tmp_path / "cut")
            assert path.read_bytes() == BIG
            assert bad_network.connections >= 5
            bad_network.cut_after, bad_network.flip_at = None, 200_000
            with pytest.raises(DigestMismatch):
                await client.download(job_id, tmp_path / "flipped")
            assert list((tmp_path / "flipped").iterdir()) == []

    asyncio.run(bring())


def test_what_may_be_repeated_is_sent_again_under_one_key_and_nothing_else_is(
    moody: Moody,
) -> None:
    async def ask() -> None:
        async with AsyncClient(moody.url) as client:
            moody.answers = [(503, {}), (429, {"Retry-After": "1"})]
            began = time.monotonic()
            assert (await client.submit({"method": "kd"}))["id"] == "job_1"
            assert time.monotonic() - began >= 1
            assert len(moody.asked) == 3
            assert len({key for _, _, key in moody.asked} - {None}) == 1
            moody.asked.clear()
            moody.answers = [(503, {})]
            with pytest.raises(ApiError):
                await client.retry("job_1")
            assert len(moody.asked) == 1

    asyncio.run(ask())
