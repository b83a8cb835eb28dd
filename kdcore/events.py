"""What a run reports: the loop yields these, and whoever called it logs, stores or stops."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from kdcore.verdict import Verdict

Role = Literal["teacher", "tutor", "assistant", "baseline", "hard_labels", "student"]
"""A tutor is the teacher with something learned beside it, such as masks."""
Phase = Literal["preparing", "caching_teacher", "training", "evaluating", "exporting"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StagePlan(_Event):
    """One training that the run will do."""

    name: str
    role: Role
    seed: int
    total_steps: int
    teachers: list[str]
    """Stages whose networks teach this one."""


class RunStarted(_Event):
    """The recipe, the data and the device are ready."""

    type: Literal["run.started"] = "run.started"
    stages: list[StagePlan]
    device: str
    processes: int = 1
    """That share each step."""
    threads: int
    """Of the CPU, in each process."""
    versions: dict[str, str]


class PhaseStarted(_Event):
    """The run is in another phase now."""

    type: Literal["phase"] = "phase"
    phase: Phase


class StageStarted(_Event):
    """One training begins, or goes on."""

    type: Literal["stage.started"] = "stage.started"
    stage: str
    role: Role
    seed: int
    step: int
    """0, or the step that it is resumed at."""
    total_steps: int
    parameters: int
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers that the network multiplies in."""
    compiled: bool = False


class StageProgress(_Event):
    """Where the run is, a few times a second."""

    type: Literal["stage.progress"] = "stage.progress"
    stage: str
    role: Role
    seed: int
    step: int
    total_steps: int
    epoch: float
    samples_per_second: float
    eta_seconds: float
    """Seconds to the end of this stage."""
    percent: float
    """Of the whole run, 0 to 100."""
    run_eta_seconds: float
    """Seconds to the end of the run's trainings."""
    metrics: dict[str, float]
    memory_bytes: int | None = None
    """The most that the process had so far: of a GPU's memory for tensors where it trains there,
    else of the machine's. With several processes, of the one that reports."""


class Metrics(_Event):
    """Points of curves, in columns of equal length."""

    type: Literal["metrics"] = "metrics"
    stage: str
    seed: int
    columns: dict[str, list[int | float | None]]
    """`step`, counted from 1, and any of `loss`, `loss/<objective>`, `learning_rate`,
    `validation/<metric>` and, once the teacher is finished, `validation/agreement` with it."""


class TeacherChosen(_Event):
    """A path has chosen one of several teachers."""

    type: Literal["teacher.chosen"] = "teacher.chosen"
    stage: str
    seed: int
    teacher: str
    """The stage whose network teaches."""
    metric: str = "accuracy"
    """What was compared."""
    scores: dict[str, float]
    """Of this metric, on the validation samples, by stage."""
    target: float
    """The middle between the teacher's and the student's own; the nearest is chosen."""


class AnswersProgress(_Event):
    """How far a teacher's answers are that are written down, a few times a second."""

    type: Literal["answers.progress"] = "answers.progress"
    teacher: str
    done: int
    """Samples that are answered, over all views."""
    total: int
    bytes: int
    """What all of them take on the disk."""
    eta_seconds: float
    waiting: bool = False
    """True while another run writes the same answers."""


class AnswersReady(_Event):
    """Who answers for a teacher in a stage: the network in every step, or what is kept of it."""

    type: Literal["answers.ready"] = "answers.ready"
    stage: str
    seed: int
    teacher: str
    answers: Literal["kept", "live"]
    reason: str
    """`found` or `written` where they are kept; else `off`, `fresh_views`, `own_partners`
    where images are mixed with those of this training alone, `features_off`, `not_worth_it`,
    `over_budget`, `out_of_range`, `disk_full`, `unusable`, or `settled` where an earlier attempt
    had asked live."""
    precision: str
    """Numbers that the teacher computes in."""
    cache: str | None = None
    """Key of the teacher cache."""
    views: int = 0
    samples: int = 0
    """Kept answers, over all views."""
    bytes: int = 0
    """What they take on the disk."""
    seconds: float = 0.0
    """Spent on them by this attempt, waiting included."""
    seconds_saved: float = 0.0
    """What asking in every step of the stage would take, less what was spent; an estimate."""


class StageEvaluated(_Event):
    """A network was measured on samples that it does not learn from."""

    type: Literal["stage.evaluated"] = "stage.evaluated"
    stage: str
    seed: int
    step: int
    split: Literal["validation", "test"]
    metric: str = "accuracy"
    """The score that counts."""
    scores: dict[str, float]


class Checkpointed(_Event):
    """All that is needed to go on from this step is on the disk."""

    type: Literal["checkpoint"] = "checkpoint"
    stage: str
    seed: int
    step: int


class StageFinished(_Event):
    """One training is done, and its network is kept."""

    type: Literal["stage.finished"] = "stage.finished"
    stage: str
    role: Role
    seed: int
    step: int
    seconds: float
    """Spent by the attempt that finished it."""
    metric: str = "accuracy"
    """The score that counts."""
    scores: dict[str, float]
    """On the test samples."""
    reused: bool = False
    """True where an earlier attempt had finished it."""


class Warned(_Event):
    """Something is not as one would wish, and the run goes on."""

    type: Literal["warning"] = "warning"
    code: str
    message: str
    hint: str | None = None


class VerdictReached(_Event):
    """Whether the student is worth having."""

    type: Literal["verdict"] = "verdict"
    verdict: Verdict


class ArtifactWritten(_Event):
    """A file that the run delivers."""

    type: Literal["artifact"] = "artifact"
    name: str
    path: str
    """Relative to the working folder."""
    kind: str
    size_bytes: int
    sha256: str
    media_type: str


class RunStopped(_Event):
    """The run was asked to stop, and has saved what is needed to go on."""

    type: Literal["run.stopped"] = "run.stopped"
    reason: str
    stage: str | None = None
    step: int | None = None


class RunFailed(_Event):
    """The run cannot go on."""

    type: Literal["run.failed"] = "run.failed"
    code: str
    message: str
    hint: str | None = None


class RunFinished(_Event):
    """Everything that the recipe asks for is delivered."""

    type: Literal["run.finished"] = "run.finished"
    seconds: float


Event = (
    RunStarted
    | PhaseStarted
    | StageStarted
    | StageProgress
    | Metrics
    | TeacherChosen
    | AnswersProgress
    | AnswersReady
    | StageEvaluated
    | Checkpointed
    | StageFinished
    | Warned
    | VerdictReached
    | ArtifactWritten
    | RunStopped
    | RunFailed
    | RunFinished
)

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
"""Reads an event from JSON."""
