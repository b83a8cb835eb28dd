"""Who is next: projects take turns, and nobody takes more than is theirs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from specs import document

from jobs.database import Database
from jobs.endings import Ending
from jobs.errors import JobNotFound, ProjectFull
from jobs.leases import Claim
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.states import Status


def make(database: Database, project: str, **limits: int | None) -> None:
    with database.write() as session:
        Repository(session).add_project(project, **limits)


def post(database: Database, project: str, **fields: Any) -> str:
    sent = document(**fields)
    with database.write() as session:
        return Repository(session, project).add(JobSpec.model_validate(sent), sent).id


def take(database: Database, **wanted: Any) -> Claim | None:
    with database.write() as session:
        return Repository(session).claim("worker-1", 60, **wanted)


def project_of(database: Database, job_id: str) -> str:
    with database.read() as session:
        return Repository(session).get(job_id).project


def finish(database: Database, claimed: Claim) -> None:
    with database.write() as session:
        Repository(session).settle(
            claimed.job_id, claimed.attempt, Status.SUCCEEDED, Ending("finished"), verdict={}
        )


def served(database: Database, *, finishing: bool) -> list[str]:
    order = []
    while claimed := take(database):
        order.append(project_of(database, claimed.job_id))
        if finishing:
            finish(database, claimed)
    return order


@pytest.mark.parametrize("finishing", [True, False], ids=["one slot", "many slots"])
def test_a_flood_of_one_project_does_not_keep_another_waiting(
    database: Database, *, finishing: bool
) -> None:
    make(database, "vision")
    for _ in range(5):
        post(database, "default", priority=100)
    for _ in range(2):
        post(database, "vision", priority=0)
    order = served(database, finishing=finishing)
    assert order[:4].count("vision") == 2
    assert order[4:] == ["default"] * 3


def test_within_a_project_the_highest_priority_is_first(database: Database) -> None:
    low, high, later = (post(database, "default", priority=p) for p in (10, 90, 90))
    order = []
    while claimed := take(database):
        order.append(claimed.job_id)
    assert order == [high, later, low]


def test_a_project_runs_no_more_than_it_may(database: Database) -> None:
    make(database, "vision", max_running=2)
    for _ in range(6):
        post(database, "vision")
    with ThreadPoolExecutor(6) as pool:
        claims = [one for one in pool.map(lambda _: take(database), range(6)) if one]
    assert len(claims) == 2
    assert take(database) is None
    finish(database, claims[0])
    assert take(database) is not None
    assert take(database) is None


def test_a_project_that_may_run_nothing_waits(database: Database) -> None:
    make(database, "vision", max_running=0)
    post(database, "vision")
    assert take(database) is None
    with database.write() as session:
        Repository(session).limit_project("vision", {"max_running": None})
    assert take(database) is not None


def test_more_than_may_wait_is_refused_and_others_are_not(database: Database) -> None:
    make(database, "vision", max_waiting=2)
    for _ in range(2):
        post(database, "vision")
    with pytest.raises(ProjectFull, match="2 jobs waiting"):
        post(database, "vision")
    post(database, "default")
    assert take(database) is not None
    assert take(database) is not None
    post(database, "vision")


def test_only_workers_that_look_into_a_queue_take_from_it(database: Database) -> None:
    fast = post(database, "default", resources={"queue": "a100"})
    plain = post(database, "default")
    assert take(database, queues=("tpu",)) is None
    first = take(database, queues=("a100", "default"))
    assert first is not None
    assert first.job_id == fast
    assert take(database, queues=("a100",)) is None
    second = take(database)
    assert second is not None
    assert second.job_id == plain


def test_a_job_that_asks_for_more_gpus_is_left_to_others(database: Database) -> None:
    big = post(database, "default", priority=100, resources={"gpus": 4})
    small = post(database, "default")
    first = take(database, gpus=1)
    assert first is not None
    assert first.job_id == small
    assert take(database, gpus=3) is None
    second = take(database, gpus=4)
    assert second is not None
    assert second.job_id == big


def test_a_bound_repository_knows_no_job_of_another_project(database: Database) -> None:
    make(database, "vision")
    theirs = post(database, "vision", labels={"team": "v"})
    ours = post(database, "default", labels={"team": "v"})
    with database.write() as session:
        bound = Repository(session, "default")
        for ask in (
            bound.get,
            bound.row,
            bound.events,
            bound.attempts,
            bound.artifacts,
            bound.metrics,
            bound.request_cancel,
            bound.retry,
            lambda job_id: bound.artifact(job_id, "student.safetensors"),
        ):
            with pytest.raises(JobNotFound):
                ask(theirs)
        for filters in (
            {},
            {"status": [Status.QUEUED]},
            {"labels": {"team": "v"}},
            {"labels": {"team": None}, "teacher": "plain_cnn"},
            {"q": "job_"},
        ):
            assert [job.id for job in bound.list(**filters).items] == [ours]
        assert bound.list(q=theirs).items == []
        assert bound.counts() == {"queued": 1}
        assert Repository(session).counts() == {"queued": 2}
        assert bound.usage() == {("default", "queued"): 1}


def test_each_project_has_idempotency_keys_of_its_own(database: Database) -> None:
    make(database, "vision")
    made = {}
    for project in ("default", "vision"):
        sent = document()
        with database.write() as session:
            job = Repository(session, project).add(
                JobSpec.model_validate(sent), sent, idempotency_key="k", body_sha256="0" * 64
            )
            made[project] = job.id
    with database.read() as session:
        for project, job_id in made.items():
            found = Repository(session, project).find_by_idempotency_key("k")
            assert found == (job_id, "0" * 64)
        assert Repository(session, "default").find_by_idempotency_key("K") is None
