"""What can be done to a job, as calls; asking again is no error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal, cast
from urllib.parse import quote

from stillhouse.bodies import Job
from stillhouse.errors import SpecError
from stillhouse.transport import Transport

JSON = "application/json"
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
        return cast("Job", self._send("POST", f"{job_path(job_id)}/retry", body))

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
        return cast("Job", self._send("POST", path, patch or {}, key, kind=MERGE_PATCH))

    def change(self, job_id: str, patch: Mapping[str, Any]) -> Job:
        """Change the job's `name`, `labels` or `priority` by a JSON merge patch.

        `{"labels": {"team": "a", "old": None}}` sets a label and takes one away.

        Raises:
            ApiError: the priority of a job that does not wait any more (409).
        """
        return cast("Job", self._send("PATCH", job_path(job_id), patch, kind=MERGE_PATCH))

    def delete(self, job_id: str) -> None:
        """Remove a job, its story, curves and files; to delete it again is no error.

        Raises:
            ApiError: a worker is at it (409): cancel or pause it first.
        """
        self._transport.request("DELETE", job_path(job_id), repeatable=True)

    def _get(self, path: str, params: Mapping[str, str | int | None] | None = None) -> object:
        given = {key: value for key, value in (params or {}).items() if value is not None}
        return self._transport.request("GET", path, params=given or None).json()

    def _verb(self, job_id: str, verb: str, body: Mapping[str, Any] | None = None) -> object:
        return self._send("POST", f"{job_path(job_id)}/{verb}", body, again=True)

    def _post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> object:
        return self._send("POST", path, body, headers)

    def _send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
        *,
        kind: str = JSON,
        again: bool = False,
    ) -> object:
        try:
            content = json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise SpecError(f"this cannot be sent as JSON: {error}") from error
        sent = {"Content-Type": kind} if body is not None else {}
        return self._transport.request(
            method,
            path,
            headers={**sent, **(headers or {})},
            content=content if body is not None else None,
            repeatable=again or method == "PATCH",
        ).json()


def job_path(job_id: str) -> str:
    """The path of a job."""
    return f"/v1/jobs/{quote(job_id, safe='')}"
