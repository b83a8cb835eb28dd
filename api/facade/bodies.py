"""What the facade answers with: OpenAI's objects, and beside their fields some of ours."""

from __future__ import annotations

from typing import Generic, Literal

from pydantic import JsonValue

from api.schemas import Body, Item, JobStatus, Progress
from kdcore.verdict import Verdict

FileStatus = Literal["processed"]
Purpose = Literal["fine-tune", "user_data", "fine-tune-results"]
Auto = Literal["auto"]


class JobError(Body):
    """Why a job failed."""

    code: str
    message: str
    param: None = None
    hint: str | None = None
    """The way out, where there is an obvious one."""


class UsedHyperparameters(Body):
    """How the student is trained, in OpenAI's words."""

    n_epochs: int | Auto
    """`auto` where the spec says how many steps, and not how many epochs."""
    batch_size: int
    learning_rate_multiplier: float
    """The learning rate over the default one."""


class UsedMethod(Body):
    """The spec of the job: with `model` and `training_file` it can be posted again."""

    type: Literal["distillation"] = "distillation"
    distillation: dict[str, JsonValue]


class FineTuningJob(Body):
    """A job, as OpenAI's clients read one."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    estimated_finish: int | None
    """While it runs, when its trainings will have ended."""
    status: Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
    """A job that is pausing, or being cancelled, is still `running`; `state` tells them apart."""
    model: str
    """The student's architecture, or the job whose student it begins with."""
    fine_tuned_model: str | None
    """`job:job_…` once there is a student; it can be the `model`, or a teacher, of another job."""
    organization_id: str
    """The project."""
    result_files: list[str]
    """Ids of all that it delivered; `GET /v1/files/{id}/content` sends each."""
    trained_tokens: None = None
    """Nobody counts tokens here."""
    training_file: str
    """Id of the uploaded file; or the path, or the data set, that a spec names otherwise."""
    validation_file: str | None
    hyperparameters: UsedHyperparameters
    method: UsedMethod
    seed: int
    """The first of the seeds that are run."""
    metadata: dict[str, str]
    """Its labels."""
    integrations: list[JsonValue] = []
    error: JobError | None
    state: JobStatus
    """The status as `GET /v1/jobs/{id}` tells it."""
    terminal: bool
    """True where the status will not change by itself any more."""
    phase: str | None
    progress: Progress | None
    verdict: Verdict | None
    """Whether the student is worth having."""


class FineTuningEvent(Body):
    """One line of a job's story."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    """`metrics` where a network was measured: `data.scores` says how."""
    data: dict[str, JsonValue]
    """What `GET /v1/jobs/{id}/events` has, with its type as `event`."""


class CheckpointMetrics(Body):
    """What was measured of the network in a checkpoint."""

    step: int
    scores: dict[str, float]
    """On the test samples; the mean over the seeds."""


class FineTuningCheckpoint(Body):
    """A network of a job that others can begin with."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: CheckpointMetrics
    step_number: int


class FileObject(Body):
    """A file that was uploaded, or that a job delivered."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: None = None
    filename: str
    purpose: Purpose
    """`fine-tune` for data sets, `user_data` for models, `fine-tune-results` for what jobs
    delivered."""
    status: FileStatus = "processed"
    status_details: None = None
    sha256: str
    reference: str | None
    """How a spec names it, `dataset:ds_…` or `model:mdl_…`; what a job delivered is named by it."""


class FileDeleted(Body):
    """That a file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class Page(Body, Generic[Item]):
    """One page of a list; the id of its last item is `after` of the next one."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool
