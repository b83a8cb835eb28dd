"""Jobs beside each other: what differs in their recipes, which is best where, and when none is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from serving import SPEC
from stage_worker import StageWorker, reported, verdict

from api.differences import differences
from jobs.repository import Repository
from kdcore.measures import Int8
from kdcore.verdict import Verdict

NOBODY = "job_" + "0" * 26


def reaching(score: float, **changes: Any) -> Verdict:
    """Return a verdict of a student of this score."""
    found = verdict()
    mean = found.student.score.model_copy(update={"mean": score})
    student = found.student.model_copy(update={"score": mean})
    return found.model_copy(update={"student": student, **changes})


def play(worker: StageWorker, found: Verdict, data: str | None = "cd" * 32) -> str:
    """Play one job to a verdict; without `data` nothing tells what it was measured on."""
    worker.begin()
    worker.start()
    for place in (1, 4):  # the students of two seeds
        worker.train(place)
    told = reported().model_copy(update={"digests": {"data": data}})
    files = [worker.deliver("report.json", told.model_dump_json().encode())] if data else []
    worker.succeed(files, found)
    return worker.claimed.job_id


def compared(client: TestClient, *jobs: str) -> dict[str, Any]:
    answer = client.get("/v1/compare", params={"jobs": ",".join(jobs)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def row(body: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in body["metrics"] if one["name"] == name)
    return found


def codes(body: dict[str, Any]) -> list[str]:
    return [one["code"] for one in body["warnings"]]


def test_jobs_are_told_with_what_differs_and_who_is_best(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    first = submit(name="one", method="kd")
    second = submit(name="two", method="dkd", seeds=[0, 1], temperature=2)
    play(worker, reaching(0.96))
    play(worker, reaching(0.97))
    body = compared(client, first, second)
    assert [job["id"] for job in body["jobs"]] == [first, second]
    assert [job["name"] for job in body["jobs"]] == ["one", "two"]
    assert [job["outcome"] for job in body["jobs"]] == ["beats", "beats"]
    assert [gate["gate"] for gate in body["jobs"][0]["gates"]] == [
        "student.accuracy >= 0.95",
        "retention >= 0.99",
        "size_mb <= 0.1",
    ]
    assert (body["comparable"], body["warnings"]) == (True, [])

    differing = {one["pointer"]: one for one in body["spec_diff"]}
    assert differing["/seeds"]["values"] == {first: [0], second: [0, 1]}
    assert differing["/method/name"]["values"] == {first: "kd", second: "dkd"}
    assert differing["/temperature/value"]["values"] == {first: 4.0, second: 2.0}
    assert not {"/name", "/teacher", "/data/name", "/student/model/name"} & differing.keys()
    recipes = {one: client.get(f"/v1/jobs/{one}").json()["recipe"] for one in (first, second)}
    for pointer, told in differing.items():
        for job, recipe in recipes.items():
            assert at(recipe, pointer) == told["values"].get(job, "absent")
            assert (job in told["absent"]) == (job not in told["values"])

    score = row(body, "student.accuracy")
    assert (score["direction"], score["unit"], score["best"]) == ("maximize", "fraction", [second])
    assert score["values"][first]["value"] == 0.96
    assert score["values"][first]["std"] == pytest.approx(verdict().student.score.std)
    uplift = verdict().uplift
    assert uplift is not None
    sure = row(body, "uplift")["values"][first]
    assert (sure["value"], sure["low"], sure["high"]) == (uplift.mean, uplift.low, uplift.high)
    same = row(body, "parameters")
    assert (same["direction"], same["best"]) == ("minimize", [first, second])
    assert row(body, "training_seconds")["values"][first] == {
        "value": 1.25,
        "std": 0.0,
        "low": None,
        "high": None,
    }
    names = [one["name"] for one in body["metrics"]]
    assert names[:3] == ["teacher.accuracy", "student.accuracy", "baseline.accuracy"]
    assert {"retention", "agreement", "size_mb", "flops", "latency_ms"} < set(names)
    assert not any(name.startswith("int8") for name in names)


def at(document: Any, pointer: str) -> Any:
    """Return what a recipe has at a pointer, or the word absent."""
    for key in pointer.split("/")[1:]:
        try:
            document = document[int(key)] if isinstance(document, list) else document[key]
        except (KeyError, IndexError):
            return "absent"
    return document


def test_an_answer_that_is_known_is_not_sent_again(
    client: TestClient, submit: Callable[..., str]
) -> None:
    path = f"/v1/compare?jobs={submit()},{submit()}"
    first = client.get(path)
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get(path, headers=known).status_code == 304


def test_jobs_that_have_not_ended_are_compared_as_far_as_they_came(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    done = submit(seeds=[0])
    play(worker, reaching(0.9))
    waiting = submit(seeds=[1])
    body = compared(client, waiting, done)
    assert codes(body) == ["not_measured"]
    assert waiting in body["warnings"][0]["message"]
    assert [job["status"] for job in body["jobs"]] == ["queued", "succeeded"]
    assert (body["jobs"][0]["outcome"], body["jobs"][0]["gates"]) == (None, [])
    assert row(body, "student.accuracy")["values"][waiting] is None
    assert {tuple(one["best"]) for one in body["metrics"]} == {()}, "one alone is not the best"
    assert [one["pointer"] for one in body["spec_diff"]] == ["/seeds"]
    both = compared(client, waiting, submit())
    assert both["metrics"] == []


def test_on_different_data_nothing_is_best(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    jobs = [submit(), submit()]
    play(worker, reaching(0.9), data="ab" * 32)
    play(worker, reaching(0.8), data="cd" * 32)
    body = compared(client, *jobs)
    assert codes(body) == ["data_differs"]
    assert "abababababab" in body["warnings"][0]["message"]
    assert not body["comparable"]
    assert not any(one["best"] for one in body["metrics"])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"name": "digits", "labelled": 50}, ["data_unknown"]),
        ({"name": "synthetic"}, ["data_differs", "data_unknown"]),
    ],
)
def test_where_no_report_is_kept_the_recipes_tell_whether_the_data_was_the_same(
    client: TestClient,
    submit: Callable[..., str],
    worker: StageWorker,
    data: dict[str, Any],
    told: list[str],
) -> None:
    jobs = [submit(teacher="mlp"), submit(teacher="mlp", data=data)]
    play(worker, reaching(0.9))
    play(worker, reaching(0.8), data=None)
    body = compared(client, *jobs)
    assert codes(body) == told
    assert jobs[1] in body["warnings"][-1]["message"]
    assert jobs[0] not in body["warnings"][-1]["message"]
    assert row(body, "student.accuracy")["best"] == ([] if "data_differs" in told else jobs[:1])


def test_jobs_that_count_by_different_metrics_have_rows_of_their_own(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    data = {"name": "table", "path": "rows.csv", "label": "a"}
    jobs = [submit(), submit(task="regression", teacher="mlp", data=data)]
    play(worker, reaching(0.9))
    play(worker, reaching(0.8, metric="r2", called="R2"))
    body = compared(client, *jobs)
    assert codes(body) == ["task_differs", "metric_differs"]
    assert row(body, "student.accuracy")["values"][jobs[1]] is None
    assert row(body, "student.r2")["values"][jobs[0]] is None
    assert not any(one["best"] for one in body["metrics"])


def test_what_int8_costs_is_compared_where_it_was_measured(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    int8 = Int8(
        kind="dynamic",
        seed=0,
        calibration_samples=10,
        score=0.94,
        float_score=0.96,
        agreement=0.99,
        size_bytes=4000,
        float_size_bytes=9000,
        latency_ms=0.1,
        float_latency_ms=0.2,
    )
    jobs = [submit(), submit(), submit()]
    for found in (reaching(0.9, int8=int8), reaching(0.9), reaching(0.9)):
        play(worker, found)
    body = compared(client, *jobs)
    assert row(body, "int8.accuracy")["values"][jobs[0]]["value"] == 0.94
    assert row(body, "int8.size_mb")["values"][jobs[1]] is None
    assert row(body, "student.accuracy")["best"] == jobs


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("{a}", "number_of_jobs"),
        ("", "number_of_jobs"),
        (",,", "number_of_jobs"),
        (",".join(["{a}"] * 11), "number_of_jobs"),
        ("{a},{b},{a}", "job_twice"),
        ("{a}," + "x" * 2000, "string_too_long"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    client: TestClient, submit: Callable[..., str], asked: str, code: str
) -> None:
    wanted = asked.format(a=submit(), b=submit())
    refused = client.get("/v1/compare", params={"jobs": wanted})
    assert refused.status_code == 422, refused.text
    (error,) = refused.json()["errors"]
    assert (error["code"], error["parameter"]) == (code, "jobs")
    assert client.get("/v1/compare").json()["errors"][0]["parameter"] == "jobs"


def test_jobs_that_are_not_there_are_all_named(
    client: TestClient, submit: Callable[..., str]
) -> None:
    known, gone = submit(), submit()
    client.post(f"/v1/jobs/{gone}/cancel")
    assert client.delete(f"/v1/jobs/{gone}").is_success
    refused = client.get("/v1/compare", params={"jobs": f"{known},{NOBODY},{gone}"})
    assert (refused.status_code, refused.json()["code"]) == (404, "job_not_found")
    errors = refused.json()["errors"]
    assert [one["code"] for one in errors] == ["job_not_found", "job_deleted"]
    assert NOBODY in errors[0]["message"]
    assert gone in errors[1]["message"]
    assert known not in refused.json()["detail"]
    strange = client.get("/v1/compare", params={"jobs": f"{known},../../etc"})
    assert (strange.status_code, strange.json()["code"]) == (404, "job_not_found")


def test_another_projects_jobs_are_nobodys(doors: Doors) -> None:
    ours, theirs = (
        doors.ask(who, "post", "/v1/jobs", json=SPEC).json()["id"] for who in ("writer", "vision")
    )
    path = f"/v1/compare?jobs={ours},{theirs}"
    assert doors.ask(None, "get", path).status_code == 401
    for who, missing in (("reader", theirs), ("vision", ours)):
        refused = doors.ask(who, "get", path)
        assert (refused.status_code, refused.json()["code"]) == (404, "job_not_found")
        assert [missing in one["message"] for one in refused.json()["errors"]] == [True]


def test_a_report_that_cannot_be_read_tells_no_fingerprint(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    jobs = [submit(), submit()]
    for content in (b"[]", b'{"digests": 3}'):
        worker.begin()
        worker.start()
        worker.succeed([worker.deliver("report.json", content)], reaching(0.9))
    assert codes(compared(client, *jobs)) == ["data_unknown"]


def test_seconds_are_those_of_the_attempt_that_finished_each_training(
    submit: Callable[..., str], worker: StageWorker
) -> None:
    job = submit()
    worker.begin()
    worker.start()
    for place in (0, 1, 1, 2):  # the teacher, one student told of twice, its baseline
        worker.train(place)
    with worker._database.read() as session:
        assert Repository(session).training_seconds([job, NOBODY]) == {job: [1.25], NOBODY: []}


def test_absent_is_not_null_and_true_is_not_one() -> None:
    documents: dict[str, Any] = {
        "a": {"x": None, "same": {"deep": [1]}, "flag": True, "list": [{"n": 1}], "a/~b": 0},
        "b": {"same": {"deep": [1]}, "flag": 1, "list": [{"n": 2}, {"n": 3}], "a/~b": 1},
    }
    assert dict(differences(documents)) == {
        "/x": {"a": None},
        "/flag": {"a": True, "b": 1},
        "/list/0/n": {"a": 1, "b": 2},
        "/list/1": {"b": {"n": 3}},
        "/a~1~0b": {"a": 0, "b": 1},
    }
    assert list(differences({"a": {"x": [1]}, "b": {"x": [1]}})) == []
    mixed: dict[str, Any] = {"a": [1, {"p": 1, "q": 2}], "b": [1, {"q": 2, "p": 1}]}
    assert list(differences(mixed)) == []
    whole = {"a": {"x": {"y": 1}}, "b": {"x": None}}
    assert dict(differences(whole)) == {"/x": {"a": {"y": 1}, "b": None}}
