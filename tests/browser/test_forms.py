"""The form of a new job in a real browser: clones, axes, the same request for other programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from opened import OpenPage
from playwright.sync_api import Browser, Page, expect
from running import ROOT
from serving import SPEC, Server, running
from stillhouse import Client

from jobs.database import Database, migrate
from jobs.keys import Scope
from jobs.repository import Repository
from jobs.settings import Settings

pytestmark = pytest.mark.slow

ACCEPTED = "It would be accepted"
YAML = 'name: "it\'s \\"mine\\"\\u2026"\nteacher: mlp\nstudent: mlp\ndata: digits\n'


def test_a_clone_that_was_edited_names_the_job_it_is_from(
    open_page: OpenPage, house: Client
) -> None:
    source = house.submit({**SPEC, "name": "the first", "priority": 0})["id"]
    page = open_page(f"/new?from={source}")
    expect(page.locator("#checked")).to_contain_text(ACCEPTED)
    page.get_by_label("Name", exact=True).fill("the second")
    expect(page.locator("#submit")).to_be_enabled()
    page.locator("#submit").click()
    page.wait_for_url("**/jobs/job_*")
    made = page.url.rpartition("/")[2]
    told = house.get(made)
    assert (told["name"], told["cloned_from"]) == ("the second", source)
    for job_id in (source, made):
        house.cancel(job_id)


def test_every_axis_can_be_chosen_from_its_schema(open_page: OpenPage) -> None:
    page = open_page("/new")
    expect(page.locator("#checked")).to_contain_text(ACCEPTED)
    page.locator("#f-method-entry").select_option("")
    page.locator("#axes > summary").click()
    page.locator("#f-objective-0-entry").select_option("cross_entropy")
    page.locator("#f-objective-1-entry").select_option("kd")
    page.locator("#f-objectives-1-weight").fill("0.9")
    page.locator("#f-temperature-entry").select_option("fixed")
    page.locator("#f-temperature-value").fill("2")
    page.locator("#f-path-entry").select_option("takd")
    spec = json.loads(page.locator("#spec").input_value())
    for part, written in {
        "objectives": ["cross_entropy", {"name": "kd", "weight": 0.9}],
        "temperature": {"name": "fixed", "value": 2},
        "path": "takd",
    }.items():
        assert spec[part] == written
    assert "method" not in spec
    page.locator("#f-path-entry").select_option("")
    page.locator("#f-objective-0-entry").select_option("")
    expect(page.locator("#f-objective-0-entry")).to_have_value("kd")
    expect(page.locator("#f-objectives-0-weight")).to_have_value("0.9")
    expect(page.locator("#checked")).to_contain_text(ACCEPTED)
    page.locator("#f-temperature-value").fill("-2")
    expect(page.locator("#axes .wrong")).to_contain_text("greater than or equal to")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Server, str]]:
    """Give a server that asks for keys, and a key."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = Settings(data=folder, database_url=f"sqlite:///{folder}/ledger.sqlite3")
    with Database(settings.database_url) as database:
        migrate(database)
        with database.write() as session:
            _, made = Repository(session).add_key("me", Scope.WRITE, project="default")
    with running(settings) as server:
        yield server, made.text


@pytest.fixture
def form(browser: Browser, guarded: tuple[Server, str]) -> Generator[Page]:
    """Give the form of a server that asks for keys, signed in."""
    server, key = guarded
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/new?method=dkd")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/new?method=dkd")
    expect(page.locator("#checked")).to_contain_text(ACCEPTED)
    yield page
    context.close()


@pytest.mark.parametrize("way", ["curl", "Command line", "Python"])
@pytest.mark.parametrize("text", [None, YAML], ids=["json", "yaml"])
def test_what_stands_beside_the_form_can_be_run_as_it_is(
    form: Page, guarded: tuple[Server, str], tmp_path: Path, way: str, text: str | None
) -> None:
    server, key = guarded
    if text is not None:
        form.locator("#spec").fill(text)
    form.get_by_role("button", name=way).click()
    shown = form.locator("#elsewhere")
    expect(shown).to_contain_text("STILLHOUSE_API_KEY")
    expect(shown).to_contain_text("digits" if text is None else "mine")
    written = shown.inner_text().replace("stillhouse ", f"{sys.executable} -m stillhouse ")
    # Nobody works here: it is enough that the job is there.
    written = written.replace(" --watch", "").replace('client.wait(job["id"])', "job")
    command = [sys.executable, "-c"] if way == "Python" else ["bash", "-ec"]
    if way == "Python":
        written = shown.inner_text().replace('client.wait(job["id"])', "job")
    path = f"{ROOT}:{ROOT / 'client'}"
    done = subprocess.run(
        [*command, written],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "STILLHOUSE_API_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Client(server.url, api_key=key) as client:
        told = client.get(client.list(limit=1)["data"][0]["id"])
        assert told["status"] == "queued"
        assert told["name"] == ('it\'s "mine"…' if text else told["spec"]["name"])
        assert bool(text) == ("method" not in told["spec"])


def test_copy_says_what_to_do_where_the_browser_has_no_clipboard(form: Page) -> None:
    form.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    form.get_by_role("button", name="Copy").click()
    expect(form.locator("#copied")).to_contain_text("Ctrl+C")
    assert form.evaluate("getSelection().toString()").strip().startswith("# STILLHOUSE_API_KEY")
    form.context.grant_permissions(["clipboard-read", "clipboard-write"])
    form.reload()
    expect(form.locator("#elsewhere")).to_contain_text("curl")
    form.get_by_role("button", name="Copy").click()
    expect(form.locator("#copied")).to_have_text("Copied.")


def test_deleting_many_is_asked_for_twice(open_page: OpenPage, house: Client) -> None:
    ids = [
        house.submit({**SPEC, "name": f"gone {place}", "resources": {"queue": "nowhere"}})["id"]
        for place in range(2)
    ]
    page = open_page("/?q=gone")
    expect(page.locator(".why").first).to_contain_text("waits for a worker of queue nowhere")
    for job_id in ids:
        page.locator(f"#tick-{job_id}").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete 2 jobs?")
    page.get_by_role("link", name="Keep them").click()
    expect(page.locator(f"#tick-{ids[0]}")).to_be_visible()
    for job_id in ids:
        page.locator(f"#tick-{job_id}").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete them").click()
    expect(page.get_by_role("status")).to_contain_text("2 jobs deleted.")
    assert "q=gone" in page.url
