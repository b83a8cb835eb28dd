"""A job as a run of MLflow, where this house mirrors its jobs there."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import NO_STORE, problems, send
from api.dependencies import JobId, Ledger
from api.problems import Problem
from api.schemas import Body
from jobs.mlflow_client import run_url

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["watch"])


class MlflowRun(Body):
    """A job's run in MLflow, and how far that has been told."""

    object: Literal["mlflow_run"] = "mlflow_run"
    job: str
    state: Literal["told", "waiting", "failing"]
    """`told` where nothing is left for now; `failing` where a try failed, and the next waits."""
    experiment_id: str | None
    run_id: str | None
    """None until there is one."""
    url: str | None
    """Its page, where MLflow is known by an address of the web."""
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] | None
    """As it was last told."""
    model: str | None
    """The registered model, where the student is a version of one."""
    version: str | None
    error: str | None
    """Why the last try failed; for keys of the house."""


@router.get(
    "/mlflow",
    operation_id="get_mlflow_run",
    response_model=MlflowRun,
    responses=problems(404, 410),
)
def get_mlflow_run(visit: Ledger, job_id: JobId) -> Response:
    """Return where in MLflow a job is, and how far it has been told there."""
    with visit.reading() as repository:
        repository.get(job_id)
        row = repository.run_of(job_id)
    if row is None:
        mirrored = bool(visit.settings.mlflow_url)
        raise Problem(
            404,
            "mlflow_run_not_found",
            f"nothing of job {job_id} was told to MLflow",
            hint="a job is told once its first attempt begins, or it ends without one"
            if mirrored
            else "an operator names an MLflow in STILLHOUSE_MLFLOW_URL",
        )
    body = MlflowRun.model_validate(
        {
            "job": job_id,
            "state": "told" if row.next_at is None else "failing" if row.failures else "waiting",
            "experiment_id": row.experiment_id,
            "run_id": row.run_id,
            "url": run_url(visit.settings, row),
            "status": row.told,
            "model": row.model,
            "version": row.version,
            "error": row.error if visit.caller.is_house else None,
        }
    )
    return send(body, headers=NO_STORE)
