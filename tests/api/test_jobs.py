"""Submitting, listing, reading, cancelling and retrying over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from stage_worker import StageWorker

from api.examples import EXAMPLES

SPEC = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}
Submit = Callable[..., str]


def test_a_submitted_job_is_told_with_its_place_and_its_resolved_form(client: TestClient) -> None:
    sent = {**SPEC, "name": "ünïcødé 🥃", "labels": {"team": "vision"}, "method": "dkd"}
    response = client.post("/v1/jobs", json=sent)
    job = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["object"], job["status"], job["terminal"]) == ("job", "queued", False)
    assert (job["teacher"], job["student"], job["method"]) == ("plain_cnn", "mlp", "dkd")
    assert job["spec"] == sent
    assert job["recipe"]["method"]["name"] == "dkd"
    again = client.get(response.headers["location"])
    assert again.json() == job
    assert again.headers["etag"] == response.headers["etag"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_the_openapi_document_is_accepted(client: TestClient, name: str) -> None:
    response = client.post("/v1/jobs?dry_run=true", json=EXAMPLES[name]["value"])
    assert response.status_code == 200, response.text


def test_a_dry_run_tells_the_resolved_form_and_stores_nothing(client: TestClient) -> None:
    response = client.post("/v1/jobs", params={"dry_run": True}, json=SPEC)
    assert response.status_code == 200
    assert response.json()["valid"] is True
    assert response.json()["recipe"]["objectives"]
    assert client.get("/v1/jobs").json()["data"] == []


def test_yaml_is_read_like_json(client: TestClient) -> None:
    text = "teacher: plain_cnn\nstudent: {model: mlp}\ndata: digits\ngates: [uplift > 0]\n"
    response = client.post(
        "/v1/jobs", content=text, headers={"Content-Type": "application/yaml; charset=utf-8"}
    )
    assert response.status_code == 201
    assert response.json()["spec"]["gates"] == ["uplift > 0"]


def test_an_idempotency_key_makes_one_job_and_repeats_the_first_answer(
    client: TestClient, worker: StageWorker
) -> None:
    headers = {"Idempotency-Key": "build-17"}
    first = client.post("/v1/jobs", json=SPEC, headers=headers)
    worker.begin()
    # The same document, written in another order: the same job.
    again = client.post("/v1/jobs", json=dict(reversed(SPEC.items())), headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert len(client.get("/v1/jobs").json()["data"]) == 1


def test_an_idempotency_key_with_another_body_is_refused(client: TestClient) -> None:
    headers = {"Idempotency-Key": "build-17"}
    client.post("/v1/jobs", json=SPEC, headers=headers)
    other = client.post("/v1/jobs", json={**SPEC, "name": "other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_two_requests_with_one_key_at_once_make_one_job(client: TestClient) -> None:
    together = threading.Barrier(4)

    def post(_: int) -> tuple[int, str]:
        together.wait()
        response = client.post("/v1/jobs", json=SPEC, headers={"Idempotency-Key": "race"})
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(post, range(4)))
    assert len(answers) == 1
    assert answers.pop()[0] == 201


def test_the_list_is_paged_without_gaps_while_jobs_are_added(
    client: TestClient, submit: Submit
) -> None:
    ids = [submit(name=f"job {place}") for place in range(5)]
    seen: list[str] = []
    after = None
    while True:
        params = {"limit": 2} | ({"after": after} if after else {})
        page = client.get("/v1/jobs", params=params).json()
        seen += [job["id"] for job in page["data"]]
        submit(name="later")
        after = page["next_cursor"]
        if not page["has_more"]:
            break
    assert seen == list(reversed(ids))


def test_the_list_is_filtered(client: TestClient, submit: Submit, worker: StageWorker) -> None:
    plain = submit(name="plain", priority=100)
    dkd = submit(name="100%_sure", method="dkd", labels={"team": "a", "env": "ci"})
    worker.begin()

    def found(**params: object) -> list[str]:
        return [job["id"] for job in client.get("/v1/jobs", params=params).json()["data"]]

    assert found(status="running") == [plain]
    assert found(status=["running", "queued"]) == [dkd, plain]
    assert found(method="dkd") == [dkd]
    assert found(teacher="plain_cnn", student="mlp") == [dkd, plain]
    assert found(label=["team=a", "env"]) == [dkd]
    assert found(label="team=b") == []
    assert found(q="%_") == [dkd]
    assert found(q=plain[-8:]) == [plain]
    assert found(teacher="resnet") == []


def test_a_list_leaves_out_what_only_one_job_needs(client: TestClient, submit: Submit) -> None:
    submit()
    job = client.get("/v1/jobs").json()["data"][0]
    assert not {"spec", "recipe", "verdict"} & set(job)


def test_a_known_etag_is_answered_with_304(client: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()}"
    tag = client.get(path).headers["etag"]
    assert not tag.startswith("W/")
    same = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    client.post(f"{path}/cancel")
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_a_long_poll_answers_as_soon_as_the_job_changes(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}"
    tag = client.get(path).headers["etag"]
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, path, headers={"If-None-Match": tag, "Prefer": "wait=30"})
        worker.begin()
        response = waiting.result(timeout=20)
    assert time.monotonic() - started < 10
    assert (response.status_code, response.json()["status"]) == (200, "running")
    assert response.headers["preference-applied"] == "wait=30"


def test_a_long_poll_ends_with_304_where_nothing_changes(
    client: TestClient, submit: Submit
) -> None:
    path = f"/v1/jobs/{submit()}"
    tag = client.get(path).headers["etag"]
    response = client.get(path, headers={"If-None-Match": tag, "Prefer": "wait=1"})
    assert response.status_code == 304
    assert client.get(path, headers={"Prefer": "wait=0"}).status_code == 200


def test_a_long_poll_of_an_ended_job_answers_at_once_and_is_capped(
    client: TestClient, submit: Submit
) -> None:
    path = f"/v1/jobs/{submit()}"
    client.post(f"{path}/cancel")
    response = client.get(path, headers={"Prefer": "respond-async, wait=900"})
    assert response.headers["preference-applied"] == "wait=60"
    assert response.json()["terminal"] is True


def test_cancelling_a_waiting_job_cancels_it_at_once(client: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()}"
    response = client.post(f"{path}/cancel", json={"mode": "now"})
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert client.post(f"{path}/cancel").status_code == 200


def test_cancelling_a_running_job_is_passed_on_and_may_be_repeated(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}/cancel"
    worker.begin()
    answers = [client.post(path, json={"mode": mode}) for mode in ("graceful", "graceful", "now")]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert [answer.json()["cancel_requested"] for answer in answers] == [
        "graceful",
        "graceful",
        "now",
    ]
    assert answers[-1].json()["status"] == "cancelling"


def test_verbs_that_do_not_fit_are_409_and_name_those_that_do(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}"
    running = client.post(f"{path}/retry")
    assert (running.status_code, running.json()["code"]) == (409, "illegal_transition")
    assert running.json()["hint"] == "legal now: cancel, pause, clone, delete"
    assert running.headers["x-should-retry"] == "false"
    worker.play({})
    for verb in ("cancel", "retry"):
        done = client.post(f"{path}/{verb}")
        assert (done.status_code, done.json()["hint"]) == (409, "legal now: clone, delete")


def test_a_failed_job_tells_why_and_can_be_retried(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}"
    worker.begin()
    worker.fail("nan_loss", "the loss became NaN at step 17", "lower the learning rate")
    failure = client.get(path).json()["failure"]
    assert failure == {
        "code": "nan_loss",
        "message": "the loss became NaN at step 17",
        "hint": "lower the learning rate",
        "attempt": 1,
    }
    response = client.post(f"{path}/retry", json={"from": "scratch"})
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert response.json()["failure"] is None
    attempts = client.get(f"{path}/attempts").json()["data"]
    assert [(a["number"], a["status"], a["exit_code"]) for a in attempts] == [(1, "failed", 65)]
