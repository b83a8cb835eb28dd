"""Webhooks by hand: made in a form, tried by a button, told again, given a new secret."""

from __future__ import annotations

import re

import pytest
from hook_server import Hook, answering
from opened import OpenPage
from playwright.sync_api import expect
from stillhouse import Client

pytestmark = pytest.mark.slow


def test_a_webhook_is_made_and_tried_out(
    open_page: OpenPage, house: Client, receiver: Hook
) -> None:
    page = open_page("/webhooks")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_label("What it is for").fill("the build")
    page.get_by_label("job.gates_missed").check()
    page.get_by_role("button", name="Create").click()
    secret = page.locator("#secret").inner_text()
    page.get_by_role("link", name="It is kept").click()
    expect(page.locator("#secret")).to_have_count(0)
    receiver.answer = answering(503)
    page.get_by_role("button", name="Send a test").click()
    row = page.locator("#deliveries tbody tr").first
    expect(row).to_contain_text("503")
    receiver.answer = answering(204)
    row.get_by_role("button", name="Send webhook.test").click()
    expect(row.locator(".pill")).to_have_text("delivered")
    assert receiver.got[-1].verified(secret)["type"] == "webhook.test"
    page.get_by_text("A new secret", exact=True).click()
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.locator("#secret")).to_have_text(re.compile("whsec_"))
    assert page.locator("#secret").inner_text() != secret
    page.get_by_role("link", name="It is kept").click()
    page.get_by_text("Delete it", exact=True).click()
    page.get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/webhooks")
    assert [*house.webhooks.list()] == []
