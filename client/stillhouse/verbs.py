# Made of aio/verbs.py by scripts/unasync.py: change that one.
"""What can be done to a job, as calls; asking again is no error."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal, cast
from urllib.parse import quote

from stillhouse.bodies import Job
from stillhouse.inspection_bodies import Inspection
from stillhouse.inspections import inspected
from stillhouse.transport import Transport

MERGE_PATCH = "application/merge-patch+json"


class Verbs:
    """The verbs of one server's jobs; `Client` has them all."""

    def __init__(self, transport: Transport) -> None:
        """Speak over a connection."""
        self._transport = transport

    def cancel(self, job_id: str, *, mode: Literal["graceful", "now"] = "graceful") -> Job:
        """Ask for the job's end: `graceful` saves first, `now` kills."""
        return cast("Job", self._verb(job_id, "cancel", {"mode": mode}))

    def pause(self, job_id: str) -> Job:
        """Have the job save and give its place to others; `resume` lets it go on from there."""
        return cast("Job", self._verb(job_id, "pause"))

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again; one that is still pausing runs on."""
        return cast("Job", self._verb(job_id, "resume"))

    def retry(
        self,
        job_id: str,
        *,
        start: Literal["checkpoint", "scratch"] = "checkpoint",
        max_runtime_seconds: int | None = None,
    ) -> Job:
        """Queue a failed or cancelled job again, from its last checkpoint or from nothing.

        Args:
            job_id: the job.
            start: where it begins.
            max_runtime_seconds: another limit of the time that it may run.
        """
        body: dict[str, Any] = {"from": start}
        if max_runtime_seconds is not None:
            body["max_runtime_seconds"] = max_runtime_seconds
        # Not sent again by itself: the job may have failed once more in between.
        return cast("Job", self._transport.send("POST", f"{job_path(job_id)}/retry", body))

    def clone(
        self,
        job_id: str,
        patch: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """Create a job with another one's spec, changed by a JSON merge patch (RFC 7396).

        Raises:
            ApiError: the patched spec is refused (422): `errors` has a pointer into it.
        """
        key = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        path = f"{job_path(job_id)}/clone"
        return cast("Job", self._transport.send("POST", path, patch or {}, key, kind=MERGE_PATCH))

    def change(self, job_id: str, patch: Mapping[str, Any]) -> Job:
        """Change the job's `name`, `labels` or `priority` by a JSON merge patch.

        `{"labels": {"team": "a", "old": None}}` sets a label and takes one away.

        Raises:
            ApiError: the priority of a job that does not wait any more (409).
        """
        return cast("Job", self._transport.send("PATCH", job_path(job_id), patch, kind=MERGE_PATCH))

    def delete(self, job_id: str) -> None:
        """Remove a job, its story, curves and files; to delete it again is no error.

        Raises:
            ApiError: a worker is at it (409): cancel or pause it first.
        """
        self._transport.request("DELETE", job_path(job_id), repeatable=True)

    def _verb(self, job_id: str, verb: str, body: Mapping[str, Any] | None = None) -> object:
        return self._transport.send("POST", f"{job_path(job_id)}/{verb}", body, again=True)

    def preflight(self, spec: Mapping[str, Any], *, again: bool = False) -> Inspection:
        """What a job would fail of: a worker takes one step of each training, and queues no job.

        Raises:
            ApiError: the spec is refused (422), exactly as `submit` would refuse it.
            StillhouseError: no worker has looked for a long while.
        """
        return inspected(self._transport, "POST", "/v1/jobs/preflight", body=spec, again=again)


def job_path(job_id: str) -> str:
    """The path of a job."""
    return f"/v1/jobs/{quote(job_id, safe='')}"
