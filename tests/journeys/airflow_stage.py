"""Airflow itself, asked by lines of JSON: run by its own Python, and answering line by line.

{"dag": …, "run": …, "conf": …} runs a DAG as `airflow dags test` does, triggers included, and
answers how each task ended and what it handed on. {"restart": job} has a triggerer die and another
go on, and answers what that meant for the job.
"""

import asyncio
import json
import os
import sys
from contextlib import aclosing
from datetime import UTC, datetime

# What Airflow prints is no answer.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from airflow.dag_processing.dagbag import DagBag  # noqa: E402 - after its output has its place
from airflow.models.xcom import XComModel  # noqa: E402
from airflow.sdk.module_loading import import_string  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from stillhouse import AsyncClient  # noqa: E402
from stillhouse_airflow import DistilTrigger  # noqa: E402

BAG = DagBag()


def played(dag: str, run: int, conf: dict[str, str] | None = None) -> dict[str, object]:
    """One run of a DAG; the same number is the same run, whose tasks are cleared and run again."""
    if BAG.import_errors:
        raise RuntimeError(BAG.import_errors)
    moment = datetime(2026, 1, run, tzinfo=UTC)
    ended = BAG.dags[dag].test(logical_date=moment, run_after=moment, run_conf=conf)
    tasks: dict[str, object] = {}
    with create_session() as session:
        for one in ended.get_task_instances(session=session):
            handed = XComModel.get_many(
                run_id=ended.run_id, dag_ids=dag, task_ids=one.task_id, map_indexes=one.map_index
            )
            tasks[one.task_id if one.map_index < 0 else f"{one.task_id}[{one.map_index}]"] = {
                "state": one.state,
                "try": one.try_number,
                "xcom": {
                    row.key: XComModel.deserialize_value(row) for row in session.scalars(handed)
                },
            }
    return {"state": ended.state, "run": ended.run_id, "tasks": tasks}


async def restarted(job_id: str) -> dict[str, object]:
    """A trigger of a job that runs, cut off and made again of what Airflow keeps of it."""
    kept = json.dumps(DistilTrigger(job_id, owned=True).serialize())

    def fired() -> asyncio.Task[object]:
        path, arguments = json.loads(kept)
        return asyncio.create_task(anext(import_string(path)(**arguments).run()))

    async with AsyncClient() as client:
        first = fired()
        async with aclosing(client.watch(job_id)) as events:
            async for event in events:
                if event["type"] == "progress":
                    break
        first.cancel()
        (cut,) = await asyncio.gather(first, return_exceptions=True)
        second = fired()
        await client.pause(job_id)
        paused = await client.wait(job_id)
        await asyncio.wait({second}, timeout=1)
        answer = {"cut": type(cut).__name__, "status": paused["status"], "fired": second.done()}
        await client.resume(job_id)
        await DistilTrigger(job_id).on_kill()  # a sensor's: its job is somebody else's
        answer["not owned"] = bool((await client.get(job_id))["cancel_requested"])
        await DistilTrigger(job_id, owned=True).on_kill()
        event = await second
        answer |= {"event": event.payload, "ended": (await client.get(job_id))["status"]}
    return answer


for line in sys.stdin:
    asked = json.loads(line)
    restart = asked.get("restart")
    answer = asyncio.run(restarted(restart)) if restart else played(**asked)
    ANSWERS.write(f"{json.dumps(answer, default=str)}\n")
    ANSWERS.flush()
