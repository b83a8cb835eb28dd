"""Webhooks over HTTP: made, told, changed, rotated; their secrets are told once."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from typing import Any, get_args

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from hook_server import Hook, answering
from serving import SPEC
from stage_worker import StageWorker
from waiting import wait_until

from api.app import create_app
from api.messages import JobMessage, SweepMessage
from jobs import rounds
from jobs.database import Database
from jobs.outbox import WebhookEvent
from jobs.repository import Repository
from jobs.settings import Settings

PUBLIC = "https://1.1.1.1/hook"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give settings by which messages may go to this machine, and are soon looked for."""
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.1)
    return settings.model_copy(update={"webhook_allow": "127.0.0.1"})


@pytest.fixture
def silent(settings: Settings) -> Generator[TestClient]:
    """Give an app that sends nothing, and has no list of the operator's."""
    alone = settings.model_copy(update={"webhooks": False, "webhook_allow": ""})
    with TestClient(create_app(alone), base_url="http://localhost") as client:
        yield client


def deliveries(client: TestClient, webhook_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/webhooks/{webhook_id}/deliveries")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_messages_are_as_openapi_describes_them(
    client: TestClient, worker: StageWorker, receiver: Hook
) -> None:
    events = [*get_args(WebhookEvent)]
    client.post("/v1/webhooks", json={"url": receiver.url, "events": events})
    for ends in (lambda: worker.fail("nan_loss", "no", "lower the rate"), worker.succeed):
        client.post("/v1/jobs", json=SPEC | {"labels": {"team": "a"}})
        worker.begin()
        worker.start()
        ends()
    space = {"space": {"/training/max_steps": [10]}, "spec": SPEC}
    sweep_id = client.post("/v1/sweeps", json=space).json()["id"]
    client.post(f"/v1/sweeps/{sweep_id}/cancel")
    expected = {"job.failed", "job.succeeded", "sweep.cancelled"}
    wait_until(lambda: expected <= {got.type for got in receiver.got})
    described = client.get("/openapi.json").json()["webhooks"]
    assert list(described) == events
    for got in receiver.got:
        model = SweepMessage if got.type.startswith("sweep.") else JobMessage
        schema = described[got.type]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["$ref"].rpartition("/")[2] == model.__name__
        message = json.loads(got.body)
        told = model.model_validate(message)
        assert set(message) == set(told.model_dump())
        assert set(message["data"]) == set(told.data.model_dump())


def test_a_job_that_ends_is_told_to_who_wants_to_know(
    client: TestClient, worker: StageWorker, receiver: Hook
) -> None:
    made = client.post("/v1/webhooks", json={"url": receiver.url, "description": "ci"})
    assert made.status_code == 201, made.text
    told = made.json()
    assert made.headers["location"] == f"/v1/webhooks/{told['id']}"
    assert told["events"] == ["job.succeeded", "job.failed", "job.cancelled"]
    assert (told["enabled"], told["format"], told["labels"]) == (True, "standard", {})
    job_id = client.post("/v1/jobs", json=SPEC | {"name": "tiny"}).json()["id"]
    worker.begin()
    worker.start()
    worker.succeed()
    wait_until(lambda: receiver.got)
    (got,) = receiver.got
    message = got.verified(told["secret"])
    assert message["type"] == "job.succeeded"
    job = client.get(f"/v1/jobs/{job_id}").json()
    same = ("id", "project", "name", "labels", "status", "attempt", "outcome", "gates_passed")
    assert {name: message["data"][name] for name in same} == {name: job[name] for name in same}
    assert message["data"]["sentence"] == job["verdict"]["sentence"]
    assert client.get(message["data"]["links"]["self"]).json()["id"] == job_id
    wait_until(lambda: deliveries(client, told["id"])[0]["status"] == "delivered")
    (delivery,) = deliveries(client, told["id"])
    assert (delivery["id"], delivery["subject"]) == (got.id, job_id)
    assert (delivery["attempts"], delivery["response_code"], delivery["error"]) == (1, 204, None)
    scraped = client.get("/metrics").text
    assert 'stillhouse_webhook_deliveries_total{outcome="delivered"} 1.0' in scraped
    assert "stillhouse_webhook_deliveries_pending 0.0" in scraped


def test_a_test_tells_what_comes_of_it_and_is_sent_again_on_demand(
    client: TestClient, receiver: Hook
) -> None:
    receiver.answer = answering(500)
    told = client.post("/v1/webhooks", json={"url": receiver.url}).json()
    path = f"/v1/webhooks/{told['id']}"
    sent = client.post(f"{path}/test")
    assert sent.status_code == 202, sent.text
    one = f"{path}/deliveries/{sent.json()['id']}"
    tried = wait_until(lambda: (now := client.get(one).json())["error"] and now)
    assert (tried["status"], tried["response_code"], tried["type"]) == (
        "pending",
        500,
        "webhook.test",
    )
    receiver.answer = answering(200)
    assert client.post(f"{one}/redeliver").status_code == 202
    wait_until(lambda: client.get(one).json()["status"] == "delivered")
    first, again = receiver.got
    assert first.id == again.id == sent.json()["id"]
    assert again.verified(told["secret"])["data"]["id"] == told["id"]
    for _ in range(3):
        client.post(f"{path}/test")
    page = client.get(f"{path}/deliveries?limit=3").json()
    rest = client.get(f"{path}/deliveries?limit=3&after={page['next_cursor']}").json()
    ids = [row["id"] for row in page["data"] + rest["data"]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), ids[-1], rest["has_more"]) == (4, first.id, False)


def test_a_webhook_is_changed_disabled_and_deleted(silent: TestClient) -> None:
    made = silent.post("/v1/webhooks", json={"url": PUBLIC, "labels": {"team": "a"}}).json()
    path = f"/v1/webhooks/{made['id']}"
    wanted = {
        "events": ["sweep.completed", "job.queued", "job.queued"],
        "labels": {},
        "description": "on call",
        "format": "cloudevents",
        "enabled": False,
    }
    changed = silent.patch(path, json=wanted).json()
    assert changed == silent.get(path).json()
    assert changed["events"] == ["sweep.completed", "job.queued"]
    assert (changed["labels"], changed["format"], changed["url"]) == ({}, "cloudevents", PUBLIC)
    assert (changed["enabled"], changed["disabled_for"]) == (False, "asked")
    refused = silent.post(f"{path}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
    back = silent.patch(path, json={"enabled": True, "description": None}).json()
    assert (back["enabled"], back["disabled_at"], back["description"]) == (True, None, None)
    silent.post("/v1/jobs", json=SPEC)
    (waits,) = deliveries(silent, made["id"])
    assert (waits["type"], waits["attempts"]) == ("job.queued", 0)
    assert silent.delete(path).status_code == 204
    for method, more in (("get", ""), ("delete", ""), ("post", "/test"), ("get", "/deliveries")):
        gone = silent.request(method, path + more)
        assert (gone.status_code, gone.json()["code"]) == (404, "webhook_not_found")


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({}, "/url", "missing"),
        ({"url": ""}, "/url", None),
        ({"url": "http://1.1.1.1/"}, "/url", "url_refused"),
        ({"url": "https://127.0.0.1/"}, "/url", "url_refused"),
        ({"url": "https://2130706433/"}, "/url", "url_refused"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "/url", "url_refused"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "/url", "url_refused"),
        ({"url": "https://localhost/"}, "/url", "url_refused"),
        ({"url": "https://me:word@1.1.1.1/"}, "/url", "url_refused"),
        ({"url": PUBLIC, "events": []}, "/events", None),
        ({"url": PUBLIC, "events": ["job.exploded"]}, "/events/0", None),
        ({"url": PUBLIC, "events": ["webhook.test"]}, "/events/0", None),
        ({"url": PUBLIC, "labels": {"a b": "c"}}, "/labels/a b", None),
        ({"url": PUBLIC, "labels": {"a": 1}}, "/labels/a", None),
        ({"url": PUBLIC, "format": "xml"}, "/format", None),
        ({"url": PUBLIC, "description": "x" * 201}, "/description", None),
        ({"url": PUBLIC, "secret": "whsec_x"}, "/secret", None),
        ({"url": "https://1.1.1.1/\u0000"}, "/url", None),
    ],
)
def test_what_no_webhook_can_be_is_said(
    lasting_client: TestClient, fields: dict[str, Any], pointer: str, code: str | None
) -> None:
    refused = lasting_client.post("/v1/webhooks", json=fields)
    assert refused.status_code == 422, refused.text
    errors = {error["pointer"]: error["code"] for error in refused.json()["errors"]}
    assert pointer in errors, errors
    assert code in {None, errors[pointer]}
    assert lasting_client.get("/v1/webhooks").json()["data"] == []


def test_a_change_is_looked_at_as_a_new_one_is(silent: TestClient) -> None:
    made = silent.post("/v1/webhooks", json={"url": PUBLIC}).json()
    path = f"/v1/webhooks/{made['id']}"
    for body in ({"url": "https://10.0.0.1/"}, {"url": None}, {"events": None}, {"enabled": None}):
        assert silent.patch(path, json=body).status_code == 422
    for body in ({"overlap_seconds": -1}, {"overlap_seconds": 9**9}, {"x": 1}):
        assert silent.post(f"{path}/rotate", json=body).status_code == 422
    shown = silent.get(path).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}


def test_an_address_that_was_allowed_once_is_looked_at_before_each_message(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        path = (
            f"/v1/webhooks/{client.post('/v1/webhooks', json={'url': receiver.url}).json()['id']}"
        )
    strict = settings.model_copy(update={"webhook_allow": ""})
    with TestClient(create_app(strict), base_url="http://localhost") as client:
        client.post(f"{path}/test")
        wait_until(lambda: client.get(f"{path}/deliveries").json()["data"][0]["error"])
        (delivery,) = client.get(f"{path}/deliveries").json()["data"]
    assert "expected https" in delivery["error"]
    assert receiver.got == []


def test_secrets_are_told_once_and_stand_in_nothing_else(
    database: Database, settings: Settings, receiver: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = answering(500)
    caplog.set_level(logging.DEBUG)
    said = ""
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        made = client.post("/v1/webhooks", json={"url": receiver.url}).json()
        path = f"/v1/webhooks/{made['id']}"
        rotated = client.post(f"{path}/rotate").json()
        assert rotated["old_secret_until"] is not None
        test = client.post(f"{path}/test")
        wait_until(lambda: client.get(f"{path}/deliveries").json()["data"][0]["error"])
        said += test.text
        for page in ("", "/deliveries", f"/deliveries/{test.json()['id']}"):
            said += client.get(path + page).text
        said += client.patch(path, json={"description": "x"}).text
        for page in ("/v1/webhooks", f"/v1/audit?subject={made['id']}", "/metrics"):
            said += client.get(page).text
        (got,) = receiver.got
        for secret in (made["secret"], rotated["secret"]):
            assert got.verified(secret)["type"] == "webhook.test"
        last = client.post(f"{path}/rotate", json={"overlap_seconds": 0}).json()
        assert last["old_secret_until"] is None
    assert made["id"] in said
    assert "webhook.rotate" in said
    secrets = {one["secret"] for one in (made, rotated, last)}
    assert len(secrets) == 3
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert secret.removeprefix("whsec_") not in said + logged
    assert "of=tests" not in client_audit(database, made["id"]) + logged


def client_audit(database: Database, subject: str) -> str:
    """Return what the audit holds of a subject, as text."""
    with database.read() as session:
        lines = Repository(session).audited(subject=subject)
    assert {line.action for line in lines} >= {"webhook.create", "webhook.rotate", "webhook.test"}
    return str([(line.action, line.details) for line in lines])


def test_webhooks_take_a_key_of_their_own_project_that_may_everything(doors: Doors) -> None:
    made = doors.ask("admin", "post", "/v1/webhooks", json={"url": PUBLIC}).json()
    path = f"/v1/webhooks/{made['id']}"
    delivery = doors.ask("admin", "post", f"{path}/test").json()["id"]
    asked = [
        ("get", path, None),
        ("patch", path, {"enabled": False}),
        ("get", f"{path}/deliveries", None),
        ("get", f"{path}/deliveries/{delivery}", None),
        ("post", f"{path}/deliveries/{delivery}/redeliver", None),
        ("post", f"{path}/rotate", None),
        ("post", f"{path}/test", None),
        ("delete", path, None),
    ]
    for method, where, body in asked:
        hidden = doors.ask("vision", method, where, json=body)
        assert (hidden.status_code, hidden.json()["code"]) == (404, "webhook_not_found"), where
        for who in ("reader", "writer"):
            refused = doors.ask(who, method, where, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing"), where
    assert doors.ask("vision", "get", "/v1/webhooks").json()["data"] == []
    told = doors.ask("admin", "get", "/v1/webhooks").json()["data"]
    assert [(one["id"], one["enabled"]) for one in told] == [(made["id"], True)]
    theirs = doors.ask("vision", "post", "/v1/webhooks", json={"url": PUBLIC}).json()
    mixed = doors.ask("vision", "get", f"/v1/webhooks/{theirs['id']}/deliveries/{delivery}")
    assert (mixed.status_code, mixed.json()["code"]) == (404, "delivery_not_found")
    doors.ask("vision", "post", "/v1/jobs", json=SPEC)
    assert doors.ask("admin", "get", f"{path}/deliveries").json()["data"][0]["id"] == delivery


def test_every_event_that_can_be_asked_for_stands_in_the_document(silent: TestClient) -> None:

    body = silent.get("/openapi.json").json()["paths"]["/v1/webhooks"]["post"]["requestBody"]
    events = body["content"]["application/json"]["schema"]["properties"]["events"]
    assert events["items"]["enum"] == list(get_args(WebhookEvent))
