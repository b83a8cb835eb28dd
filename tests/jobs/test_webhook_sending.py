"""A message is claimed by one at a time, tried by the schedule, and forgotten in the end."""

from __future__ import annotations

import threading

import pytest
from hooks import change_messages, hook, hook_now, make_due, messages
from specs import submit
from sqlalchemy import update

from jobs.database import Database
from jobs.moments import clock
from jobs.repository import Repository
from jobs.tables import Webhook
from jobs.webhook_errors import WebhookDisabled
from jobs.webhook_sending import WAITS_SECONDS, Sending, Sent

FAILED = Sent(500, "answered 500; expected 200 to 299")


def take(database: Database, webhook_id: str) -> Sending | None:
    with database.write() as session:
        return Repository(session).claim_delivery(webhook_id, 60.0)


def finish(database: Database, sending: Sending, sent: Sent) -> str | None:
    with database.write() as session:
        return Repository(session).finish_delivery(sending, sent)


def taken(database: Database, webhook_id: str) -> Sending:
    """Claim the next message; there must be one."""
    sending = take(database, webhook_id)
    assert sending is not None
    return sending


def test_a_message_is_tried_by_the_schedule_and_then_given_up(database: Database) -> None:
    one = hook(database, events=["job.queued"])
    submit(database)
    waits: list[float] = []
    for place in range(len(WAITS_SECONDS) + 1):
        sending = taken(database, one.id)
        assert (sending.attempt, sending.tries) == (place + 1, place + 1)
        assert take(database, one.id) is None, "it is on its way"
        disabled = finish(database, sending, FAILED)
        (row,) = messages(database)
        if row.next_at is not None and row.tried_at is not None:
            waits.append((row.next_at - row.tried_at).total_seconds())
        make_due(database)
    assert (
        len({round(wait / seconds, 6) for wait, seconds in zip(waits, WAITS_SECONDS, strict=True)})
        > 1
    )
    for wait, seconds in zip(waits, WAITS_SECONDS, strict=True):
        assert 0.9 * seconds <= wait <= 1.1 * seconds + 5
    assert 60 * 3600 < sum(WAITS_SECONDS) < 90 * 3600
    assert (row.status, row.response_code, row.error) == ("failed", 500, FAILED.error)
    assert disabled == "failing", "nothing has come through since the message was made"
    assert hook_now(database, one.id).disabled_for == "failing"
    assert take(database, one.id) is None


def test_one_message_that_fails_among_others_that_come_through_disables_nothing(
    database: Database,
) -> None:
    one = hook(database, events=["job.queued"])
    submit(database)
    bad = taken(database, one.id)
    submit(database)
    assert finish(database, taken(database, one.id), Sent(200)) is None
    last = Sending(**{name: getattr(bad, name) for name in bad.__slots__} | {"tries": 10})
    assert finish(database, last, FAILED) is None
    assert sorted(row.status for row in messages(database)) == ["delivered", "failed"]
    assert hook_now(database, one.id).disabled_at is None


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(None, 4, 6), (2.0, 4, 6), (900.0, 890, 910), (1e9, 86_000, 86_500)],
)
def test_a_receiver_that_asks_to_be_left_alone_is(
    database: Database, asked: float | None, least: float, most: float
) -> None:
    one = hook(database, events=["job.queued"])
    submit(database)
    finish(database, taken(database, one.id), Sent(503, "answered 503", asked))
    (row,) = messages(database)
    assert row.next_at is not None
    assert row.tried_at is not None
    assert least <= (row.next_at - row.tried_at).total_seconds() <= most


def test_who_comes_back_after_another_has_claimed_the_message_changes_nothing(
    database: Database,
) -> None:
    one = hook(database, events=["job.queued"])
    submit(database)
    stale = taken(database, one.id)
    make_due(database)
    current = taken(database, one.id)
    assert (stale.id, stale.attempt + 1) == (current.id, current.attempt)
    finish(database, stale, FAILED)
    assert messages(database)[0].error is None
    finish(database, current, Sent(204))
    finish(database, stale, FAILED)
    (row,) = messages(database)
    assert (row.status, row.response_code, row.attempts) == ("delivered", 204, 2)


def test_a_message_is_claimed_by_one_of_many(database: Database) -> None:
    one = hook(database, events=["job.queued"])
    for _ in range(12):
        submit(database)
    start = threading.Barrier(4)
    got: list[str] = []

    def take_some() -> None:
        start.wait()
        while sending := take(database, one.id):
            got.append(sending.id)

    threads = [threading.Thread(target=take_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Where another was at the very message, one may have gone away too early.
    while sending := take(database, one.id):
        got.append(sending.id)
    assert sorted(got) == [row.id for row in messages(database)]


def test_a_new_secret_signs_beside_the_old_one_until_that_is_over(database: Database) -> None:
    one = hook(database, events=["job.queued"])
    submit(database)
    with database.write() as session:
        rotated = Repository(session).rotate_secret(one.id)
    assert rotated.secret != one.secret
    sending = taken(database, one.id)
    assert sending.secrets == [rotated.secret, one.secret]
    assert one.secret not in repr(sending)
    with database.write() as session:
        session.execute(update(Webhook).values(old_secret_until=clock(-1)))
    make_due(database)
    assert taken(database, one.id).secrets == [rotated.secret]
    with database.write() as session:
        Repository(session).forget_deliveries(30.0, 10)
    assert hook_now(database, one.id).old_secret is None
    with database.write() as session:
        Repository(session).rotate_secret(one.id)
        leaked = Repository(session).rotate_secret(one.id, 0)
    assert (leaked.old_secret, leaked.old_secret_until) == (None, None)


def test_a_message_is_sent_again_when_somebody_wants_it(database: Database) -> None:
    one = hook(database, events=["job.queued"])
    submit(database)
    sending = taken(database, one.id)
    finish(database, sending, Sent(410, "answered 410"))
    assert hook_now(database, one.id).disabled_for == "gone"
    with database.write() as session, pytest.raises(WebhookDisabled):
        Repository(session).redeliver(one.id, sending.id)
    with database.write() as session:
        repository = Repository(session)
        repository.change_webhook(one.id, {}, enabled=True)
        again = repository.redeliver(one.id, sending.id)
    assert (again.status, again.tries, again.attempts) == ("pending", 0, 1)
    second = taken(database, one.id)
    assert (second.id, second.body, second.tries) == (sending.id, sending.body, 1)


def test_what_was_told_long_ago_is_forgotten_and_what_waits_is_not(database: Database) -> None:
    one = hook(database, events=["job.queued"])
    for _ in range(3):
        submit(database)
    finish(database, taken(database, one.id), Sent(200))
    kept = [row.id for row in messages(database)[1:]]
    change_messages(database, created_at=clock(-40 * 86_400))

    def forget() -> list[str]:
        with database.write() as session:
            return [*Repository(session).forget_deliveries(30.0, 10)]

    assert len(forget()) == 1
    assert [row.id for row in messages(database)] == kept
    with database.write() as session:
        Repository(session).change_webhook(one.id, {}, enabled=False)
    assert sorted(forget()) == kept
