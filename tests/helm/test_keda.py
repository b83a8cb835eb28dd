"""KEDA asks the ledger itself how many workers a pool could use: the question, on a real ledger."""

from __future__ import annotations

from typing import Any

import pytest
from chart import documents, found, pod_of, variables
from sqlalchemy import text
from value_sets import KEDA

from jobs.database import Database
from jobs.inspections import Question
from jobs.repository import Repository
from jobs.spec import JobSpec

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
SPEC: dict[str, Any] = {"teacher": "mlp", "student": "mlp", "data": "digits"}


class Pools:
    """A ledger, and what KEDA hears of it."""

    def __init__(self, database: Database) -> None:
        """Take the questions from the chart."""
        self._database = database
        jobs = {one: found("ScaledJob", f"-{one}", KEDA)["spec"] for one in ("cpu", "a100")}
        self._questions = {
            pool: spec["triggers"][0]["metadata"]["query"] for pool, spec in jobs.items()
        }

    def wanted(self) -> dict[str, float]:
        """Return how many workers each pool could use; KEDA reads a number with a point."""
        with self._database.read() as session:
            return {
                pool: float(session.scalars(text(question)).one())
                for pool, question in self._questions.items()
            }

    def submit(self, **resources: Any) -> str:
        """Store a job."""
        sent = {**SPEC, "resources": resources}
        with self._database.write() as session:
            return Repository(session).add(JobSpec.model_validate(sent), sent).id

    def claim(self, **where: Any) -> str:
        """Take the next job as a worker does."""
        with self._database.write() as session:
            claim = Repository(session).claim("worker", 60, **where)
        assert claim is not None
        return claim.job_id

    def change(self, statement: str, **values: Any) -> None:
        """Change a row."""
        with self._database.write() as session:
            session.execute(text(statement), values)


@pytest.fixture
def pools(database: Database) -> Pools:
    """Give an empty ledger."""
    return Pools(database)


def test_who_could_take_a_job_is_wanted_for_it(pools: Pools) -> None:
    assert pools.wanted() == {"cpu": 0, "a100": 0}
    pools.submit()
    assert pools.wanted() == {"cpu": 1, "a100": 1}, "both look into `default`"
    pools.submit(queue="a100", gpus=1)
    assert pools.wanted() == {"cpu": 1, "a100": 2}
    pools.submit(gpus=1)
    assert pools.wanted() == {"cpu": 1, "a100": 3}, "the CPU's has no GPU for it"
    pools.submit(queue="a100", gpus=2)
    pools.submit(queue="elsewhere")
    assert pools.wanted() == {"cpu": 1, "a100": 3}
    pools.claim(queues=["a100"])
    assert pools.wanted() == {"cpu": 1, "a100": 2}, "a job that runs waits no more"


def test_a_job_that_is_not_due_yet_wants_nobody(pools: Pools) -> None:
    job = pools.submit()
    later = "UPDATE jobs SET run_after = clock_timestamp() + :wait * INTERVAL '1 second'"
    pools.change(f"{later} WHERE id = :id", id=job, wait=300)
    assert pools.wanted() == {"cpu": 0, "a100": 0}
    # Longer than any wait: the clock was wrong when it began, and a claim takes it.
    pools.change(f"{later} WHERE id = :id", id=job, wait=5000)
    assert pools.wanted() == {"cpu": 1, "a100": 1}
    assert pools.claim() == job


def test_a_project_that_may_run_no_more_wants_nobody_for_the_rest(pools: Pools) -> None:
    for _ in range(4):
        pools.submit()
    pools.change("UPDATE projects SET max_running = 3")
    assert pools.wanted()["cpu"] == 3
    pools.claim()
    assert pools.wanted()["cpu"] == 2
    pools.change("UPDATE projects SET max_running = 0")
    assert pools.wanted()["cpu"] == 0
    pools.change("UPDATE projects SET max_running = NULL")
    assert pools.wanted()["cpu"] == 3


def test_questions_of_people_want_somebody_too(pools: Pools, database: Database) -> None:
    with database.write() as session:
        Repository(session).inspect("default", Question("preflight", {}), by=None)
    assert pools.wanted() == {"cpu": 1, "a100": 0}
    with database.write() as session:
        Repository(session).claim_inspection(60)
    assert pools.wanted() == {"cpu": 0, "a100": 0}


def test_keda_reads_the_secret_of_the_pods_and_starts_workers_that_end(database_url: str) -> None:
    spec = found("ScaledJob", "-a100", KEDA)["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "postgresql"
    assert trigger["metadata"]["targetQueryValue"] == "2", "jobs that one worker takes"
    named = trigger["authenticationRef"]["name"]
    (authentication,) = [
        one
        for one in documents(KEDA)
        if one["kind"] == "TriggerAuthentication" and one["metadata"]["name"] == named
    ]
    assert authentication["spec"]["secretTargetRef"] == [
        {"parameter": "connection", "name": "stillhouse", "key": "database-url"}
    ]
    told = variables(found("ScaledJob", "-a100", KEDA))
    assert told["STILLHOUSE_WORKER_JOBS"] == told["STILLHOUSE_SLOTS"] == "2"
    assert told["STILLHOUSE_WORKER_IDLE_SECONDS"] == "60"
    # The ledger counts attempts, and an upgrade ends no worker.
    assert (spec["jobTargetRef"]["backoffLimit"], spec["rollout"]) == (0, {"strategy": "gradual"})
    pod = pod_of(found("ScaledJob", "-a100", KEDA)) or {}
    assert pod["spec"]["restartPolicy"] == "Never"
    assert spec["scalingStrategy"] == {"strategy": "accurate"}
    idle = variables(found("Deployment", "-worker-cpu"))
    assert not {"STILLHOUSE_WORKER_JOBS", "STILLHOUSE_WORKER_IDLE_SECONDS"} & set(idle)
