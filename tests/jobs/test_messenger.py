"""Messages reach a real receiver, whatever it does, and whatever is killed on the way."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hook_server import Got, Hook, answering, running_hook
from hooks import ended, hook, hook_now, make_due, messages, messaging, wait_of
from openai import OpenAI
from openai.resources.webhooks import Webhooks
from openai.types.webhooks import FineTuningJobCancelledWebhookEvent, UnwrapWebhookEvent
from specs import submit
from standardwebhooks import WebhookVerificationError
from waiting import wait_until

from jobs import messenger, rounds
from jobs.database import Database
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.webhook_sending import WAITS_SECONDS

QUEUED = ["job.queued"]


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give settings by which messages may go to this machine, and are soon looked for."""
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.1)
    return settings.model_copy(update={"webhook_allow": "127.0.0.1"})


def test_a_message_is_what_the_librarys_verifier_takes(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    one = hook(database, receiver.url, events=QUEUED)
    job_id = submit(database, name="töny")
    with database.write() as session:
        rotated = Repository(session).rotate_secret(one.id)
    with messaging(settings, database):
        assert ended(database) == [("delivered", 204)]
    (got,) = receiver.got
    for secret in (one.secret, rotated.secret):
        data = got.verified(secret)["data"]
        assert (data["id"], data["name"]) == (job_id, "töny")
    with pytest.raises(WebhookVerificationError):
        got.verified("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert got.path == "/hook?of=tests"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    assert got.headers["webhook-signature"].count("v1,") == 2
    assert hook_now(database, one.id).delivered_at is not None


def test_a_cloud_event_has_its_data_in_the_body_and_the_rest_in_headers(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    one = hook(database, receiver.url, events=QUEUED, format="cloudevents")
    job_id = submit(database)
    with messaging(settings, database):
        ended(database)
    (got,) = receiver.got
    assert got.verified(one.secret)["id"] == job_id
    (row,) = messages(database)
    told = {name: value for name, value in got.headers.items() if name.startswith("ce-")}
    assert told.pop("ce-time").startswith(f"{row.created_at:%Y-%m-%dT%H:%M}")
    assert told == {
        "ce-specversion": "1.0",
        "ce-id": row.id,
        "ce-source": "/v1/projects/default",
        "ce-type": "stillhouse.job.queued",
        "ce-subject": job_id,
    }


def test_openais_client_unwraps_what_a_webhook_in_its_format_is_told(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    one = hook(database, receiver.url, events=["job.queued", "job.cancelled"], format="openai")
    job_id = submit(database)
    with database.write() as session:
        Repository(session).request_cancel(job_id, "graceful")
    with messaging(settings, database):
        wait_until(lambda: len(receiver.got) == 2)
        ended(database)
    webhooks = OpenAI(api_key="unused", webhook_secret=one.secret).webhooks
    told = {event.type: event for got in receiver.got for event in [_unwrapped(webhooks, got)]}
    assert set(told) == {"job.queued", "fine_tuning.job.cancelled"}
    event = told["fine_tuning.job.cancelled"]
    assert isinstance(event, FineTuningJobCancelledWebhookEvent)
    assert (event.data.id, event.object) == (job_id, "event")
    assert abs(event.created_at - time.time()) < 60
    assert event.id in {row.id for row in messages(database)}


def _unwrapped(webhooks: Webhooks, got: Got) -> UnwrapWebhookEvent:
    return webhooks.unwrap(got.body, got.headers)


def test_a_receiver_that_was_down_gets_the_same_message_once_it_is_back(
    database: Database, settings: Settings
) -> None:
    with running_hook() as up:
        port = up.port
    one = hook(database, f"http://127.0.0.1:{port}/", events=QUEUED)
    submit(database)
    with messaging(settings, database):
        wait_until(lambda: messages(database)[0].error)
        (row,) = messages(database)
        assert (row.status, row.response_code) == ("pending", None)
        assert "refused" in (row.error or "").lower()
        assert 4 < wait_of(database) < 9
        with running_hook(port=port) as back:
            make_due(database)
            wait_until(lambda: messages(database)[0].status == "delivered", seconds=15)
    (got,) = back.got
    assert got.verified(one.secret)["type"] == "job.queued"
    (row,) = messages(database)
    assert (got.id, row.attempts, row.error) == (row.id, 2, None)


def test_an_answer_that_is_not_good_is_tried_again_later(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    one = hook(database, receiver.url, events=QUEUED)
    submit(database)
    trap = f"http://127.0.0.1:{receiver.port}/trap"
    answers = [
        (answering(500, b"no"), 500, WAITS_SECONDS[0]),
        (answering(302, Location=trap), 302, WAITS_SECONDS[1]),
        (answering(307, Location=trap), 307, WAITS_SECONDS[2]),
        (answering(429, Retry_After="9000"), 429, 9000),
        (answering(503, Retry_After=_in_an_hour(10)), 503, 36_000),
        (answering(503, Retry_After="soon"), 503, WAITS_SECONDS[5]),
    ]
    with messaging(settings, database):
        for place, (answer, code, wait) in enumerate(answers, start=1):
            receiver.answer = answer
            make_due(database)
            wait_until(lambda place=place: len(receiver.got) == place)
            wait_until(lambda wait=wait: 0.85 * wait < wait_of(database) < 1.15 * wait + 10)
            (row,) = messages(database)
            assert (row.response_code, row.attempts) == (code, place)
            assert f"answered {code}" in (row.error or "")
        receiver.answer = answering(200)
        make_due(database)
        wait_until(lambda: messages(database)[0].status == "delivered")
    assert {got.path for got in receiver.got} == {"/hook?of=tests"}
    assert len({got.id for got in receiver.got}) == len({got.body for got in receiver.got}) == 1
    assert messages(database)[0].attempts == len(answers) + 1
    assert all(got.verified(one.secret) for got in receiver.got)


def _in_an_hour(hours: int) -> str:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_who_says_that_it_is_gone_is_told_nothing_more(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    one = hook(database, receiver.url, events=QUEUED)
    receiver.answer = answering(410)
    submit(database)
    with messaging(settings, database):
        assert ended(database) == [("failed", 410)]
        wait_until(lambda: hook_now(database, one.id).disabled_for == "gone")
        submit(database)
    assert len(messages(database)) == 1


def _silence(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.settimeout(10)
    handler.connection.recv(1)


def test_receivers_that_never_answer_keep_nobody_else_waiting(
    database: Database, settings: Settings, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messenger, "POST_SECONDS", 1.0)
    with running_hook() as slow:
        slow.answer = _silence
        for _ in range(messenger.THREADS + 1):
            hook(database, slow.url, events=QUEUED)
        for _ in range(3):
            submit(database)
        good = hook(database, receiver.url, events=QUEUED)
        with messaging(settings, database):
            wait_until(lambda: len(slow.got) >= messenger.THREADS)
            submit(database)
            wait_until(lambda: receiver.got, seconds=5)
            with database.write() as session:  # no transaction waits for them
                Repository(session).delete_webhook(good.id)


def test_webhooks_with_much_to_be_told_take_turns(
    database: Database, settings: Settings, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messenger, "THREADS", 1)
    monkeypatch.setattr(messenger, "TURN_SECONDS", 0.0)
    for place in range(4):
        hook(database, f"{receiver.url}&place={place}", events=QUEUED)
    for _ in range(3):
        submit(database)
    with messaging(settings, database):
        ended(database)
    paths = [got.path for got in receiver.got]
    assert [len(set(paths[first : first + 4])) for first in (0, 4, 8)] == [4, 4, 4]


def test_of_two_messengers_each_message_is_sent_by_one(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    for _ in range(2):
        hook(database, receiver.url, events=QUEUED)
    for _ in range(15):
        submit(database)
    with messaging(settings, database), messaging(settings, database):
        assert set(ended(database)) == {("delivered", 204)}
    assert sorted(got.id for got in receiver.got) == [row.id for row in messages(database)]
    assert {row.attempts for row in messages(database)} == {1}


@pytest.mark.slow
def test_what_a_killed_process_had_sent_is_sent_again_under_the_same_id(
    database: Database, settings: Settings, receiver: Hook
) -> None:
    one = hook(database, receiver.url, events=QUEUED)
    submit(database)
    environment = {
        "STILLHOUSE_DATABASE_URL": settings.database_url,
        "STILLHOUSE_DATA": str(settings.data),
        "STILLHOUSE_WEBHOOK_ALLOW": settings.webhook_allow,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    program = Path(__file__).with_name("messaging.py")
    killed = subprocess.run(
        [sys.executable, program], env=os.environ | environment, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    (row,) = messages(database)
    assert (row.status, row.attempts, row.response_code) == ("pending", 1, None)
    with messaging(settings, database):
        wait_until(lambda: messages(database)[0].status == "delivered")
    first, again = receiver.got
    assert (first.id, first.body) == (again.id, again.body)
    assert first.verified(one.secret) == again.verified(one.secret)
    assert messages(database)[0].attempts == 2
