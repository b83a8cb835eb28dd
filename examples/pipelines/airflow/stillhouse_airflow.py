"""Stillhouse in Airflow: an operator that distils, and a sensor that waits for a job.

Put this file into Airflow's `plugins` folder, where workers and triggerer alike find it, and
install the client (docs/pipelines.md) beside Airflow (3.3 or newer). While a job runs, its task is
deferred: it holds no worker slot, and one connection of the triggerer.

The server is that of an Airflow connection (`conn_id`: host, or a whole URL as host, port,
`schema` http or https, the API key as password, a project in `extra` as {"project": …}); without
`conn_id`, that of STILLHOUSE_URL and STILLHOUSE_API_KEY, on workers and triggerer.
"""  # noqa: INP001 - a plugin, not a package

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from stillhouse import AsyncClient, Client, exits
from stillhouse.bodies import Job
from stillhouse.errors import StillhouseError
from stillhouse.spec import read_spec

_SAVING_SECONDS = 600.0
"""How long a job that was cancelled may take to save, before it goes on from there."""


class Server(TypedDict, total=False):
    """The arguments that a client of one server takes."""

    url: str
    api_key: str
    project: str


def server_of(connection: Any) -> Server:
    """Where the server of an Airflow connection is, and the key to it; HTTPS unless it says http.

    Raises:
        AirflowFailException: the connection names no host.
    """
    url = connection.host or ""
    if not url:
        raise AirflowFailException("the connection to Stillhouse has no host; give it one")
    if "://" not in url:
        url = f"{connection.schema or 'https'}://{url}"
    server = Server(url=f"{url.rstrip('/')}:{connection.port}" if connection.port else url)
    if connection.password:
        server["api_key"] = connection.password
    if project := connection.extra_dejson.get("project"):
        server["project"] = project
    return server


class DistilTrigger(BaseTrigger):
    """Fires once a job has ended. A paused job has not, and is waited for.

    It keeps the job's id and nothing else, so a triggerer that is started again, or another one,
    goes on waiting. Only who ends the task in Airflow (mark, clear) cancels the job, if `owned`.
    """

    def __init__(
        self,
        job_id: str,
        conn_id: str | None = None,
        *,
        owned: bool = False,
        patience_seconds: float = 600.0,
    ) -> None:
        """Keep what is waited for, and how long a server may stay away meanwhile."""
        super().__init__()
        self.job_id = job_id
        self.conn_id = conn_id
        self.owned = owned
        self.patience_seconds = patience_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What another triggerer makes this trigger of again; the key is no part of it."""
        kind = type(self)
        kept = {
            "job_id": self.job_id,
            "conn_id": self.conn_id,
            "owned": self.owned,
            "patience_seconds": self.patience_seconds,
        }
        return f"{kind.__module__}.{kind.__qualname__}", kept

    async def run(self) -> AsyncGenerator[TriggerEvent]:
        """Fire once, when the job's story is over.

        Raises:
            StillhouseError: the server refused, or stayed away for longer than the patience.
        """
        # One stream from beginning to end: no polling, and it lasts through pauses.
        async with (
            await self._client() as client,
            aclosing(client.watch(self.job_id)) as events,
        ):
            async for _ in events:
                pass
        yield TriggerEvent({"job": self.job_id})

    async def on_kill(self) -> None:
        """Cancel the job, since somebody ended its task; a restarted triggerer never calls this."""
        if self.owned:
            async with await self._client() as client:
                await client.cancel(self.job_id)

    async def _client(self) -> AsyncClient:
        server = server_of(await BaseHook.aget_connection(self.conn_id)) if self.conn_id else {}
        return AsyncClient(**server, patience_seconds=self.patience_seconds)


class _Waiting:
    """What operator and sensor share: a server, and what a job's end means to a task."""

    conn_id: str | None
    patience_seconds: float

    def server(self) -> Server:
        """Where the server is, and the key to it."""
        return server_of(BaseHook.get_connection(self.conn_id)) if self.conn_id else {}

    def conclude(self, _context: Mapping[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        """What the job's end means, asked of the server itself.

        Raises:
            AirflowException: the job did not end well, or the server does not answer.
        """
        try:
            with Client(**self.server(), patience_seconds=self.patience_seconds) as client:
                return self.concluded(client, client.get(event["job"]))
        except StillhouseError as error:
            raise _refused(error) from error

    def concluded(self, client: Client, job: Job) -> dict[str, Any]:
        """What a good end hands on by XCom.

        Raises:
            AirflowFailException: the job failed, was cancelled, or missed its gates. To try the
                task again would change nothing, so Airflow does not.
        """
        page = f"{client.url}{job['links']['page']}"
        verdict, failure = job["verdict"], job["failure"]
        said = verdict["sentence"] if verdict else ""
        match exits.of_job(job):
            case exits.SUCCEEDED:
                return {
                    "job": job["id"],
                    "outcome": job["outcome"],
                    "verdict": said,
                    "report": f"{client.url}{job['links']['report']}.html",
                }
            case exits.GATES_NOT_MET if verdict:
                missed = [one for one in verdict["gates"] if not one["passed"]]
                told = ", ".join(f"{one['gate']} (found {one['value']})" for one in missed)
                raise AirflowFailException(f"gates not met: {told}. {said} {page}")
            case exits.FAILED if failure:
                told = " ".join(filter(None, (failure["message"], failure["hint"])))
                raise AirflowFailException(f"{job['id']} failed, {failure['code']}: {told} {page}")
            case _:
                raise AirflowFailException(f"{job['id']} is {job['status']}: {page}")


class DistilOperator(_Waiting, BaseOperator):
    """Submits a spec, waits deferred for the verdict, and fails where gates are not met.

    XCom gets `job` (as soon as there is one), `outcome`, `verdict` and `report` (a link). Run,
    task, map index and spec make an idempotency key, so a task that is tried again follows its
    job; one that failed or was cancelled goes on from its last checkpoint when its task is
    cleared. Airflow's `retries` are for a server that cannot be reached: the job has its own.

    Args:
        spec: the spec itself, with templates in any of its words, or the path of a YAML or JSON
            file, relative to the DAG's.
        conn_id: an Airflow connection; without it the environment says where the server is.
        patience_seconds: how long a server may stay away before the task fails.
        arguments: what every operator takes. After `execution_timeout` the task fails and the
            job goes on; the next try follows it.
    """

    template_fields = ("spec", "conn_id")

    def __init__(
        self,
        *,
        spec: Mapping[str, Any] | str,
        conn_id: str | None = None,
        patience_seconds: float = 600.0,
        **arguments: Any,
    ) -> None:
        """Keep what is wanted; nothing is sent yet."""
        super().__init__(**{"multiple_outputs": True, **arguments})
        self.spec = spec
        self.conn_id = conn_id
        self.patience_seconds = patience_seconds
        self._begun: tuple[Server, str] | None = None

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Submit and defer; a job that has ended already is concluded at once."""
        task, server = context["ti"], self.server()
        spec = self._read(context)
        try:
            with Client(**server, patience_seconds=self.patience_seconds) as client:
                submitted = client.submit(spec, idempotency_key=_once(task, spec))
                self._begun = server, submitted["id"]
                task.xcom_push("job", submitted["id"])
                job = _going(client, submitted["id"])
                if job["terminal"]:
                    return self.concluded(client, job)
        except StillhouseError as error:
            raise _refused(error) from error
        self.log.info("%s is %s: %s%s", job["id"], job["status"], client.url, job["links"]["page"])
        self.defer(
            trigger=DistilTrigger(
                job["id"], self.conn_id, owned=True, patience_seconds=self.patience_seconds
            ),
            method_name="conclude",
            timeout=self.execution_timeout,
        )
        return {}

    def on_kill(self) -> None:
        """Cancel the job of a task that is ended before it is deferred; then its trigger does."""
        if self._begun:
            server, job_id = self._begun
            with Client(**server) as client:
                client.cancel(job_id)

    def _read(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        if isinstance(self.spec, str):
            return read_spec(str(Path(context["dag"].folder) / self.spec))
        return self.spec


class DistilSensor(_Waiting, BaseSensorOperator):
    """Waits deferred until a job of somebody else has ended well; it never cancels it.

    XCom gets what the operator's gets. `timeout` and `soft_fail` are every sensor's.

    Args:
        job_id: the job, job_…; a template.
        conn_id: an Airflow connection; without it the environment says where the server is.
        patience_seconds: how long a server may stay away before the task fails.
        arguments: what every sensor takes.
    """

    template_fields = ("job_id", "conn_id")

    def __init__(
        self,
        *,
        job_id: str,
        conn_id: str | None = None,
        patience_seconds: float = 600.0,
        **arguments: Any,
    ) -> None:
        """Keep what is waited for; nothing is sent yet."""
        super().__init__(**{"multiple_outputs": True, **arguments})
        self.job_id = job_id
        self.conn_id = conn_id
        self.patience_seconds = patience_seconds

    def execute(self, context: Mapping[str, Any]) -> None:  # noqa: ARG002 - Airflow names it
        """Defer until the job has ended."""
        self.defer(
            trigger=DistilTrigger(
                self.job_id, self.conn_id, patience_seconds=self.patience_seconds
            ),
            method_name="conclude",
            timeout=timedelta(seconds=self.timeout),
        )


def _once(task: Any, spec: Mapping[str, Any]) -> str:
    """The same for every try of one task with one spec; within the 255 characters of a key."""
    parts = [task.dag_id, task.run_id, task.task_id, task.map_index, spec]
    return f"airflow-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


def _going(client: Client, job_id: str) -> Job:
    """A job that ended badly in an earlier try, on its way again; any other as it is."""
    job = client.get(job_id)  # what answers a repeated key is the job as it was at first
    if job["status"] == "cancelling":
        job = client.wait(job["id"], timeout_seconds=_SAVING_SECONDS)
    return client.retry(job["id"]) if job["status"] in {"failed", "cancelled"} else job


def _refused(error: StillhouseError) -> AirflowException:
    """A refusal is final; a server that cannot be reached is worth another try."""
    kind = AirflowFailException if exits.of_error(error) == exits.USAGE else AirflowException
    return kind(str(error))
