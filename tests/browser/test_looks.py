"""How every page looks: to screen readers, on a telephone, in the dark; and pictures of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from opened import OpenPage
from playwright.sync_api import Page, expect
from running import ROOT
from waiting import wait_until

pytestmark = pytest.mark.slow

PHONE = {"width": 360, "height": 740}
BREADTH = "document.documentElement.scrollWidth"
GROUND = "getComputedStyle(document.body).backgroundColor"
GROUNDS = {"light": "rgb(251, 250, 247)", "dark": "rgb(20, 24, 27)"}
PAGES = {
    "board": "/",
    "job": "/jobs/{job}",
    "new": "/new?from={job}",
    "compare": "/compare?id={job}&id={other}",
    "tradeoff": "/tradeoff",
    "sweeps": "/sweeps",
    "sweep": "/sweeps/{sweep}",
    "datasets": "/datasets",
    "models": "/models",
    "dataset": "/datasets/{table}?label=churned",
    "model": "/models/{weights}",
    "methods": "/methods",
    "method": "/methods/methods/dkd",
    "workers": "/workers",
    "webhooks": "/webhooks",
    "webhook": "/webhooks/{hook}",
    "login": "/login",
    "problem": "/jobs/job_none",
}
PICTURES = os.environ.get("STILLHOUSE_PICTURES")
"""A folder that pictures of the pages are put into, where one is named."""
SHOWN = re.findall(r"images/(\w+)\.png", (ROOT / "docs" / "dashboard.md").read_text())
"""Pages whose picture stands in the docs."""


def settled(page: Page, name: str) -> None:
    """Wait until scripts have drawn what they draw."""
    if name == "job":
        expect(page.locator("#plots canvas").first).to_be_visible()
    if name == "new":
        expect(page.locator("#checked")).to_contain_text("It would be accepted")
    if name in {"dataset", "model"}:
        expect(page.locator("#look table").first).to_be_visible()


@pytest.fixture
def look(  # noqa: PLR0913, PLR0917  # one of everything that has a page
    open_page: OpenPage,
    finished: str,
    other: str,
    swept: str,
    table: str,
    weights: str,
    told: str,
) -> Callable[..., Page]:
    """Give a function that opens one of the pages."""
    ids = {"job": finished, "other": other, "sweep": swept, "hook": told}
    ids |= {"table": table, "weights": weights}

    def looked(name: str, **options: Any) -> Page:
        page = open_page(
            PAGES[name].format(**ids),
            missing=name == "problem",
            **options,
        )
        settled(page, name)
        return page

    return looked


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody_by_day_by_night_and_on_a_telephone(
    look: Callable[..., Page], name: str
) -> None:
    page = look(name)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(GROUND) == GROUNDS[scheme]
        assert serious_faults(page) == []
        if PICTURES and scheme == "light" and name in SHOWN:
            path = Path(PICTURES) / f"{name}.png"
            page.screenshot(path=path, animations="disabled", full_page=name != "methods")
    page.set_viewport_size(PHONE)
    # Curves are drawn anew in the frame after they have become narrower.
    wait_until(lambda: page.evaluate(BREADTH) <= PHONE["width"], seconds=10)
    beyond = "one => one.offsetParent && one.getBoundingClientRect().right > innerWidth + 1"
    controls = "[...document.querySelectorAll('button, .button, input, select')]"
    assert page.evaluate(f"{controls}.filter({beyond}).map(one => one.outerHTML)") == []


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """Return what axe finds, and where."""
    return [
        (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
        for one in Axe().run(page).response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
