"""The short way says what the long way says, to the byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from stage_worker import StageWorker

from api import telling, views
from api.examples import EXAMPLES
from jobs.batches import Batches
from jobs.database import Database
from jobs.errors import IdempotencyKeyTaken
from jobs.intake import store_all
from jobs.keyed import Glance, rows_of
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.submission import Submission

Submit = Callable[..., str]
SPEC = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}


def purge(database: Database) -> None:
    """Give up the files of all jobs that have ended."""
    with database.write() as session:
        assert Repository(session).purge(1e-9, 10)


def both(database: Database, job_id: str) -> tuple[object, object]:
    """Return what is told of a job in the fast way, and in the plain one."""
    with database.read() as session:
        plain = views.full(Repository(session).get(job_id)).model_dump_json()
        row = Repository(session).row(job_id)
    if database.is_sqlite:
        # Moments come as text here.
        glance = Glance(database)
        seen = glance.row(job_id)
        glance.close()
        assert seen is not None
        assert telling.full(seen) == telling.full(row)
    # As lists of pairs, so that the order counts as well.
    pairs = [json.loads(text, object_pairs_hook=list) for text in (telling.full(row), plain)]
    return pairs[0], pairs[1]


def test_a_job_is_told_alike_from_its_row_and_from_records_at_every_turn_of_its_life(
    client: TestClient, database: Database, worker: StageWorker, submit: Submit
) -> None:
    ids = [
        submit(**{**example["value"], "name": 'ünïcødé 🥃 "\\', "labels": {"k": "x'\"y"}})
        for example in EXAMPLES.values()
    ]
    for turn in (
        lambda: None,
        worker.begin,
        worker.start,
        lambda: worker.train(0, until=0.5),
        lambda: worker.train(0),
        lambda: worker.fail("nan_loss", "the loss became NaN"),
        lambda: client.post(f"/v1/jobs/{ids[0]}/retry", json={"max_runtime_seconds": 600}),
        lambda: ids.append(client.post(f"/v1/jobs/{ids[0]}/clone").json()["id"]),
        lambda: client.post(f"/v1/jobs/{ids[-1]}/pause"),
        lambda: client.patch(f"/v1/jobs/{ids[-1]}", json={"name": None, "labels": {"a": 'b"'}}),
        worker.begin,
        lambda: worker.play({"a.txt": b"x"}),
        lambda: purge(database),
        lambda: client.post(f"/v1/jobs/{ids[-1]}/cancel"),
    ):
        turn()
        for job_id in ids:
            fast, plain = both(database, job_id)
            assert fast == plain


def test_the_long_way_and_the_short_way_give_the_same_answers(
    client: TestClient, submit: Submit
) -> None:
    path = f"/v1/jobs/{submit()}"
    short = client.get(path)
    # A preference that is none takes the long way.
    long = client.get(path, headers={"Prefer": "respond-async"})
    assert long.content == short.content
    assert set(long.headers.items()) - set(short.headers.items()) <= {
        ("x-request-id", long.headers["x-request-id"])
    }
    known = {"If-None-Match": short.headers["etag"]}
    answers = [client.get(path, headers=known), client.get(path, headers={**known, "Prefer": "x"})]
    assert [(one.status_code, one.content) for one in answers] == [(304, b"")] * 2
    text = client.get("/metrics").text
    assert 'method="GET",route="/v1/jobs/{job_id}",status="304"} 2.0' in text
    assert 'method="POST",route="/v1/jobs",status="201"} 1.0' in text


@pytest.mark.parametrize("job_id", ["nope", "job_" + "0" * 26, "job_" + "0" * 26 + "%0A", ""])
def test_what_is_not_there_is_refused_as_ever(client: TestClient, job_id: str) -> None:
    response = client.get(f"/v1/jobs/{job_id}" if job_id else "/v1/jobs/")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_job_is_read_while_its_file_is_locked(
    client: TestClient, database: Database, submit: Submit
) -> None:
    path = f"/v1/jobs/{submit()}"
    with database.write() as session:
        Repository(session).request_cancel(path.rpartition("/")[2])
        assert client.get(path).json()["status"] == "queued"
    assert client.get(path).json()["status"] == "cancelled"


def test_the_stored_recipe_is_the_one_that_validating_twice_would_give() -> None:
    for example in EXAMPLES.values():
        spec = JobSpec.model_validate(example["value"])
        stored = json.loads(Submission.of(spec, example["value"]).recipe)
        assert stored == spec.recipe().model_dump(mode="json")


def test_jobs_stored_together_are_as_if_each_had_been_stored_alone(database: Database) -> None:
    names = [f"job {place}" for place in range(10)]
    specs = [{**SPEC, "name": name, "labels": {"n": name}} for name in names]
    made = [Submission.of(JobSpec.model_validate(one), one) for one in specs]
    rows = store_all(database, made)
    ids = [row.id for row in rows if not isinstance(row, Exception)]
    assert ids == sorted(ids)
    with database.read() as session:
        ledger = Repository(session)
        assert [job.name for job in ledger.list().items] == names[::-1]
        assert [job.name for job in ledger.list(labels={"n": "job 3"}).items] == ["job 3"]
        assert ledger.counts() == {"queued": 10}
        for job_id, sent in zip(ids, specs, strict=True):
            assert ledger.get(job_id).spec == sent
            assert [(e.seq, e.type) for e in ledger.events(job_id)] == [(1, "job.queued")]
    stored = rows_of(database, ids)
    told = [telling.full(row) for row in stored if not isinstance(row, Exception)]
    assert told == [telling.full(row) for row in rows if not isinstance(row, Exception)]


def test_a_taken_key_spoils_nothing_for_those_that_came_at_the_same_moment(
    database: Database,
) -> None:
    spec = JobSpec.model_validate(SPEC)

    def keyed(key: str | None) -> Submission:
        return Submission.of(spec, SPEC, idempotency_key=key, body_sha256="a" * 64)

    found = store_all(database, [keyed("a"), keyed(None), keyed("a"), keyed("b")])
    assert [type(one) is IdempotencyKeyTaken for one in found] == [False, False, True, False]
    (again,) = store_all(database, [keyed("b")])
    assert isinstance(again, IdempotencyKeyTaken)
    with database.read() as session:
        assert Repository(session).counts() == {"queued": 3}


def test_a_crowd_of_posts_is_stored_in_few_transactions(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/jobs", json=SPEC), range(48)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 48
    assert client.get("/v1/queue").json()["waiting"] == 48


def test_questions_that_come_together_are_answered_together_and_each_hears_its_own() -> None:
    batches: list[list[int]] = []

    def work(questions: Sequence[int]) -> list[int | Exception]:
        batches.append(list(questions))
        return [ValueError(str(one)) if one % 3 == 0 else one * 2 for one in questions]

    async def crowd() -> list[object]:
        asked = Batches[int, int]("crowd", work)
        tasks = [asyncio.ensure_future(asked.ask(place)) for place in range(100)]
        tasks[1].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        asked.close()
        return list(answers)

    answers = asyncio.run(crowd())
    assert [len(batch) for batch in batches] == [64, 35]
    assert isinstance(answers[1], asyncio.CancelledError)
    assert [answer for answer in answers if isinstance(answer, int)] == [
        2 * place for place in range(2, 100) if place % 3
    ]
    assert [str(answer) for answer in answers if isinstance(answer, ValueError)] == [
        str(place) for place in range(0, 100, 3)
    ]


def test_work_that_fails_as_a_whole_is_everybodys_answer() -> None:
    def work(_: Sequence[int]) -> list[int]:
        raise RuntimeError("away")

    async def ask() -> list[object]:
        asked = Batches[int, int]("fails", work)
        answers = await asyncio.gather(*map(asked.ask, range(3)), return_exceptions=True)
        asked.close()
        return list(answers)

    assert [str(answer) for answer in asyncio.run(ask())] == ["away"] * 3
