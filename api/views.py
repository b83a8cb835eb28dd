"""From rows of the ledger to what the API says about them: JSON, streams and pages start here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from api import schemas
from api.plots import MetricsBody, StageMetrics
from api.stored_file import StoredFile
from api.streams import Line, Look, frame
from jobs.artifacts import ArtifactStore
from jobs.metrics import Curves
from jobs.states import TERMINAL, Status

if TYPE_CHECKING:
    from jobs import tables


def links(job_id: str) -> schemas.JobLinks:
    """Return the paths of everything that belongs to a job."""
    here = f"/v1/jobs/{job_id}"
    return schemas.JobLinks(
        self=here,
        events=f"{here}/events",
        metrics=f"{here}/metrics",
        attempts=f"{here}/attempts",
        logs=f"{here}/logs",
        artifacts=f"{here}/artifacts",
        zip=f"{here}/artifacts.zip",
        checksums=f"{here}/SHA256SUMS",
        report=f"{here}/report",
        page=f"/jobs/{job_id}",
        cancel=f"{here}/cancel",
        pause=f"{here}/pause",
        resume=f"{here}/resume",
        retry=f"{here}/retry",
        clone=f"{here}/clone",
    )


def summary(job: tables.Job) -> schemas.JobSummary:
    """Return a job as lists show it."""
    return schemas.JobSummary.model_validate(_summary_fields(job))


def full(job: tables.Job) -> schemas.Job:
    """Return a job with all that was asked and all that came out."""
    fields = _summary_fields(job)
    return schemas.Job.model_validate(
        {**fields, "verdict": job.verdict, "spec": job.spec, "recipe": job.recipe}
    )


def _summary_fields(job: tables.Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "project": job.project,
        "name": job.name,
        "labels": job.labels,
        "status": job.status,
        "terminal": is_terminal(job),
        "phase": job.phase,
        "method": job.method,
        "teacher": job.teacher,
        "student": job.student,
        "progress": job.progress,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "max_runtime_seconds": job.max_runtime_seconds,
        "worker": job.worker,
        "priority": job.priority,
        "cloned_from": job.cloned_from,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "cancel_requested": job.cancel_mode,
        "outcome": (job.verdict or {}).get("outcome"),
        "gates_passed": job.gates_passed,
        "failure": job.failure,
        "artifacts_purged_at": job.artifacts_purged_at,
        "links": links(job.id),
    }


def is_terminal(job: tables.Job) -> bool:
    """Return whether the job stays as it is unless somebody retries it."""
    return Status(job.status) in TERMINAL


def event(row: tables.Event) -> schemas.Event:
    """Return one line of a job's story."""
    return schemas.Event(seq=row.seq, type=row.type, at=row.at, attempt=row.attempt, data=row.data)


def look(job: tables.Job, events: Sequence[tables.Event]) -> Look:
    """Return a job and some of its events as the streams send them."""
    told = summary(job)
    end = {"status": told.status, "terminal": True}
    return Look(
        summary=told.model_dump_json().encode(),
        progress=(frame("progress", told.progress.model_dump_json()) if told.progress else b""),
        end=frame("end", json.dumps(end)) if told.terminal else b"",
        last_seq=job.last_seq,
        lines=[
            Line(
                row.seq,
                f"id: {row.seq}\n".encode() + frame(row.type, event(row).model_dump_json()),
            )
            for row in events
        ],
    )


def metrics(job_id: str, curves: Curves) -> MetricsBody:
    """Return the curves of a job."""
    return MetricsBody(
        job=job_id,
        stages=stage_metrics(curves),
        points=curves.points,
        downsampled=curves.downsampled,
    )


def stage_metrics(curves: Curves) -> dict[str, StageMetrics]:
    """Return curves by stage; its role is the part of its name before the numbers."""
    return {
        name: StageMetrics(role=stage_role(name), seed=series.seed, columns=series.columns)
        for name, series in curves.stages.items()
    }


def stage_role(stage: str) -> str:
    """Return the role in a stage's name: `hard_labels-0` is of the role hard_labels."""
    return stage.partition("-")[0]


def attempt(row: tables.Attempt) -> schemas.Attempt:
    """Return one claim of a job."""
    return schemas.Attempt.model_validate(
        {
            "number": row.attempt,
            "status": row.status,
            "worker": row.worker,
            "reason": row.reason,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
            "exit_code": row.exit_code,
            "signal": row.signal,
        }
    )


def artifact(row: tables.Artifact) -> schemas.Artifact:
    """Return what is known of a delivered file."""
    return schemas.Artifact(
        name=row.name,
        kind=row.kind,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        media_type=row.media_type,
        created_at=row.created_at,
        url=f"/v1/jobs/{row.job_id}/artifacts/{row.name}",
    )


def stored_file(row: tables.Artifact | tables.Input, store: ArtifactStore) -> StoredFile:
    """Return a file that was delivered or brought, with the way to its content."""
    return StoredFile(
        name=row.name,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        media_type=row.media_type,
        created_at=row.created_at,
        store=store,
        location=row.location,
    )


def takes_jobs(worker: tables.Worker, oldest: datetime) -> bool:
    """Say whether a worker was seen since a moment, and does not drain."""
    return worker.seen_at >= oldest and worker.draining_since is None


def counts(found: Mapping[str, int]) -> dict[str, int]:
    """Return the number of jobs in every status, also in those that none is in."""
    return {status.value: found.get(status.value, 0) for status in Status}


def etag(content: bytes) -> str:
    """Return the strong validator of a body: the same bytes, the same tag."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
