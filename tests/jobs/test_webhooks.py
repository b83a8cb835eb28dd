"""A message is written with its event, or not at all; and what the ledger knows of webhooks."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from hooks import hook, messages, told, types
from specs import claim, submit
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from jobs import outbox
from jobs.database import Database
from jobs.endings import Ending, Failure
from jobs.ids import new_id
from jobs.intake import store_all
from jobs.logs import Json, Lines
from jobs.outbox import MOST_BYTES
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.states import Status
from jobs.submission import Submission
from jobs.sweep_spec import SweepSpec
from jobs.sweeps import NewSweep, NewTrial, new_sweep_id
from jobs.tables import WebhookDelivery
from jobs.webhook_errors import WebhooksFull
from jobs.webhook_sending import Sent
from jobs.webhooks import MOST_WEBHOOKS

MISSED = {"outcome": "ties", "gates_passed": False, "sentence": "no better than without a teacher"}
FAILED = Sent(500, "answered 500; expected 200 to 299")


def settle(database: Database, status: Status, **more: Any) -> str:
    """Play the next job to an end."""
    claimed = claim(database)
    with database.write() as session:
        Repository(session).settle(
            claimed.job_id, claimed.attempt, status, more.pop("ending", Ending("finished")), **more
        )
    return claimed.job_id


def test_a_job_is_told_of_through_all_its_states(database: Database) -> None:
    hook(database)
    job_id = submit(database, name="tiny", labels={"team": "a"})
    with database.write() as session:
        Repository(session).pause(job_id)
        Repository(session).resume(job_id)
    lost = Ending("failed", Failure("nan_loss", "x" * 900, "a smaller rate"))
    settle(database, Status.FAILED, ending=lost)
    with database.write() as session:
        Repository(session).retry(job_id)
    settle(database, Status.SUCCEEDED, verdict=MISSED)
    with database.write() as session:
        Repository(session).purge(1e-9, 5)
    assert types(database) == [
        *("job.queued", "job.paused", "job.resumed", "job.started", "job.failed", "job.retried"),
        *("job.started", "job.succeeded", "job.gates_missed", "job.purged"),
    ]
    first, failed, missed = (told(database)[place] for place in (0, 4, 8))
    assert first["data"] | {"name": "tiny", "labels": {"team": "a"}} == first["data"]
    assert (first["data"]["status"], first["data"]["seq"]) == ("queued", 1)
    failure = failed["data"]["failure"]
    assert (failed["data"]["status"], failure["code"]) == ("failed", "nan_loss")
    assert (len(failure["message"]), failure["hint"]) == (300, "a smaller rate")
    data = missed["data"]
    assert (data["status"], data["outcome"], data["gates_passed"]) == ("succeeded", "ties", False)
    assert data["sentence"] == MISSED["sentence"]
    assert data["links"]["self"] == f"/v1/jobs/{job_id}"
    with database.read() as session:
        events = {one.seq: one for one in Repository(session).events(job_id)}
    for message in told(database):
        event = events[message["data"]["seq"]]
        assert event.type in {message["type"], "attempt.started", "job.succeeded"}
        assert message["timestamp"][:16] == f"{event.at:%Y-%m-%dT%H:%M}"


def test_what_is_undone_was_never_told(database: Database) -> None:
    hook(database)
    job_id = submit(database)

    class Killed(Exception):  # noqa: N818  # it says what happened
        pass

    def die() -> None:
        with database.write() as session:
            Repository(session).request_cancel(job_id)
            made = select(WebhookDelivery.id).where(WebhookDelivery.type == "job.cancelled")
            assert session.scalar(made)
            raise Killed

    with pytest.raises(Killed):
        die()
    assert types(database) == ["job.queued"]


def test_only_who_asked_for_it_is_told(database: Database) -> None:
    with database.write() as session:
        Repository(session).add_project("vision")
    ends = ["job.succeeded", "job.cancelled"]
    one = hook(database, events=ends)
    picky = hook(database, events=ends, labels={"team": "a", "stage": "prod"})
    theirs = hook(database, project="vision")
    off = hook(database)
    with database.write() as session:
        Repository(session).change_webhook(off.id, {}, enabled=False)
    for labels in ({"team": "a"}, {"team": "a", "stage": "prod", "x": "y"}):
        job_id = submit(database, labels=labels)
        with database.write() as session:
            Repository(session).request_cancel(job_id)
    assert types(database, one.id) == ["job.cancelled"] * 2
    assert [message["data"]["labels"]["stage"] for message in told(database, picky.id)] == ["prod"]
    assert types(database, theirs.id) == types(database, off.id) == []


@pytest.mark.parametrize("how", ["completed", "cancelled"])
def test_the_end_of_a_sweep_is_told_once(database: Database, how: str) -> None:
    listening = hook(database, events=["sweep.completed", "sweep.cancelled"])
    hook(database, events=["sweep.completed", "sweep.cancelled"], labels={"team": "a"})
    spec = {"teacher": "mlp", "student": "mlp", "data": "digits"}
    body = SweepSpec.model_validate({"name": "s", "spec": spec, "space": {"/seeds": [[0]]}})
    sweep_id = new_sweep_id()
    trial = NewTrial(0, 0, {"/seeds": [0]}, spec | {"seeds": [0]}, {}, {})
    with database.write() as session:
        Repository(session).add_sweep(NewSweep(sweep_id, "default", body, [trial]))
        Repository(session).advance_sweep(sweep_id)
    if how == "completed":
        settle(database, Status.SUCCEEDED)
    for _ in range(2):
        with database.write() as session:
            if how == "completed":
                Repository(session).advance_sweep(sweep_id)
            else:
                Repository(session).cancel_sweep(sweep_id)
    (message,) = told(database)
    assert message["type"] == f"sweep.{how}"
    data = message["data"]
    assert (data["id"], data["name"], data["status"]) == (sweep_id, "s", how)
    assert messages(database)[0].webhook_id == listening.id


def test_the_largest_job_makes_a_thin_message(database: Database) -> None:
    hook(database, events=["job.queued"])
    labels = {f"{place:02}" + "k" * 60: "\x01" * 256 for place in range(16)}
    submit(database, name="🥃" * 200, labels=labels)
    submit(database, name="🥃" * 200, labels=dict.fromkeys(labels, "ß" * 256))
    without, whole = messages(database)
    assert max(len(one.body.encode()) for one in (without, whole)) <= MOST_BYTES
    assert [message["data"]["labels"] for message in told(database)] == [
        None,
        dict.fromkeys(labels, "ß" * 256),
    ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_row_that_the_database_refuses_is_logged_without_its_secret(
    database: Database, form: str
) -> None:
    with pytest.raises(IntegrityError) as failed:
        hook(database, format="xml")
    assert "whsec_" in str(failed.value)
    formatter = Json("api") if form == "json" else Lines()
    trace = (type(failed.value), failed.value, failed.tb)
    record = logging.LogRecord("api", logging.ERROR, "", 0, "%s", (failed.value,), trace)
    assert "format_known" in formatter.format(record)
    assert "whsec_" not in formatter.format(record)


def test_a_project_has_so_many_webhooks_and_no_more(database: Database) -> None:
    for _ in range(MOST_WEBHOOKS):
        hook(database)
    with pytest.raises(WebhooksFull):
        hook(database)
    with database.write() as session:
        Repository(session).add_project("vision")
    hook(database, project="vision")


def test_a_webhook_that_is_deleted_beside_an_event_leaves_the_event_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = hook(database)
    job_id = submit(database)
    gone = threading.Event()

    def delete() -> None:
        with database.write() as session:
            Repository(session).delete_webhook(one.id)
        gone.set()

    thread = threading.Thread(target=delete)

    def between(prefix: str) -> str:
        """Be between the look at who listens and the writing of the message."""
        thread.start()
        assert not gone.wait(0.3), "it waits for the event's transaction"
        return new_id(prefix)

    monkeypatch.setattr(outbox, "new_id", between)
    with database.write() as session:
        Repository(session).request_cancel(job_id)
    thread.join()
    assert messages(database) == []
    with database.read() as session:
        assert Repository(session).get(job_id).status == "cancelled"


def test_jobs_of_several_projects_that_come_at_once_are_told_to_their_own(
    database: Database,
) -> None:
    with database.write() as session:
        Repository(session).add_project("vision")
    ours, theirs = hook(database), hook(database, project="vision")
    spec = {"teacher": "mlp", "student": "mlp", "data": "digits"}
    rows = store_all(
        database,
        [
            Submission.of(JobSpec.model_validate(spec), spec, project=project)
            for project in ("default", "vision", "default")
        ],
    )
    assert not any(isinstance(row, Exception) for row in rows)
    assert [len(told(database, one.id)) for one in (ours, theirs)] == [2, 1]
    assert {message["data"]["project"] for message in told(database, theirs.id)} == {"vision"}
