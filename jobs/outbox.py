"""The outbox: an event and the messages about it are written in one transaction.

So no message is lost that a commit promised, and none tells of what was undone; sending them is
somebody else's work, later. Whether anybody listens is asked along with what is asked anyway.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, get_args

from sqlalchemy import Connection, exists, insert, select

from jobs.database import dump_json
from jobs.ids import new_id
from jobs.moments import clock
from jobs.states import Status
from jobs.tables import Job, Sweep, Webhook, WebhookDelivery

WebhookEvent = Literal[
    "job.queued",
    "job.started",
    "job.paused",
    "job.resumed",
    "job.retried",
    "job.succeeded",
    "job.gates_missed",
    "job.failed",
    "job.cancelled",
    "job.purged",
    "sweep.completed",
    "sweep.cancelled",
]
"""What a webhook can be told of."""
TEST: Final = "webhook.test"
"""What any webhook is told where somebody asks for it."""
MOST_BYTES: Final = 20_000
"""Size of a message; larger ones go without labels."""

_TYPES: Final[Mapping[str, str]] = {
    # As the ledger has it: each claim of a job begins an attempt.
    "attempt.started": "job.started",
    **{name: name for name in get_args(WebhookEvent) if name.startswith("job.")},
}
_SUCCEEDED: Final = f"job.{Status.SUCCEEDED}"
_GATES_MISSED: Final = "job.gates_missed"
_MOST_WORDS: Final = 300
"""Characters of a failure's message and hint."""


class Told(NamedTuple):
    """A job as messages tell it."""

    id: str
    project: str
    name: str | None
    labels: Mapping[str, Any]
    status: str
    attempt: int
    gates_passed: bool | None = None
    failure: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None


class _Listener(NamedTuple):
    id: str
    project: str
    events: list[str]
    labels: Mapping[str, Any]
    now: datetime


_LISTENERS: Final = (
    select(Webhook.id, Webhook.project, Webhook.events, Webhook.labels, clock())
    .where(Webhook.disabled_at.is_(None))
    # Until this transaction ends nobody can delete one: its message would belong to nothing.
    .with_for_update(read=True, key_share=True, of=Webhook)
)

HEARD: Final = (
    exists()
    .where(Webhook.project == Job.project, Webhook.disabled_at.is_(None))
    .correlate(Job)
    .label("heard")
)
"""Whether anybody listens to a job's project; the few who are picky are not looked at."""


def note_lines(connection: Connection, job_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the messages about lines of a job's story, each with its `type` and `seq`."""
    lines = [(_TYPES[row["type"]], row["seq"]) for row in rows if row["type"] in _TYPES]
    if not lines:
        return
    theirs = _LISTENERS.join(Job, Job.project == Webhook.project).where(Job.id == job_id)
    listeners = [_Listener(*row) for row in connection.execute(theirs)]
    if not listeners:
        return
    columns = [getattr(Job, name) for name in Told._fields]
    job = Told(*connection.execute(select(*columns).where(Job.id == job_id)).one())
    _write(connection, [one for line in lines for one in _about_job(job, *line, listeners)])


def note_queued(connection: Connection, jobs: Sequence[Told]) -> None:
    """Write the messages about jobs that have just been stored."""
    theirs = _LISTENERS.where(Webhook.project.in_({job.project for job in jobs}))
    listeners = [_Listener(*row) for row in connection.execute(theirs)]
    _write(connection, [one for job in jobs for one in _about_job(job, "job.queued", 1, listeners)])


def note_sweep(connection: Connection, sweep_id: str) -> None:
    """Write the messages about a sweep that goes on no more."""
    theirs = _LISTENERS.join(Sweep, Sweep.project == Webhook.project).where(Sweep.id == sweep_id)
    listeners = [_Listener(*row) for row in connection.execute(theirs)]
    if not listeners:
        return
    columns = (Sweep.project, Sweep.name, Sweep.status, Sweep.ended_for)
    project, name, status, ended_for = connection.execute(
        select(*columns).where(Sweep.id == sweep_id)
    ).one()
    here = f"/v1/sweeps/{sweep_id}"
    data = {
        "id": sweep_id,
        "object": "sweep",
        "project": project,
        "name": name,
        "status": status,
        "ended_for": ended_for,
        "links": {"self": here, "leaderboard": f"{here}/leaderboard"},
    }
    heard = [one for one in listeners if f"sweep.{status}" in one.events and not one.labels]
    _write(connection, [_message(one.id, f"sweep.{status}", one.now, data) for one in heard])


def note_test(connection: Connection, webhook_id: str) -> str:
    """Write a message that only shows that messages arrive; return its id."""
    found = connection.execute(_LISTENERS.where(Webhook.id == webhook_id)).one()
    one = _Listener(*found)
    data = {
        "id": webhook_id,
        "object": "webhook",
        "project": one.project,
        "links": {"self": f"/v1/webhooks/{webhook_id}"},
    }
    message = _message(webhook_id, TEST, one.now, data)
    _write(connection, [message])
    return message["id"]


def _about_job(
    job: Told, kind: str, seq: int, listeners: Iterable[_Listener]
) -> Iterator[dict[str, Any]]:
    missed = kind == _SUCCEEDED and job.gates_passed is False
    kinds = [kind, _GATES_MISSED] if missed else [kind]
    for one in listeners:
        if one.project != job.project or not one.labels.items() <= job.labels.items():
            continue
        for heard in kinds:
            if heard in one.events:
                yield _message(one.id, heard, one.now, _job_data(job, seq))


def _job_data(job: Told, seq: int) -> dict[str, Any]:
    here = f"/v1/jobs/{job.id}"
    verdict, failure = job.verdict or {}, job.failure
    return {
        "id": job.id,
        "object": "job",
        "project": job.project,
        "name": job.name,
        "labels": dict(job.labels),
        "status": job.status,
        "attempt": job.attempt,
        "seq": seq,
        "outcome": verdict.get("outcome"),
        "gates_passed": job.gates_passed,
        "sentence": verdict.get("sentence"),
        "failure": failure
        and {
            "code": failure.get("code"),
            "message": _short(failure.get("message")),
            "hint": _short(failure.get("hint")),
        },
        "links": {
            "self": here,
            "events": f"{here}/events",
            "artifacts": f"{here}/artifacts",
            "report": f"{here}/report",
            "page": f"/jobs/{job.id}",
        },
    }


def _short(words: str | None) -> str | None:
    return words if words is None else words[:_MOST_WORDS]


def _message(webhook_id: str, kind: str, at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    told = {"type": kind, "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z")}
    body = dump_json({**told, "data": data})
    if len(body.encode()) > MOST_BYTES:
        body = dump_json({**told, "data": {**data, "labels": None}})
    return {
        "id": new_id("msg"),
        "webhook_id": webhook_id,
        "type": kind,
        "subject": data["id"],
        "body": body,
        "status": "pending",
        "attempts": 0,
        "tries": 0,
    }


def _write(connection: Connection, messages: Sequence[Mapping[str, Any]]) -> None:
    if messages:
        moments = {"created_at": clock(), "next_at": clock()}
        connection.execute(insert(WebhookDelivery).values(**moments), messages)
