"""A page that stays open while its server goes away and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from serving import SPEC, running
from stage_worker import StageWorker
from stillhouse import Client

from jobs.database import Database, migrate
from jobs.settings import Settings
from jobs.stores import open_store

pytestmark = pytest.mark.slow


def test_nothing_is_lost_or_told_twice_when_the_server_restarts_under_an_open_page(
    browser: Browser, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path, database_url=f"sqlite:///{tmp_path}/ledger.sqlite3")
    with Database(settings.database_url) as database:
        migrate(database)
        worker = StageWorker(database, open_store(settings), tmp_path / "files")
        with running(settings) as server:
            with Client(server.url) as client:
                job_id = client.submit(SPEC)["id"]
            port = server.url.rpartition(":")[2]
            worker.begin()
            worker.start()
            worker.train(0, until=0.5)
            page = browser.new_context().new_page()
            faults: list[str] = []
            asked: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"{server.url}/jobs/{job_id}")
            page.evaluate("window.isTheSamePage = true")
            stages = page.locator("#stages tbody tr")
            expect(stages.first).to_contain_text("150 of 300")
            drawn = page.locator("#plots")
            expect(drawn).to_have_attribute("data-points", "15")
        worker.train(1, until=0.25)  # while nobody answers
        with running(settings, "--port", port):
            expect(drawn).to_have_attribute("data-points", "30", timeout=30_000)
            worker.train(2)
            expect(stages.nth(2)).to_contain_text("done", timeout=30_000)
            worker.succeed()
            expect(page.locator(".pill").first).to_contain_text("succeeded")
            assert page.evaluate("window.isTheSamePage")
            page.locator("#earlier summary").click()
            told = [one.inner_text() for one in page.locator(".story li span").all()]
            assert told.count("Attempt 1 started on stage-worker") == 1
            assert told.count("Succeeded") == 1
            assert len([one for one in told if "baseline-0 finished" in one]) == 1
            page.context.close()
        assert faults == []
        assert {url for url in asked if not url.startswith((server.url, "data:"))} == set()
