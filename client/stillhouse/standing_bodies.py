"""Where a job stands: in the queue, and in MLflow."""

from __future__ import annotations

from typing import Literal, TypedDict


class Waiting(TypedDict):
    """What a job waits for in the queue."""

    object: Literal["waiting"]
    job: str
    reason: Literal["no_worker", "later", "project_limit", "behind", "next"] | None
    """None where it waits in no queue."""
    ahead: int
    seconds: float | None
    told: str
    """The reason, in a sentence."""


class MlflowRun(TypedDict):
    """A job's run in MLflow, and how far that has been told."""

    object: Literal["mlflow_run"]
    job: str
    state: Literal["told", "waiting", "failing"]
    experiment_id: str | None
    run_id: str | None
    url: str | None
    """Its page, where MLflow is known by an address of the web."""
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] | None
    """As it was last told."""
    model: str | None
    """The registered model, where the student is a version of one."""
    version: str | None
    error: str | None
    """Why the last try failed; for keys of the house."""
