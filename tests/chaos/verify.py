"""What must be true of every job when all is quiet again, whatever happened before."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.database import Database
from jobs.repository import Repository
from jobs.states import ACTIVE, TERMINAL, Status
from jobs.tables import Artifact, Attempt, Event, Job

TERMINAL_EVENTS = {f"job.{status}" for status in TERMINAL}
OPENS_AGAIN = "job.retried"
TRUTHFUL_FAILURES = {"crash_loop", "attempts_exhausted", "disk_full", "cannot_start"}
"""What a deterministic job can truly fail with here: it was disturbed too often."""
SAME_EACH_TIME = (".safetensors", "config.json")
"""Files without a time in them."""
PAGE = 1_000_000


def violations(
    database: Database,
    artifacts: Path,
    kinds: Mapping[str, str],
    calm: Mapping[str, str],
    heard: Mapping[str, Sequence[int]],
) -> Iterator[str]:
    """Yield what is not as it must be.

    Args:
        database: the ledger.
        artifacts: folder of the store.
        kinds: the kind of each job whose acceptance was heard, by id.
        calm: the id of an undisturbed job, by kind.
        heard: the numbers of events that listeners were told, by job.
    """
    with database.read() as session:
        ledger = Repository(session)
        jobs = {job.id: job for job in session.scalars(select(Job))}
        expected = {
            kind: {
                one.name: one.sha256
                for one in ledger.artifacts(job_id)
                if one.name.endswith(SAME_EACH_TIME)
            }
            for kind, job_id in calm.items()
        }
        yield from (f"{lost}: accepted, and not in the ledger" for lost in kinds.keys() - jobs)
        keys = Counter(job.idempotency_key for job in jobs.values())
        yield from (f"key {key}: {count} jobs" for key, count in keys.items() if key and count > 1)
        counted = Counter(job.status for job in jobs.values())
        if dict(ledger.counts()) != dict(counted):
            yield f"counts tell {dict(ledger.counts())}, the table {dict(counted)}"
        for job_id, kind in kinds.items():
            job = jobs.get(job_id)
            if job is None:
                continue
            events = ledger.events(job_id, limit=PAGE)
            attempts = ledger.attempts(job_id)
            files = ledger.artifacts(job_id)
            found = [
                *_end(job, events),
                *consistency(job, attempts, events),
                *_heard(heard.get(job_id, ())),
                *_files(job, files, artifacts, expected[kind]),
            ]
            yield from (f"{job_id} ({kind}, {job.status}): {what}" for what in found)


def attempts_of(session: Session, worker_id: str) -> set[tuple[str, int]]:
    """Return the attempts of a worker, each by its job and number."""
    theirs = select(Attempt.job_id, Attempt.attempt).where(Attempt.worker == worker_id)
    return {(job_id, number) for job_id, number in session.execute(theirs)}


def claims_in_vain(
    database: Database, drained: Mapping[str, set[tuple[str, int]]]
) -> Iterator[str]:
    """Yield what workers claimed after it was committed that they drain.

    Args:
        database: the ledger.
        drained: the attempts that each of them had until then.
    """
    with database.read() as session:
        for worker_id, had in drained.items():
            for job_id, number in sorted(attempts_of(session, worker_id) - had):
                yield f"{worker_id} drained, and claimed attempt {number} of {job_id}"


def _end(job: Job, events: Sequence[Event]) -> Iterator[str]:
    if Status(job.status) not in TERMINAL:
        yield "has not ended"
        return
    code = (job.failure or {}).get("code")
    if job.status == Status.FAILED and code not in TRUTHFUL_FAILURES:
        yield f"failed with {job.failure}"
    if not events or events[-1].type != f"job.{job.status}":
        yield f"the last event is {events[-1].type if events else None}"
    ends = 0
    for event in events:
        if event.type == OPENS_AGAIN:
            ends -= 1
        ends += event.type in TERMINAL_EVENTS
        if ends not in {0, 1}:
            yield f"event {event.seq}: {ends} ends at once"
    if ends != 1:
        yield f"{ends} ends"


def consistency(job: Job, attempts: Sequence[Attempt], events: Sequence[Event]) -> Iterator[str]:
    """Yield what must not be at any moment of a job's life."""
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        yield "the numbers of its events have a gap or a repetition"
    yield from _claims(job, attempts, events)
    yield from _stale(events)


def _heard(heard: Sequence[int]) -> Iterator[str]:
    if list(heard) != list(range(1, len(heard) + 1)):
        yield f"a listener was told the events {heard}"


def _claims(job: Job, attempts: Sequence[Attempt], events: Sequence[Event]) -> Iterator[str]:
    numbers = [attempt.attempt for attempt in attempts]
    if numbers != list(range(1, job.attempt + 1)):
        yield f"its number of claims is {job.attempt}, its attempts {numbers}"
    ended = [attempt.attempt for attempt in attempts if attempt.ended_at is not None]
    for type_, expected in (("attempt.started", numbers), ("attempt.ended", ended)):
        told = [event.attempt for event in events if event.type == type_]
        if told != expected:
            yield f"{type_} is told of {told}, expected of {expected}"
    running = [number for number in numbers if number not in ended]
    if running != ([job.attempt] if job.status in ACTIVE else []):
        yield f"the attempts {running} have no end"
    succeeded = [attempt.attempt for attempt in attempts if attempt.status == "succeeded"]
    if succeeded != ([job.result_attempt] if job.status == Status.SUCCEEDED else []):
        yield f"the attempts {succeeded} succeeded, and the result is of {job.result_attempt}"


def _stale(events: Sequence[Event]) -> Iterator[str]:
    """Yield what was accepted from an attempt that had ended, or before it had begun."""
    current: int | None = None
    last = 0
    for event in events:
        if event.attempt is None:
            continue
        if event.type == "attempt.started":
            if current is not None:
                yield f"event {event.seq}: attempt {event.attempt} began inside {current}"
            current = last = event.attempt
        elif event.type in TERMINAL_EVENTS or event.type == "job.paused":
            if event.attempt != last:
                yield f"event {event.seq}: attempt {event.attempt} spoke after {last}"
        elif event.attempt != current:
            yield f"event {event.seq}: {event.type} of attempt {event.attempt}, not {current}"
        if event.type == "attempt.ended":
            current = None


def _files(
    job: Job, files: Sequence[Artifact], root: Path, expected: Mapping[str, str]
) -> Iterator[str]:
    for file in files:
        if job.status == Status.SUCCEEDED and file.attempt != job.result_attempt:
            yield f"{file.name} is of attempt {file.attempt}, the result of {job.result_attempt}"
        path = root / file.location
        content = path.read_bytes() if path.is_file() else None
        if content is None:
            yield f"{file.name} is not in the store"
        elif (len(content), hashlib.sha256(content).hexdigest()) != (file.size_bytes, file.sha256):
            yield f"{file.name} is not what its record says"
    if job.status == Status.SUCCEEDED:
        told = {one.name: one.sha256 for one in files if one.name.endswith(SAME_EACH_TIME)}
        if told != expected:
            yield f"its files {told} differ from those of an undisturbed job {expected}"
