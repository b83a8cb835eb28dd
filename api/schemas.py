"""What the API answers with, as records; the request's one schema is `jobs.spec.JobSpec`."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from kdcore.verdict import Verdict

JobStatus = Literal[
    "queued", "running", "pausing", "paused", "cancelling", "succeeded", "failed", "cancelled"
]
AttemptStatus = Literal["running", "succeeded", "failed", "cancelled", "paused", "lost"]
Item = TypeVar("Item", bound=BaseModel)


class Body(BaseModel):
    """A record of an answer."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, frozen=True, json_schema_serialization_defaults_required=True
    )


class FieldError(Body):
    """One thing that is wrong in a request."""

    pointer: str
    """JSON pointer (RFC 6901) into the body; empty for the whole body or for a parameter."""
    code: str
    """What kind, a stable word."""
    message: str
    """What was found and what was expected."""
    hint: str | None = None
    """The way out, where there is an obvious one."""
    parameter: str | None = None
    """The query parameter or header that is wrong, if it is not the body."""


class MirroredError(Body):
    """The same problem in the form that OpenAI's clients read."""

    message: str
    type: str
    param: str | None
    code: str
    hint: str | None
    """Their exceptions have this object alone, as `body`."""


class ProblemBody(Body):
    """RFC 9457 problem details, sent as `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    """Stable word for programs."""
    hint: str | None
    errors: list[FieldError]
    request_id: str
    """Stands in the server's log beside everything about this request."""
    error: MirroredError


class Caching(Body):
    """How far a teacher's answers are that are written down for later."""

    teacher: str
    done: int
    """Samples that are answered, over all views."""
    total: int
    bytes: int
    """What all of them take on the disk."""
    eta_seconds: float
    waiting: bool
    """True while another job writes the same answers."""


class TeacherCacheUse(Body):
    """What the teacher cache did for a job, over all its stages and attempts."""

    hits: int
    """Teachers of stages whose answers were found."""
    written: int
    """Those whose answers were written first."""
    live: int
    """Those that were asked in every step; the `answers.ready` events say why."""
    bytes: int
    """What the answers that were read take on the disk."""
    seconds_saved: float
    """What asking in every step would have taken in addition; an estimate."""


class Progress(Body):
    """Where a running job is, as its worker last said."""

    percent: float | None = None
    """Of the whole run, 0 to 100."""
    stage: str | None = None
    role: str | None = None
    seed: int | None = None
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    stages_done: int | None = None
    stages_finished: list[str] = []
    stages_total: int | None = None
    metrics: dict[str, float | None] = {}
    samples_per_second: float | None = None
    eta_seconds: float | None = None
    """Seconds to the end of the run's trainings."""
    memory_bytes: int | None = None
    """The most that the trainer had so far: of a GPU's memory for tensors where it trains there,
    else of the machine's. With several processes, of the one that reports."""
    caching: Caching | None = None
    """While a teacher's answers are written down."""
    teacher_cache: TeacherCacheUse | None = None
    """Once a stage with a teacher has begun."""


class Failure(Body):
    """Why a job failed."""

    code: str
    message: str
    hint: str | None = None
    attempt: int | None = None


class JobLinks(Body):
    """Paths of everything that belongs to a job."""

    self: str
    events: str
    metrics: str
    attempts: str
    logs: str
    artifacts: str
    zip: str
    checksums: str
    report: str
    page: str
    cancel: str
    pause: str
    resume: str
    retry: str
    clone: str


class JobSummary(Body):
    """A job, as lists show it."""

    id: str
    object: Literal["job"] = "job"
    project: str
    """Whose it is."""
    name: str | None
    labels: dict[str, str]
    status: JobStatus
    terminal: bool
    """True where the status will not change by itself any more."""
    phase: str | None
    method: str | None
    teacher: str
    """The teacher's architecture."""
    student: str
    """The student's architecture."""
    progress: Progress | None
    attempt: int
    """Number of the newest attempt; 0 before the first."""
    max_attempts: int
    max_runtime_seconds: int | None
    """Time that its attempts may run together; a pause or a wait does not count."""
    worker: str | None
    priority: int
    cloned_from: str | None
    """The job whose spec this one began with; it may be deleted meanwhile."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: str | None
    """`graceful` or `now` where somebody asked for it."""
    outcome: str | None
    """The verdict in one word."""
    gates_passed: bool | None
    failure: Failure | None
    artifacts_purged_at: datetime | None
    """When its files were removed, since the server keeps none for longer."""
    links: JobLinks


class Job(JobSummary):
    """A job with all that was asked and all that came out."""

    verdict: Verdict | None
    spec: dict[str, JsonValue]
    """As it was sent."""
    recipe: dict[str, JsonValue]
    """As it is run: the short forms spelt out, the defaults filled in."""


class Event(Body):
    """One line of a job's story."""

    seq: int
    """Counts from 1 for each job; what `after` and `Last-Event-ID` take."""
    type: str
    at: datetime
    attempt: int | None
    data: dict[str, JsonValue]


class Attempt(Body):
    """One claim of a job by one worker."""

    number: int
    status: AttemptStatus
    worker: str | None
    reason: str | None
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    signal: int | None


class Artifact(Body):
    """A file that a job delivered."""

    name: str
    kind: str
    size_bytes: int
    sha256: str
    media_type: str
    created_at: datetime
    url: str


class ListBody(Body, Generic[Item]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool = False
    next_cursor: str | None = None
    """Pass it as `after` for the next page."""


class EventList(ListBody[Event]):
    """One page of a job's events, oldest first."""

    terminal: bool
    """True where the job has ended and this page is the last."""
