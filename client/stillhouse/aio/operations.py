"""What operators ask a server: how it is, who works for it, what trainers wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast
from urllib.parse import quote

from stillhouse.aio.transport import AsyncTransport
from stillhouse.errors import ApiError
from stillhouse.operation_bodies import Check, DrainMode, Pulse, Worker


class AsyncOperations:
    """The server's own affairs."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Ask over `transport`."""
        self._transport = transport

    async def pulse(self) -> Pulse:
        """Whether the server answers, its version and its clock.

        Raises:
            Unreachable: no usable answer within the patience.
        """
        before = datetime.now(UTC)
        response = await self._transport.request("GET", "/livez")
        between = before + (datetime.now(UTC) - before) / 2
        body = cast("dict[str, object]", response.json())
        ahead: float | None = None
        if told := response.headers.get("date"):
            # It says whole seconds, cut off: half of one is the best guess of what is missing.
            ahead = (parsedate_to_datetime(told) - between).total_seconds() + 0.5
        return Pulse(str(body.get("version", "")), ahead)

    async def ready(self) -> list[Check]:
        """What the server needs: all of it where it is ready, what is missing where it is not."""
        try:
            told = await self._transport.get("/readyz")
        except ApiError as error:
            missing = [
                Check(name=field.parameter or "", ok=False, detail=field.message)
                for field in error.errors
            ]
            if error.code != "not_ready" or not missing:
                raise
            return missing
        return cast("list[Check]", told["checks"])

    async def workers(self) -> list[Worker]:
        """The workers that are there, and those that lately were."""
        listed = await self._transport.get("/v1/workers")
        return cast("list[Worker]", listed["data"])

    async def drain_worker(self, worker_id: str, *, mode: DrainMode = "finish") -> Worker:
        """Have a worker take no more jobs and end once it runs none; again changes nothing.

        Its jobs run on to their end; with `save` they save and go back to the queue.

        Raises:
            ApiError: there is no such worker (404), or this is no key of the house (403).
        """
        path = f"/v1/workers/{quote(worker_id, safe='')}/drain"
        return cast("Worker", await self._transport.send("POST", path, {"mode": mode}, again=True))

    async def logs(self, job_id: str, *, attempt: int | None = None, tail: int = 1000) -> str:
        """The last lines that the job's trainers wrote; each attempt begins with its own line."""
        params: dict[str, str | int] = {"tail": tail}
        if attempt is not None:
            params["attempt"] = attempt
        path = f"/v1/jobs/{quote(job_id, safe='')}/logs"
        return await self._transport.text(path, params)
