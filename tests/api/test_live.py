"""An open page of a job: told what has changed, once, however many look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from listening import STREAM, frames
from serving import SPEC, Server, running
from stage_worker import StageWorker
from waiting import wait_until

from api.pages.job_parts import LIVE
from api.screens import Drawing, Screen
from jobs.database import Database
from jobs.endings import Ending
from jobs.repository import Repository
from jobs.settings import Settings


class Page:
    """An open page, as the scripts of the site keep it."""

    def __init__(self, remote: httpx.Client, job_id: str) -> None:
        """Load the curves, as a page does at its start."""
        self._remote = remote
        self._metrics = f"/v1/jobs/{job_id}/metrics"
        self.parts: dict[str, str] = {}
        self.loads = 0
        self.is_over = False
        self.changed: list[set[str]] = []
        self._attempt: int | None = None
        self._load()

    def _load(self) -> None:
        self.loads += 1
        stages = self._remote.get(self._metrics).json()["stages"]
        self.curves = {name: dict(stage["columns"]) for name, stage in stages.items()}

    def _last(self, stage: str) -> int:
        return self.curves[stage]["step"][-1] if stage in self.curves else -1

    def take(self, frame: dict[str, str]) -> None:
        """Take in what the server sends."""
        match frame.get("event"):
            case "parts":
                told = json.loads(frame["data"])
                self.changed.append(set(told))
                self.parts |= told
            case "points":
                self._take_points(json.loads(frame["data"]))
            case "end":
                self.is_over = True
            case _:
                assert set(frame) == {"retry"}

    def _take_points(self, news: dict[str, Any]) -> None:
        is_new, self._attempt = news["attempt"] != self._attempt, news["attempt"]
        if is_new or any(self._last(stage) < step for stage, step in news["after"].items()):
            self._load()
            return
        for name, stage in news["stages"].items():
            mine = self.curves.setdefault(name, {"step": []})
            had, last = len(mine["step"]), self._last(name) if mine["step"] else -1
            rows = [row for row, step in enumerate(stage["columns"]["step"]) if step > last]
            for key in {*mine, *stage["columns"]}:
                column = stage["columns"].get(key)
                more = [column[row] if column else None for row in rows]
                mine[key] = mine.get(key, [None] * had) + more


@contextmanager
def opened(remote: httpx.Client, job_id: str) -> Iterator[tuple[Page, Iterator[dict[str, str]]]]:
    """Open a job's page, and hear all that stands at its start."""
    with remote.stream("GET", f"/jobs/{job_id}/live", headers=STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        heard = frames(response)
        page = Page(remote, job_id)
        while page._attempt is None:
            page.take(next(heard))
        yield page, heard


def until(page: Page, heard: Iterator[dict[str, str]], words: str) -> None:
    """Go on until some part has these words."""
    while not any(words in part for part in page.parts.values()):
        page.take(next(heard))


def posted(remote: httpx.Client) -> str:
    return str(remote.post("/v1/jobs", json=SPEC).json()["id"])


def test_a_page_ends_as_one_that_is_loaded_then_and_its_curves_as_the_ledger_has_them(
    remote: httpx.Client, remote_worker: StageWorker
) -> None:
    job_id = posted(remote)
    with opened(remote, job_id) as (page, heard):
        assert set(page.parts) == set(LIVE)
        assert "Waiting for a worker" in page.parts["head"]
        remote_worker.begin()
        remote_worker.start()
        remote_worker.train(0, until=0.5)
        until(page, heard, "150 of 300")
        page.changed.clear()
        remote_worker.train(1, until=0.5)
        until(page, heard, "300 of 600")
        assert {"files", "verdict", "quality"}.isdisjoint(*page.changed)
        loads = page.loads
        remote_worker.train(2)
        until(page, heard, "600 of 600")
        remote_worker.succeed([remote_worker.deliver("report.md", b"#")])
        for frame in heard:
            page.take(frame)
    assert page.is_over
    assert page.loads == loads, "what was told is not asked for again"
    whole = remote.get(f"/jobs/{job_id}").text
    for name in ("verdict", "files", "stages", "story"):
        assert page.parts[name].strip() in whole
    told = remote.get(f"/v1/jobs/{job_id}/metrics").json()["stages"]
    assert page.curves == {name: stage["columns"] for name, stage in told.items()}


def test_a_new_attempt_tells_its_curves_again(
    remote: httpx.Client, remote_worker: StageWorker, server_database: Database
) -> None:
    job_id = posted(remote)
    remote_worker.begin()
    remote_worker.start()
    remote_worker.train(0, until=0.5)
    with opened(remote, job_id) as (page, heard):
        assert page.curves["teacher"]["step"][-1] == 150
        with server_database.write() as session:
            lost = Ending("lost")
            Repository(session).release(job_id, 1, lost, counted=False, retry_seconds=0)
        remote_worker.begin()
        remote_worker.start()
        remote_worker.train(0, until=0.1)
        until(page, heard, "30 of 300")
        while page._attempt != 2 or page.curves["teacher"]["step"][-1] != 30:
            page.take(next(heard))
        remote_worker.train(1, until=0.1)
        until(page, heard, "60 of 600")
        told = remote.get(f"/v1/jobs/{job_id}/metrics").json()["stages"]
        assert page.curves == {name: stage["columns"] for name, stage in told.items()}


def test_many_who_look_at_a_job_are_shown_the_same(
    server: Server, remote: httpx.Client, remote_worker: StageWorker
) -> None:
    job_id = posted(remote)
    remote_worker.begin()
    remote_worker.start()

    def look() -> Page:
        with httpx.Client(base_url=server.url, timeout=60) as own:
            with opened(own, job_id) as (page, heard):
                came.append(job_id)
                for frame in heard:
                    page.take(frame)
            return page

    came: list[str] = []
    with ThreadPoolExecutor(20) as threads:
        looking = [threads.submit(look) for _ in range(20)]
        wait_until(lambda: len(came) == 20)
        for place in range(3):
            remote_worker.train(place)
        remote_worker.succeed()
        pages = [one.result() for one in looking]
    assert all(page.is_over for page in pages)
    assert all(page.parts == pages[0].parts for page in pages)
    assert all(page.curves == pages[0].curves for page in pages)


def test_a_job_that_has_ended_or_never_was_has_nothing_to_show(
    remote: httpx.Client, remote_worker: StageWorker
) -> None:
    job_id = posted(remote)
    remote_worker.play({})
    assert remote.get(f"/jobs/{job_id}/live", headers=STREAM).status_code == 204
    missing = f"/jobs/job_{'0' * 26}/live"
    assert remote.get(missing, headers=STREAM).status_code == 404


def test_a_page_of_a_job_that_is_deleted_ends(remote: httpx.Client) -> None:
    job_id = posted(remote)
    with opened(remote, job_id) as (page, heard):
        remote.post(f"/v1/jobs/{job_id}/cancel")
        assert remote.delete(f"/v1/jobs/{job_id}").status_code == 204
        for frame in heard:
            page.take(frame)
    assert page.is_over


def test_a_page_shows_nothing_more_to_a_key_that_was_revoked(tmp_path: Path) -> None:
    with (
        running(Settings(data=tmp_path)) as server,
        httpx.Client(base_url=server.url, timeout=60) as remote,
    ):
        owner = remote.post("/v1/keys", json={"name": "owner", "scope": "admin"}).json()
        remote.headers["Authorization"] = f"Bearer {owner['key']}"
        job_id = posted(remote)
        key = remote.post("/v1/keys", json={"name": "reader", "scope": "read"}).json()
        with httpx.Client(base_url=server.url, timeout=60) as guest:
            guest.headers["Authorization"] = f"Bearer {key['key']}"
            with opened(guest, job_id) as (page, heard):
                remote.delete(f"/v1/keys/{key['id']}")
                remote.patch(f"/v1/jobs/{job_id}", json={"name": "secret"})
                for frame in heard:
                    page.take(frame)
            assert not page.is_over
            assert "secret" not in page.parts["head"]


def test_who_falls_behind_is_shown_everything_anew() -> None:
    def drawn(number: int) -> Drawing:
        parts = {"head": f"<p>{number}</p>", "story": "<p>same</p>"}
        return Drawing(parts, news=f'{{"number": {number}}}', place='{"place": 0}')

    screen = Screen(lambda: drawn(0), drawn(0))
    for number in range(1, 40):
        screen.show(drawn(number))
    (first, second) = screen.since(37), screen.since(0)
    assert first.count(b"event: parts") == first.count(b"event: points") == 2
    assert b"same" not in first
    assert second == screen.whole()
    assert b"<p>39</p>" in second
    assert b"same" in second
    assert b'"place"' in second


@pytest.fixture
def server_database(server: Server) -> Iterator[Database]:
    """Give the ledger of the server."""
    with Database(server.settings.database_url) as database:
        yield database
