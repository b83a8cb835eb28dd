"""The Python client: what the HTTP API offers, as calls that may be repeated safely."""

from __future__ import annotations

import asyncio
import builtins
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, Unpack, cast
from urllib.parse import quote

import httpx

from stillhouse.address import credentials, server_url
from stillhouse.aio.access import AsyncAccess
from stillhouse.aio.inputs import AsyncInputs
from stillhouse.aio.operations import AsyncOperations
from stillhouse.aio.results import AsyncResults
from stillhouse.aio.stream import AsyncFollowing
from stillhouse.aio.sweeps import AsyncSweeps
from stillhouse.aio.teacher_caches import AsyncTeacherCaches
from stillhouse.aio.transport import AsyncTransport
from stillhouse.aio.verbs import job_path
from stillhouse.aio.webhooks import AsyncWebhooks
from stillhouse.bodies import (
    EntryPage,
    EventBody,
    Filters,
    Job,
    JobPage,
)
from stillhouse.errors import WaitTimedOut
from stillhouse.estimate_bodies import Estimate, Validation

_LONG_POLL_SECONDS = 30


class AsyncClient(AsyncResults):
    """One Stillhouse server.

    Bodies are the server's JSON as it came (see `stillhouse.bodies`). Connection errors and the
    answers 429, 502, 503 and 504 are retried with back-off, honouring `Retry-After`, for
    `patience_seconds`, and only where a repetition changes nothing.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        project: str | None = None,
        timeout_seconds: float = 30.0,
        patience_seconds: float = 30.0,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: the server; without it STILLHOUSE_URL, else the server that `stillhouse up`
                runs on this machine's data folder, else http://127.0.0.1:8000.
            api_key: without it STILLHOUSE_API_KEY; a server on this machine may want none.
            project: where the key opens several; without it STILLHOUSE_PROJECT.
            timeout_seconds: for one answer.
            patience_seconds: how long one call keeps trying a server that does not answer.
        """
        self._http = httpx.AsyncClient(
            base_url=url or server_url(),
            timeout=httpx.Timeout(timeout_seconds, connect=10.0),
            # A watch holds a connection for as long as it lasts, and there may be many.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            headers={"User-Agent": "stillhouse-python", **credentials(api_key, project)},
        )
        super().__init__(AsyncTransport(self._http, patience_seconds))
        self.datasets = AsyncInputs(self._transport, "dataset")
        self.models = AsyncInputs(self._transport, "model")
        self.sweeps = AsyncSweeps(self._transport)
        self.teacher_caches = AsyncTeacherCaches(self._transport)
        self.webhooks = AsyncWebhooks(self._transport)
        self.operations = AsyncOperations(self._transport)
        self.access = AsyncAccess(self._transport)

    @property
    def url(self) -> str:
        """The server's base URL."""
        return self._transport.url

    @property
    def patience_seconds(self) -> float:
        """How long one call keeps trying a server that does not answer; may be changed."""
        return self._transport.patience_seconds

    @patience_seconds.setter
    def patience_seconds(self, seconds: float) -> None:
        self._transport.patience_seconds = seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Give the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    # Jobs

    async def submit(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Create a job and return it.

        The same key with the same spec answers with the same job: name your own
        (at most 255 characters) when the whole program may be repeated, as in CI.

        Raises:
            ApiError: the spec is refused (422): `errors` has a pointer for each wrong field.
        """
        key = idempotency_key or str(uuid.uuid4())
        return cast(
            "Job", await self._transport.send("POST", "/v1/jobs", spec, {"Idempotency-Key": key})
        )

    async def validate(self, spec: Mapping[str, Any]) -> Validation:
        """Check a spec without creating a job, and return it with everything filled in.

        Raises:
            ApiError: the spec is refused (422), exactly as `submit` would refuse it.
        """
        # A key makes the repetition of this POST allowed; a dry run stores nothing under it.
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return cast(
            "Validation", await self._transport.send("POST", "/v1/jobs?dry_run=true", spec, key)
        )

    async def estimate(self, spec: Mapping[str, Any]) -> Estimate:
        """What a job would take: sizes, memory, disk, and time as earlier jobs took it.

        Raises:
            ApiError: the spec is refused (422), exactly as `submit` would refuse it.
        """
        # A key makes the repetition of this POST allowed; nothing is stored under it.
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return cast("Estimate", await self._transport.send("POST", "/v1/jobs/estimate", spec, key))

    async def get(self, job_id: str) -> Job:
        """One job as it is now."""
        return cast("Job", await self._transport.get(job_path(job_id)))

    async def wait(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """Wait until the job has ended or is paused, and return it.

        Raises:
            WaitTimedOut: it had not ended after `timeout_seconds`; it goes on.
        """
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        etag = ""
        job: Job | None = None
        while True:
            left = _LONG_POLL_SECONDS if until is None else until - time.monotonic()
            seconds = max(0, min(_LONG_POLL_SECONDS, int(left)))
            headers = {"Prefer": f"wait={seconds}"} if seconds else {}
            if etag:
                headers["If-None-Match"] = etag
            began = time.monotonic()
            response = await self._transport.request(
                "GET",
                job_path(job_id),
                headers=headers,
                read_timeout_seconds=seconds + 15.0,
            )
            if response.status_code != HTTPStatus.NOT_MODIFIED:
                job = cast("Job", response.json())
                etag = response.headers.get("etag", "")
                if job["terminal"] or job["status"] == "paused":
                    return job
            if until is not None and time.monotonic() >= until:
                status = job["status"] if job else "unknown"
                raise WaitTimedOut(job_id, status, timeout_seconds or 0.0)
            # A progressing job answers every long poll at once: two looks a second are plenty.
            pause = 0.5 - (time.monotonic() - began)
            if until is not None:
                pause = min(pause, until - time.monotonic())
            await asyncio.sleep(max(0.0, pause))

    async def watch(
        self, job_id: str, *, after: int = 0, timeout_seconds: float | None = None
    ) -> AsyncGenerator[EventBody]:
        """Yield the job's events from number `after` on, live, until the job has ended.

        Survives cut connections and restarts of the server without losing or repeating an
        event. `progress` lines come between them; they carry no number (`seq` is None).

        Raises:
            WaitTimedOut: it had not ended after `timeout_seconds`; it goes on.
        """
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        following = AsyncFollowing(self._transport, f"{job_path(job_id)}/events", after, until)
        async with aclosing(following.events()) as events:
            async for event in events:
                yield event
        if not following.done:
            job = await self.get(job_id)
            raise WaitTimedOut(job_id, job["status"], timeout_seconds or 0.0)

    async def list(self, **wanted: Unpack[Filters]) -> JobPage:
        """One page of jobs, newest first; hand `next_cursor` back as `after` for the next."""
        return cast(
            "JobPage",
            await self._transport.get("/v1/jobs", cast("Mapping[str, str | int]", wanted)),
        )

    # The catalogue

    async def catalogue(self, axis: str = "methods") -> builtins.list[dict[str, Any]]:
        """The entries of one axis: methods, objectives, temperatures, weightings, paths …."""
        return cast("EntryPage", await self._transport.get(f"/v1/{quote(axis, safe='')}"))["data"]

    async def methods(self) -> builtins.list[dict[str, Any]]:
        """The methods that a spec may name, with formula, defaults, paper and JSON Schema."""
        return await self.catalogue("methods")

    async def method(self, name: str) -> dict[str, Any]:
        """One method, as `methods` lists it."""
        return cast(
            "dict[str, Any]", await self._transport.get(f"/v1/methods/{quote(name, safe='')}")
        )
