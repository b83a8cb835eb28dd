"""Sweeps over HTTP: planned, begun a few at a time, ranked, cancelled and resumed as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from looking import finish, report_of, upload
from stage_worker import StageWorker, verdict
from zips import plain

from jobs.database import Database
from jobs.repository import Repository
from kdcore.verdict import Verdict

SPEC: dict[str, Any] = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}
RATES = [0.01, 0.02, 0.05, 0.1]
GRID: dict[str, Any] = {
    "name": "rates",
    "spec": SPEC,
    "space": {"training.learning_rate": RATES, "/seeds": [[0], [1]]},
    "max_parallel": 3,
}


def advance(database: Database, sweep_id: str) -> list[str]:
    """Go on with a sweep as a sweeper does."""
    with database.write() as session:
        return Repository(session).advance_sweep(sweep_id)


def reaching(score: float) -> Verdict:
    """Return a verdict of a student of this score."""
    found = verdict()
    mean = found.student.score.model_copy(update={"mean": score})
    return found.model_copy(update={"student": found.student.model_copy(update={"score": mean})})


def play(worker: StageWorker, score: float) -> str:
    """Play one job to a student of this score."""
    worker.begin()
    worker.start()
    worker.succeed(found=reaching(score))
    return worker.claimed.job_id


def trial_of(client: TestClient, job_id: str) -> dict[str, Any]:
    return client.get(f"/v1/jobs/{job_id}").json()


def test_a_grid_is_tried_a_few_at_a_time_and_ranked(
    client: TestClient, worker: StageWorker, database: Database
) -> None:
    made = client.post("/v1/sweeps", json=GRID)
    assert made.status_code == 201, made.text
    sweep = made.json()
    path = made.headers["location"]
    assert path == f"/v1/sweeps/{sweep['id']}"
    assert sweep["trials"] | {"pending": 5, "active": 3} == sweep["trials"]
    jobs = client.get(f"/v1/jobs?label=sweep={sweep['id']}").json()["data"]
    assert {job["name"] for job in jobs} == {"rates 0", "rates 1", "rates 2"}
    scores = {}
    for number in range(8):
        job_id = play(worker, 0.5 + 0.01 * number)
        scores[job_id] = 0.5 + 0.01 * number
        assert len(advance(database, sweep["id"])) == (1 if number < 5 else 0)
    assert advance(database, sweep["id"]) == []
    ended = client.get(path).json()
    assert (ended["status"], ended["ended_for"]) == ("completed", "done")
    assert ended["trials"]["succeeded"] == 8
    board = client.get(f"{path}/leaderboard").json()["data"]
    assert [one["rank"] for one in board] == list(range(1, 9))
    assert [one["values"]["student.accuracy"] for one in board] == sorted(
        scores.values(), reverse=True
    )
    assert [one["on_front"] for one in board] == [True] + [False] * 7
    best = board[0]
    spec = trial_of(client, best["job"])["spec"]
    assert spec["training"]["learning_rate"] == best["point"]["/training/learning_rate"]
    assert spec["seeds"] == best["point"]["/seeds"]
    for verb in ("cancel", "resume"):
        refused = client.post(f"{path}/{verb}")
        assert (refused.status_code, refused.json()["code"]) == (409, "sweep_completed")


def test_a_cancelled_sweep_goes_on_with_what_had_not_ended(
    client: TestClient, worker: StageWorker, database: Database
) -> None:
    made = client.post("/v1/sweeps", json=GRID)
    path = made.headers["location"]
    done = play(worker, 0.7)
    for _ in range(2):
        cancelled = client.post(f"{path}/cancel", json={"mode": "now"})
        assert cancelled.status_code == 200, cancelled.text
        assert cancelled.json()["status"] == "cancelled"
        assert cancelled.json()["trials"]["cancelled"] == 2
    assert advance(database, made.json()["id"]) == []
    resumed = client.post(f"{path}/resume").json()
    assert (resumed["status"], resumed["ended_at"]) == ("running", None)
    counts = resumed["trials"]
    assert (counts["succeeded"], counts["active"], counts["pending"]) == (1, 3, 4)
    board = client.get(f"{path}/leaderboard").json()["data"]
    assert (board[0]["job"], board[0]["rank"]) == (done, 1)
    assert {one["rank"] for one in board[1:]} == {None}


def test_the_best_of_a_rung_go_on_to_the_next(
    client: TestClient, worker: StageWorker, database: Database
) -> None:
    asha = {"name": "asha", "trials": 6, "eta": 2, "least": 10, "most": 40, "seed": 3}
    body = {
        "spec": SPEC,
        "space": {"/training/learning_rate": {"min": 0.001, "max": 0.1, "log": True}},
        "strategy": asha,
        "max_parallel": 1,
    }
    plan = client.post("/v1/sweeps?dry_run=true", json=body).json()
    assert (len(plan["points"]), plan["rungs"]) == (6, [10, 20, 40])
    made = client.post("/v1/sweeps", json=body)
    path, rungs = made.headers["location"], []
    while client.get(path).json()["status"] == "running":
        worker.begin()
        spec = trial_of(client, worker.claimed.job_id)["spec"]
        rungs.append(spec["training"]["max_steps"])
        worker.start()
        # The larger the rate, the better.
        worker.succeed(found=reaching(0.5 + spec["training"]["learning_rate"]))
        advance(database, made.json()["id"])
        advance(database, made.json()["id"])
    # Who was among the best of a few goes on, though better ones may come: at least the half.
    assert rungs.count(10) == 6
    assert 3 <= rungs.count(20) < 6
    assert 1 <= rungs.count(40) < rungs.count(20)
    board = client.get(f"{path}/leaderboard").json()["data"]
    rates = [one["point"]["/training/learning_rate"] for one in board]
    assert rates[0] == max(rates)
    assert sorted((one["rung"] for one in board), reverse=True) == [one["rung"] for one in board]
    assert client.get(path).json()["trials"]["held"] == 6 * 3 - len(rungs)


def test_of_several_objectives_the_front_comes_first_and_limits_come_before(
    client: TestClient, worker: StageWorker, database: Database
) -> None:
    body = {
        "spec": SPEC,
        "space": {"/seeds": [[0], [1], [2]]},
        "objectives": ["student.accuracy", {"metric": "parameters", "direction": "minimize"}],
        "limits": ["parameters <= 3000"],
    }
    made = client.post("/v1/sweeps", json=body)
    for score, parameters in ((0.9, 5000), (0.8, 2000), (0.7, 2500)):
        worker.begin()
        worker.start()
        found = reaching(score)
        student = found.student.model_copy(update={"parameters": parameters})
        worker.succeed(found=found.model_copy(update={"student": student}))
    advance(database, made.json()["id"])
    board = client.get(f"{made.headers['location']}/leaderboard").json()["data"]
    assert [one["values"]["parameters"] for one in board] == [2000, 2500, 5000]
    assert [one["on_front"] for one in board] == [True, False, False]
    assert [one["within_limits"] for one in board] == [True, True, False]


def test_the_same_request_under_one_key_makes_one_sweep(client: TestClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first, again = (client.post("/v1/sweeps", json=GRID, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = client.post("/v1/sweeps", json=GRID | {"max_parallel": 9}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(client.get("/v1/sweeps").json()["data"]) == 1


def test_a_budget_ends_it(client: TestClient, worker: StageWorker, database: Database) -> None:
    made = client.post("/v1/sweeps", json=GRID | {"budget": {"seconds": 1}, "max_parallel": 1})
    play(worker, 0.5)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE attempts SET started_at = '2020-01-01 00:00:00+00:00'")
    assert advance(database, made.json()["id"]) == []
    ended = client.get(made.headers["location"]).json()
    assert (ended["status"], ended["ended_for"]) == ("completed", "budget")
    path = made.headers["location"]
    for body in (None, {"budget": {"seconds": 2}}):
        refused = client.post(f"{path}/resume", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "sweep_budget_spent")
        assert "larger budget" in refused.json()["hint"]
    wrong = client.post(f"{path}/resume", json={"budget": {"seconds": -1}})
    assert wrong.json()["errors"][0]["pointer"] == "/budget/seconds"
    resumed = client.post(f"{path}/resume", json={"budget": {"seconds": 31_000_000 * 10}})
    assert resumed.status_code == 422, "no more than a year"
    resumed = client.post(f"{path}/resume", json={"budget": {}}).json()
    assert (resumed["status"], resumed["budget"]) == ("running", {"seconds": None})
    assert resumed["trials"]["active"] == 1


def test_trials_that_run_spend_the_budget_too(
    client: TestClient, worker: StageWorker, database: Database
) -> None:
    made = client.post("/v1/sweeps", json=GRID | {"budget": {"seconds": 3600}, "max_parallel": 2})
    sweep_id = made.json()["id"]
    play(worker, 0.5)
    worker.begin()
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE attempts SET started_at = '2020-01-01 00:00:00+00:00' WHERE ended_at IS NULL"
        )
    assert advance(database, sweep_id) == [], "what runs has spent it"
    assert client.get(made.headers["location"]).json()["status"] == "running"


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({}, True),
        ({"spec": SPEC | {"teacher": {"model": "plain_cnn", "training": {"max_steps": 7}}}}, False),
        ({"space": {"/seeds": [[0], [1]]}}, False),
        ({"space": {"training.max_steps": [5], "/teacher/training/max_steps": [9]}}, False),
    ],
)
def test_trials_share_a_teacher_unless_the_space_says_otherwise(
    client: TestClient, changes: dict[str, Any], is_kept: bool
) -> None:
    sweep = GRID | changes
    if "/teacher/training/max_steps" in sweep["space"]:
        sweep["spec"] = SPEC | {"teacher": {"model": "plain_cnn"}}
    plan = client.post("/v1/sweeps?dry_run=true", json=sweep)
    assert plan.status_code == 200, plan.text
    assert bool(plan.json()["notes"]) == is_kept
    sweep_id = client.post("/v1/sweeps", json=sweep).json()["id"]
    jobs = client.get(f"/v1/jobs?label=sweep={sweep_id}").json()["data"]
    recipes = [client.get(f"/v1/jobs/{one['id']}").json()["recipe"] for one in jobs]
    alone = client.post("/v1/jobs?dry_run=true", json=SPEC).json()["recipe"]
    assert [one["teacher"]["training"] == alone["training"] for one in recipes] == [is_kept] * len(
        jobs
    )


def test_students_within_limits_are_found_by_arithmetic(client: TestClient) -> None:
    search = {
        "spec": {"teacher": "resnet20", "data": "digits"},
        "limits": ["parameters <= 60000", "latency_ms <= 5"],
        "candidates": 5,
    }
    plan = client.post("/v1/sweeps/students?dry_run=true", json=search)
    assert plan.status_code == 200, plan.text
    students = [one["/student"] for one in plan.json()["points"]]
    assert len(students) == 5
    made = client.post("/v1/sweeps/students", json=search).json()
    assert [one["metric"] for one in made["objectives"]] == ["student.accuracy", "parameters"]
    for student in students:
        sizes = client.post(
            "/v1/jobs/estimate", json={**search["spec"], "student": student}
        ).json()["networks"]
        assert sizes[1]["parameters"] <= 60_000
    none = client.post("/v1/sweeps/students", json=search | {"limits": ["parameters <= 3"]})
    assert (none.status_code, none.json()["code"]) == (422, "no_student")


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        ("digits", {"mlp", "known"}),
        ({"name": "image_folder", "path": "photos", "image_size": 32}, {"mlp", "known"}),
        ({"name": "table", "path": "rows.csv", "label": "a"}, {"mlp"}),
        ({"name": "text", "path": "a.jsonl", "tokenizer": "t.json"}, {"huggingface_config"}),
    ],
)
def test_students_take_the_data_that_they_are_searched_for(
    client: TestClient, data: Any, kinds: set[str]
) -> None:
    onnx = {"model": {"name": "huggingface", "path": "teacher"}}
    large = {"model": {"name": "mlp", "hidden": [4096, 4096]}}
    spec = {"teacher": onnx if "tokenizer" in data else large, "data": data}
    search = {"spec": spec, "candidates": 40, "limits": ["parameters <= 5000000"]}
    plan = client.post("/v1/sweeps/students?dry_run=true", json=search)
    assert plan.status_code == 200, plan.text
    students = [one["/student"] for one in plan.json()["points"]]
    found = {"known" if isinstance(one, str) else one["model"]["name"] for one in students}
    assert found == kinds
    assert len({str(one) for one in students}) == len(students)


def searched(client: TestClient, spec: dict[str, Any], *limits: str) -> list[Any]:
    """Return the students that would be tried."""
    search = {"spec": spec, "candidates": 64, "limits": limits}
    plan = client.post("/v1/sweeps/students?dry_run=true", json=search)
    assert plan.status_code == 200, plan.text
    return [one["/student"] for one in plan.json()["points"]]


def test_no_student_is_as_large_as_its_teacher(client: TestClient) -> None:
    def sizes(spec: dict[str, Any]) -> list[int]:
        told = client.post("/v1/jobs/estimate", json=spec).json()["networks"]
        return [one["parameters"] for one in told]

    spec = {"teacher": "resnet20", "data": "cifar10"}
    students = searched(client, spec)
    assert len(students) > 3
    for student in students:
        teacher, its = sizes({**spec, "student": student})
        assert its < teacher, student
    smallest = {"teacher": {"model": {"name": "mlp", "hidden": [1]}}, "data": "digits"}
    none = client.post("/v1/sweeps/students", json={"spec": smallest})
    assert (none.status_code, none.json()["code"]) == (422, "no_student")
    assert "the teacher" in none.json()["detail"]


def test_a_report_of_the_data_tells_how_many_classes_a_student_has(
    client: TestClient, database: Database
) -> None:
    photos = upload(client, "a.zip", plain(("train/a/1.png", b"1")))
    data = {"name": "image_folder", "path": f"dataset:{photos}", "image_size": 8, "channels": 1}
    spec = {"teacher": "wrn_28_10", "data": data}
    before = searched(client, spec, "parameters <= 2000")
    assert before, "of ten classes"
    del data["path"]
    client.post(f"/v1/datasets/{photos}/report", json={"data": data})
    finish(database, result=report_of(5_000, classes=1_000))
    data["path"] = f"dataset:{photos}"
    refused = client.post(
        "/v1/sweeps/students", json={"spec": spec, "limits": ["parameters <= 2000"]}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "no_student"), "of a thousand"


def test_a_search_whose_spec_is_none_says_what_is_wrong_with_it(client: TestClient) -> None:
    wrong = {"teacher": "resnet20", "data": "digits", "seeds": "many"}
    refused = client.post("/v1/sweeps/students", json={"spec": wrong})
    assert refused.status_code == 422
    assert {error["pointer"] for error in refused.json()["errors"]} == {"/spec/seeds"}
    named = {"spec": {**SPEC}}
    refused = client.post("/v1/sweeps/students", json=named)
    assert (refused.status_code, refused.json()["code"]) == (422, "no_student")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"space": {}}, "/space"),
        ({"space": {"/training/nope": [1]}}, "/spec/training/nope"),
        ({"space": {"/student/model/depth": [8]}}, "/space/~1student~1model~1depth"),
        ({"space": {"/training/learning_rate": [-1]}}, "/spec/training/learning_rate"),
        ({"space": {"/training/learning_rate": []}}, "/space/~1training~1learning_rate"),
        ({"space": {"/seeds": {"min": 1, "max": 2}}}, "/space/~1seeds"),
        ({"space": {"/seeds": {"min": 2, "max": 1}}, "strategy": "random"}, "/space/~1seeds"),
        ({"space": {"/seeds/7": [1]}, "spec": SPEC | {"seeds": [0]}}, "/space/~1seeds~17"),
        ({"space": {"/seeds": [[n] for n in range(99)], "/name": ["x"] * 99}}, "/space"),
        ({"strategy": "magic"}, "/strategy"),
        ({"strategy": {"name": "asha", "least": 9, "most": 10}}, "/strategy"),
        (
            {
                "space": {"/training/learning_rate": {"min": 0.01, "max": 1.0}},
                "strategy": {
                    "name": "asha",
                    "trials": 100,
                    "least": 1,
                    "most": 10**9,
                    "eta": 2,
                },
            },
            "/strategy",
        ),
        ({"objectives": ["beauty"]}, "/objectives/0"),
        ({"limits": ["beauty <= 1"]}, "/limits/0"),
        ({"max_parallel": 0}, "/max_parallel"),
        ({"budget": {"seconds": "long"}}, "/budget/seconds"),
        ({"spec": SPEC | {"labels": {"sweep": "x"}}}, "/spec/labels/sweep"),
        ({"spec": {"teacher": "plain_cnn"}}, "/spec/student"),
        ({"name": "two\nlines"}, "/name"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_a_pointer(
    client: TestClient, changes: dict[str, Any], pointer: str
) -> None:
    refused = client.post("/v1/sweeps", json=GRID | changes)
    assert refused.status_code == 422, refused.text
    assert pointer in {error["pointer"] for error in refused.json()["errors"]}, refused.text
    assert client.get("/v1/sweeps").json()["data"] == []


def test_another_projects_sweeps_are_nobodys(doors: Doors) -> None:
    made = doors.ask("writer", "post", "/v1/sweeps", json=GRID).json()
    for method, path in (("get", ""), ("get", "/leaderboard"), ("post", "/cancel")):
        answer = doors.ask("vision", method, f"/v1/sweeps/{made['id']}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "sweep_not_found")
    assert doors.ask("vision", "get", "/v1/sweeps").json()["data"] == []
    assert doors.ask("reader", "post", "/v1/sweeps", json=GRID).status_code == 403
