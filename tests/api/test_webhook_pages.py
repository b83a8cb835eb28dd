"""Webhooks in the dashboard: made, tried out, told again, given new secrets, deleted."""

from __future__ import annotations

import re
from typing import Any

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from hook_server import Hook, answering
from waiting import wait_until

from jobs import rounds
from jobs.settings import Settings

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
SECRET = re.compile(r'<code id="secret">(whsec_[^<]+)</code>')


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give settings by which messages may go to this machine, and are soon looked for."""
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.1)
    return settings.model_copy(update={"webhook_allow": "127.0.0.1"})


def post(client: TestClient, path: str, **fields: Any) -> Any:
    return client.post(path, data=fields, headers=FORM)


def test_a_webhook_is_made_tried_out_and_told_again(client: TestClient, receiver: Hook) -> None:
    receiver.answer = answering(500)
    made = post(
        client,
        "/webhooks",
        url=receiver.url,
        description="the <b>build</b>",
        labels="stage=prod team=a",
        events=["job.failed", "job.gates_missed"],
        format="cloudevents",
    )
    assert made.status_code == 200, made.text
    assert "the &lt;b&gt;build&lt;/b&gt;" in made.text
    found = SECRET.search(made.text)
    assert found is not None
    (webhook,) = client.get("/v1/webhooks").json()["data"]
    assert (webhook["events"], webhook["labels"], webhook["format"]) == (
        ["job.failed", "job.gates_missed"],
        {"stage": "prod", "team": "a"},
        "cloudevents",
    )
    here = f"/webhooks/{webhook['id']}"
    shown = post(client, f"{here}/test")  # it leads back to the page
    assert shown.url.path == here
    assert found[1] not in shown.text
    failed = wait_until(lambda: "500" in (now := client.get(here).text) and now)
    again = re.search(rf'action="({here}/deliveries/msg_\w+/redeliver)"', failed)
    assert again is not None
    receiver.answer = answering(204)
    post(client, again[1])
    wait_until(lambda: ">delivered<" in client.get(here).text)
    first, second = receiver.got
    assert first.id == second.id
    assert second.verified(found[1])["id"] == webhook["id"]


@pytest.mark.parametrize(("fields", "overlaps"), [({}, True), ({"leaked": "on"}, False)])
def test_a_new_secret_signs_beside_the_old_one_unless_that_has_leaked(
    client: TestClient, receiver: Hook, fields: dict[str, str], overlaps: bool
) -> None:
    made = client.post("/v1/webhooks", json={"url": receiver.url}).json()
    here = f"/webhooks/{made['id']}"
    told = SECRET.search(post(client, f"{here}/rotate", **fields).text)
    assert told is not None
    assert told[1] != made["secret"]
    assert ("the old secret signs as well" in client.get(here).text) is overlaps
    post(client, f"{here}/test")
    (got,) = wait_until(lambda: receiver.got)
    got.verified(told[1])


def test_one_is_disabled_enabled_and_deleted(client: TestClient, receiver: Hook) -> None:
    made = client.post("/v1/webhooks", json={"url": receiver.url}).json()
    here = f"/webhooks/{made['id']}"
    off = post(client, f"{here}/disable").text
    assert ">disabled<" in off
    assert f"{here}/test" not in off
    assert post(client, f"{here}/test").status_code == 409
    assert f"{here}/test" in post(client, f"{here}/enable").text
    gone = post(client, f"{here}/delete")
    assert gone.url.path == "/webhooks"
    assert "None yet." in gone.text
    assert client.get(here, headers=FORM).status_code == 404


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "http://10.0.0.1/hook"}, "/url"),
        ({"url": "https://1.1.1.1/hook", "events": []}, "/events"),
        ({"url": "https://1.1.1.1/hook", "format": "xml"}, "/format"),
        ({"url": "https://1.1.1.1/hook", "labels": "UPPER CASE=1"}, "/labels"),
        ({}, "/url"),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_and_nothing_that_was_filled_in_is_lost(
    client: TestClient, fields: dict[str, Any], says: str
) -> None:
    filled = {"description": "kept words", "events": ["job.paused"], **fields}
    answer = post(client, "/webhooks", **filled)
    assert answer.status_code == 422
    assert f"<code>{says}" in answer.text
    assert 'value="kept words"' in answer.text
    assert client.get("/v1/webhooks").json()["data"] == []


@pytest.mark.parametrize("path", ["/", "/new", "/login", "/webhooks"])
def test_more_fields_than_a_form_has_are_refused(client: TestClient, path: str) -> None:
    answer = post(client, path, events=["job.failed"] * 300)
    assert answer.status_code == 422
    assert "found more than 200 fields" in answer.text


def test_only_who_may_change_webhooks_is_shown_them(doors: Doors) -> None:
    def shown(who: str, path: str) -> Any:
        return doors.ask(who, "GET", path, headers={"Accept": "text/html"})

    assert shown("admin", "/webhooks").status_code == 200
    assert 'href="/webhooks"' in shown("admin", "/").text
    assert shown("writer", "/webhooks").status_code == 403
    assert 'href="/webhooks"' not in shown("writer", "/").text
