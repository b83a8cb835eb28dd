"""A job that has told a million numbers: its page is given a part of them, and is as quick."""

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

KEYS = ("loss", "learning_rate", "loss/cross_entropy", "loss/kd")
REPORT = 10_000
STEPS = 250_000
MOST_POINTS = 1_000
"""Of each stage, on a page."""


def test_a_page_with_a_million_points_is_read_zoomed_and_answers(
    browser: Browser, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path, database_url=f"sqlite:///{tmp_path}/ledger.sqlite3")
    with Database(settings.database_url) as database:
        migrate(database)
        worker = StageWorker(database, open_store(settings), tmp_path / "files")
        with running(settings) as server, Client(server.url) as client:
            job_id = client.submit(SPEC)["id"]
            worker.begin()
            worker.start()
            for start in range(0, STEPS, REPORT):
                told = range(start + 1, start + REPORT + 1)
                columns: dict[str, list[float]] = {key: [1 / step for step in told] for key in KEYS}
                columns["loss"][REPORT // 2] = 7.0 + start / STEPS
                columns["step"] = [*told]
                worker.report(
                    {"type": "metrics", "stage": "student-0", "seed": 0, "columns": columns}
                )
            page = browser.new_page(base_url=server.url)
            sent: list[int] = []
            page.on(
                "requestfinished",
                lambda one: sent.append(one.sizes()["responseBodySize"]),
            )
            page.goto(f"/jobs/{job_id}", wait_until="commit")
            page.locator("#recipe summary").click()
            expect(page.locator("#recipe")).to_have_attribute("open", "")
            plots = page.locator("#plots")
            expect(plots.locator("canvas").first).to_be_visible()
            assert 100 < int(plots.get_attribute("data-points") or 0) <= 4 * MOST_POINTS
            assert sum(sent) < 1_000_000
            # What stands out is not thinned away.
            highest = page.evaluate(
                "fetch(plots.dataset.metrics + '?max_points=1000&keys=loss').then(a => a.json())"
                ".then(told => Math.max(...told.stages['student-0'].columns.loss))"
            )
            assert highest == pytest.approx(7.0 + (STEPS - REPORT) / STEPS)
            page.get_by_label("Log scale").check()
            expect(plots.locator("canvas").first).to_be_visible()
            page.close()
