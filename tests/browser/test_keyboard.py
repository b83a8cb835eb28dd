"""The dashboard by keys alone: what is reached by Tab, and does what it says by Enter and Space."""

from __future__ import annotations

import pytest
from opened import LONG, OpenPage
from playwright.sync_api import Locator, Page, expect
from stillhouse import Client

pytestmark = pytest.mark.slow

MOST_TABS = 150
HAS_FOCUS = "element => element === document.activeElement"


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until something has the focus; it can be seen that it has."""
    wanted.wait_for()
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        # The element may have been drawn anew meanwhile.
        if wanted.count() and wanted.first.evaluate(HAS_FOCUS):
            assert wanted.first.evaluate("element => element.matches(':focus-visible')")
            return
    pytest.fail(f"{MOST_TABS} times Tab did not lead to {wanted}")


def test_a_job_is_submitted_paused_resumed_and_cancelled(
    open_page: OpenPage, house: Client
) -> None:
    pattern = house.submit({**LONG, "name": "a pattern"})["id"]
    house.cancel(pattern)
    page = open_page("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    page.goto(f"/new?from={pattern}")
    expect(page.locator("#checked")).to_contain_text("It would be accepted")
    tab_to(page, page.get_by_label("Name", exact=True))
    page.keyboard.press("Control+A")
    page.keyboard.type("by keys alone")
    expect(page.locator("#submit")).to_be_enabled()
    tab_to(page, page.locator("#submit"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/job_*")
    expect(page.locator("h1")).to_contain_text("by keys alone")
    expect(page.locator(".pill").first).to_contain_text("running")
    for verb, state in (("#pause", "paused"), ("#resume", "running"), ("#cancel", "cancelled")):
        tab_to(page, page.locator(verb))
        page.keyboard.press("Enter")
        expect(page.locator(".pill").first).to_contain_text(state)


def test_two_jobs_are_ticked_and_compared(open_page: OpenPage, finished: str, other: str) -> None:
    page = open_page("/")
    for job_id in (other, finished):
        tick = page.locator(f"#tick-{job_id}")
        tab_to(page, tick)
        page.keyboard.press("Space")
        expect(tick).to_be_checked()
    compare = page.locator("#compare")
    compare.focus()  # it stands in front of the list: backwards by Shift+Tab
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare?*")
    assert {f"id={finished}", f"id={other}"} <= set(page.url.partition("?")[2].split("&"))
    expect(page.locator("main")).to_contain_text("softer")
