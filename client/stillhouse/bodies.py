"""The shapes of what the API answers, as it answers them.

The client hands on the server's JSON unchanged: a newer server may say more than stands here.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Status = Literal[
    "queued",
    "running",
    "pausing",
    "paused",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
]


class Filters(TypedDict, total=False):
    """Which jobs `Client.list` asks for; None asks for any."""

    status: Status | None
    label: str | None
    """`key=value`."""
    teacher: str | None
    student: str | None
    method: str | None
    q: str | None
    """Words to find in names and ids."""
    limit: int
    """Jobs in one page."""
    after: str | None
    """The `next_cursor` of the page before."""


class Progress(TypedDict):
    """How far the running attempt is; seconds and percent are of the whole run."""

    percent: float | None
    stage: str | None
    role: str | None
    seed: int | None
    step: int | None
    total_steps: int | None
    epoch: float | None
    stages_done: int | None
    stages_total: int | None
    metrics: dict[str, float | None]
    samples_per_second: float | None
    eta_seconds: float | None
    memory_bytes: NotRequired[int | None]
    """The most that the trainer had so far: of its GPU, or of the machine."""


class Failure(TypedDict):
    """Why a job failed, and what to do about it."""

    code: str
    message: str
    hint: str | None
    attempt: int | None


class Scores(TypedDict):
    """One measure over the seeds."""

    values: list[float]
    mean: float
    std: float | None


class Measured(TypedDict):
    """What one model of the comparison was measured at."""

    score: Scores
    parameters: int
    size_bytes: int
    flops: int
    latency_ms: float


class Uplift(TypedDict):
    """What distillation added: the paired difference to the baseline over the seeds."""

    mean: float
    low: float
    high: float
    confidence: float
    values: list[float]


class Gate(TypedDict):
    """One condition of the spec and what came out."""

    gate: str
    metric: str
    op: str
    target: float
    value: float | None
    passed: bool


class Int8(TypedDict):
    """What the delivered student was measured at in int8."""

    kind: Literal["static", "dynamic"]
    seed: int
    calibration_samples: int
    score: float
    float_score: float
    agreement: float
    size_bytes: int
    float_size_bytes: int
    latency_ms: float
    float_latency_ms: float


class Verdict(TypedDict):
    """Student against teacher and against itself without distillation."""

    outcome: Literal["beats", "ties", "loses", "inconclusive"]
    sentence: str
    rule: str
    seeds: list[int]
    metric: str
    called: str
    teacher: Measured
    student: Measured
    baseline: Measured | None
    controls: dict[str, Measured]
    uplift: Uplift | None
    retention: float
    agreement: float
    compression: dict[str, float]
    int8: NotRequired[Int8 | None]
    gates: list[Gate]
    gates_passed: bool | None


class JobSummary(TypedDict):
    """A job, as `GET /v1/jobs` lists it."""

    id: str
    object: Literal["job"]
    name: str | None
    labels: dict[str, str]
    status: Status
    terminal: bool
    phase: str | None
    method: str | None
    teacher: str
    student: str
    progress: Progress | None
    attempt: int
    max_attempts: int
    max_runtime_seconds: int | None
    worker: str | None
    priority: int
    cloned_from: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancel_requested: str | None
    outcome: str | None
    gates_passed: bool | None
    failure: Failure | None
    artifacts_purged_at: str | None
    links: dict[str, str]


class Job(JobSummary):
    """A job with all that was asked and all that came out."""

    verdict: Verdict | None
    spec: dict[str, Any]
    recipe: dict[str, Any]


class Attempt(TypedDict):
    """One claim of a job by one worker."""

    number: int
    status: Literal["running", "succeeded", "failed", "cancelled", "paused", "lost"]
    worker: str | None
    reason: str | None
    started_at: str
    ended_at: str | None
    exit_code: int | None
    signal: int | None


class Artifact(TypedDict):
    """One file of a job."""

    name: str
    kind: str
    size_bytes: int
    sha256: str
    media_type: str
    created_at: str
    url: str


class EventBody(TypedDict):
    """One line of a job's story; `progress` lines of a stream carry no number."""

    seq: int | None
    type: str
    at: NotRequired[str | None]
    attempt: NotRequired[int | None]
    data: dict[str, Any]


class JobPage(TypedDict):
    """A page of jobs, newest first."""

    object: Literal["list"]
    data: list[JobSummary]
    has_more: bool
    next_cursor: str | None


class AttemptPage(TypedDict):
    """A page of a job's attempts."""

    object: Literal["list"]
    data: list[Attempt]
    has_more: bool
    next_cursor: str | None


class ArtifactPage(TypedDict):
    """A page of a job's files."""

    object: Literal["list"]
    data: list[Artifact]
    has_more: bool
    next_cursor: str | None


class EventPage(TypedDict):
    """A page of a job's story, oldest first."""

    object: Literal["list"]
    data: list[EventBody]
    has_more: bool
    next_cursor: str | None


class EntryPage(TypedDict):
    """A page of the catalogue."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    has_more: bool
    next_cursor: str | None


class StageMetrics(TypedDict):
    """The curves of one training, as columns of equal length; null where nothing was measured."""

    role: NotRequired[str]
    seed: NotRequired[int | None]
    columns: dict[str, list[float | None]]


class Metrics(TypedDict):
    """All curves of a job."""

    job: str
    stages: dict[str, StageMetrics]
    points: int
    downsampled: bool
