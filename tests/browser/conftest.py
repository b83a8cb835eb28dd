"""A real Chromium before the real house: an API process and a worker process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator

import numpy as np
import pytest
from opened import SHORT, OpenPage
from playwright.sync_api import Browser, Page, expect, sync_playwright
from running import running_house
from safetensors.numpy import save
from stillhouse import Client

from jobs.settings import Settings

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
]
WIDE = (1200, 900)


@pytest.fixture(scope="module")  # while it is there, no other test can run an event loop
def browser() -> Generator[Browser]:
    """Give a Chromium; `scripts/browser.sh` installs one on Debian."""
    path = os.environ.get("STILLHOUSE_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, _NAMES)), None
    )
    if path is None:
        pytest.skip("no Chromium on this machine: scripts/browser.sh installs one")
    expect.set_options(timeout=30_000)  # a trainer may have to start first
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Give a client of a house in operation, one for the tests of a module."""
    folder = tmp_path_factory.mktemp("house")
    allowed = {"STILLHOUSE_WEBHOOK_ALLOW": "127.0.0.1"}
    with running_house(Settings(data=folder / "data"), folder, **allowed) as client:
        yield client


@pytest.fixture
def open_page(browser: Browser, house: Client) -> Generator[OpenPage]:
    """Give a function that opens a page of the house in a browser window of its own.

    Afterwards nothing may stand in the console, and nothing may have been asked of another server.
    """
    contexts = []
    told: list[str] = []
    asked: set[str] = set()

    def opened(
        path: str, size: tuple[int, int] = WIDE, *, missing: bool = False, **options: object
    ) -> Page:
        width, height = size
        context = browser.new_context(
            base_url=house.url,
            viewport={"width": width, "height": height},
            accept_downloads=True,
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        if not missing:
            page.on("console", lambda one: told.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.add(request.url))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    # A dry run that is refused is how the form learns what is wrong.
    assert [one for one in told if "status of 422" not in one] == []
    assert {url for url in asked if not url.startswith((house.url, "data:", "blob:"))} == set()


@pytest.fixture(scope="module")
def finished(house: Client) -> str:
    """Give the id of a job that has succeeded."""
    job_id = house.submit(SHORT)["id"]
    assert house.wait(job_id, timeout_seconds=120)["status"] == "succeeded"
    return job_id


@pytest.fixture(scope="module")
def other(house: Client) -> str:
    """Give the id of another job that has succeeded, by another method."""
    job_id = house.submit({**SHORT, "name": "softer", "method": "dkd"})["id"]
    assert house.wait(job_id, timeout_seconds=120)["status"] == "succeeded"
    return job_id


@pytest.fixture(scope="module")
def told(house: Client) -> str:
    """Give the id of a webhook that a message was sent to."""
    made = house.webhooks.create("https://127.0.0.1:9443/builds", description="the build")
    house.webhooks.test(made["id"])
    return made["id"]


@pytest.fixture(scope="module")
def table(house: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the id of a dataset that a worker has looked at."""
    file = tmp_path_factory.mktemp("brought") / "customers.csv"
    rows = [f"{age},{['free', 'paid'][age % 2]},{age % 3 == 0}" for age in range(20, 60)]
    file.write_text("\n".join(["age,plan,churned", *rows, *rows[:1], "61,free"]) + "\n")
    input_id = house.datasets.upload(file)["id"]
    assert house.datasets.report(input_id, {"data": {"label": "churned"}})["state"] == "done"
    return input_id


@pytest.fixture(scope="module")
def weights(house: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the id of a model that a worker has looked at."""
    file = tmp_path_factory.mktemp("brought") / "student.safetensors"
    file.write_bytes(save({f"layers.{n}.weight": np.zeros((32, 64)) for n in range(4)}))
    input_id = house.models.upload(file)["id"]
    assert house.models.layers(input_id)["state"] == "done"
    return input_id


@pytest.fixture(scope="module")
def swept(house: Client) -> str:
    """Give the id of a sweep that has ended."""
    body = {
        "name": "widths",
        "spec": {**SHORT, "seeds": [0], "baseline": False},
        "space": {"/student/model/hidden": [[4], [8], [16]]},
        "objectives": ["student.accuracy", "parameters"],
    }
    sweep_id = house.sweeps.create(body)["id"]
    house.sweeps.wait(sweep_id, timeout_seconds=200)
    return sweep_id
