"""The pages beside those of jobs: each whole without JavaScript, each as its visitor may see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient
from serving import SPEC
from sqlalchemy import update
from stage_worker import StageWorker, reported
from test_pages import EVIL, HTML, read

from jobs.database import Database
from jobs.moments import clock
from jobs.repository import Repository
from jobs.tables import Job
from kdcore.catalog import AXES

Submit = Callable[..., str]
PAGES = ["/new", "/tradeoff", "/sweeps", "/datasets", "/models", "/methods", "/workers"]


def post(client: TestClient, path: str, **fields: Any) -> Any:
    return client.post(path, data=fields, headers=HTML, follow_redirects=False)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_an_empty_house_says_what_it_is_for(client: TestClient, path: str) -> None:
    text, reader = read(client, path)
    assert reader.tags.count("h1") == 1
    assert ("a", "href", path) in reader.attributes
    assert re.search(r"<title>[^<]+ · Stillhouse</title>", text)


@pytest.mark.parametrize("axis", AXES)
def test_every_entry_of_the_catalogue_has_a_page(client: TestClient, axis: str) -> None:
    listed, _ = read(client, "/methods")
    for name in AXES[axis]:
        assert f'href="/methods/{axis}/{name}"' in listed
        text, _ = read(client, f"/methods/{axis}/{name}")
        assert "Formula" in text
        assert "&lt;" not in text.partition("<pre")[0], "markup of ours was taken for words"


def test_an_address_that_leads_nowhere_is_told_as_a_page(client: TestClient) -> None:
    for path in ("/nowhere", "/methods/methods/none", "/methods/none/kd", "/sweeps/swp_none"):
        response = client.get(path, headers=HTML)
        assert response.status_code == 404
        assert response.headers["content-type"].startswith("text/html")
    assert client.get("/nowhere").headers["content-type"] == "application/problem+json"
    assert client.get("/v1/none", headers=HTML).headers["content-type"].endswith("problem+json")


def test_the_board_is_filtered_by_what_stands_in_its_address(
    client: TestClient, submit: Submit
) -> None:
    submit(name="one", method="dkd", labels={"team": "a&b"})
    submit(name="two", method="kd")
    text, _ = read(client, "/?method=dkd")
    assert "one" in text
    assert ">two<" not in text
    assert 'href="/?label=team%3Da%26b&amp;method=dkd"' in text or "team%3Da%26b" in text
    assert ">one<" in read(client, "/?label=team=a%26b")[0]
    assert "No job fits" in read(client, "/?student=resnet8&show=active")[0]
    assert client.get("/?label=%20bad", headers=HTML).status_code == 422


def test_verbs_for_many_jobs_tell_how_many_they_fitted(client: TestClient, submit: Submit) -> None:
    ids = [submit(name=f"job {place}") for place in range(3)]
    client.post(f"/v1/jobs/{ids[0]}/cancel")
    moved = post(client, "/", verb="pause", id=ids, here="/?show=active")
    assert (moved.status_code, moved.headers["location"]) == (
        303,
        "/?show=active&done=pause&jobs=2&left=1",
    )
    text, _ = read(client, moved.headers["location"])
    assert "2 jobs paused; 1 could not be, as they are." in text
    ticked = {"verb": "delete", "id": [*ids, "job_none", EVIL], "here": f"/?q={EVIL}"}
    asked = post(client, "/", **ticked)
    assert asked.status_code == 200
    assert "Delete 3 jobs?" in asked.text
    assert all(f'name="id" value="{job_id}"' in asked.text for job_id in ids)
    assert "job 1</bdi>" in asked.text
    assert "<script>alert" not in asked.text
    assert len(client.get("/v1/jobs").json()["data"]) == 3
    moved = post(client, "/", **ticked | {"here": "/"}, sure="yes")
    assert moved.headers["location"] == "/?done=delete&jobs=3&left=0"
    assert client.get("/v1/jobs").json()["data"] == []
    assert post(client, "/", verb=EVIL, id=ids, here=EVIL).status_code == 303
    assert client.get("/?done=nothing", headers=HTML).status_code == 422


def test_the_course_of_a_job_is_drawn_beside_it(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    submit()
    worker.begin()
    worker.start()
    assert 'class="spark"' not in read(client, "/")[0]
    worker.train(1, until=0.5)
    half = read(client, "/")[0]
    assert 'class="spark"' in half
    worker.train(2)
    worker.succeed()
    whole = read(client, "/")[0]
    assert whole.count('class="spark"') == 1
    assert "Student, alone" in whole
    assert read(client, "/")[0].count("polyline") == 2


def test_a_job_can_be_paused_resumed_and_cloned_from_its_page(
    client: TestClient, submit: Submit
) -> None:
    job_id = submit(name="mine", labels={"team": "vision"})
    assert post(client, f"/jobs/{job_id}/pause").headers["location"] == f"/jobs/{job_id}"
    text, _ = read(client, f"/jobs/{job_id}")
    assert 'id="resume"' in text
    assert 'id="pause"' not in text
    assert post(client, f"/jobs/{job_id}/resume").status_code == 303
    assert 'id="pause"' in read(client, f"/jobs/{job_id}")[0]
    text, _ = read(client, f"/new?from={job_id}")
    assert "vision" in text
    assert client.get("/new?from=job_none", headers=HTML).status_code == 422
    assert ("input", "value", job_id) in read(client, f"/new?from={job_id}")[1].attributes
    faulty = post(client, "/new", spec="{}", **{"from": job_id})
    assert (faulty.status_code, f'name="from" value="{job_id}"' in faulty.text) == (422, True)
    moved = post(client, "/new", spec=json.dumps(SPEC), **{"from": job_id})
    made = client.get(f"/v1{moved.headers['location']}").json()
    assert made["cloned_from"] == job_id
    assert post(client, "/new", spec=json.dumps(SPEC), **{"from": "job_none"}).status_code == 404


def test_a_spec_is_taken_without_javascript_and_its_faults_stand_on_the_page(
    client: TestClient,
) -> None:
    moved = post(client, "/new", spec=json.dumps({**SPEC, "name": "by hand"}))
    assert moved.status_code == 303
    text, _ = read(client, moved.headers["location"])
    assert "by hand" in text
    for spec, says in (
        (json.dumps({**SPEC, "seeds": [-1]}), "/seeds/0"),
        ("teacher: [", "YAML"),
        (EVIL, "expected an object"),
        ("", "expected an object"),
    ):
        response = post(client, "/new", spec=spec)
        assert response.status_code == 422
        assert says in response.text
        assert "<script>alert" not in response.text
    assert len(client.get("/v1/jobs").json()["data"]) == 1


def test_a_method_can_be_chosen_by_the_address(client: TestClient) -> None:
    assert "&#34;method&#34;: &#34;dkd&#34;" in read(client, "/new?method=dkd")[0]
    assert "&#34;method&#34;: &#34;kd&#34;" in read(client, f"/new?method={EVIL[:60]}")[0]


def test_students_are_set_against_what_they_cost(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    for name in ("one", EVIL):
        submit(name=name)
        worker.play({})
    text, reader = read(client, "/tradeoff?against=latency_ms")
    assert text.count('class="mark-best"') == 2  # one of two equal ones, and the legend
    assert text.count('class="mark-teacher"') == 2
    assert ("a", "aria-current", "page") in reader.attributes
    assert text.count("97.1 %") == 2  # the mean of three seeds
    assert "<script>alert" not in text
    assert "Nothing to compare yet" in read(client, "/tradeoff?label=team=none")[0]
    assert client.get("/tradeoff?against=beauty", headers=HTML).status_code == 422


def test_a_sweep_is_shown_with_its_leaderboard_and_stopped_from_its_page(
    client: TestClient, worker: StageWorker
) -> None:
    body = {
        "name": EVIL,
        "spec": SPEC,
        "space": {"training.learning_rate": [0.01, 0.05, 0.1]},
        "objectives": ["student.accuracy", "latency_ms"],
        "max_parallel": 2,
    }
    sweep_id = client.post("/v1/sweeps", json=body).json()["id"]
    for _ in range(2):
        worker.play({})
    text, _ = read(client, f"/sweeps/{sweep_id}")
    assert "/training/learning_rate" in text
    assert 'class="chart scatter"' in text
    assert "<script>alert" not in text
    assert "2 done" in text
    assert "2 done" in read(client, "/sweeps")[0]
    assert post(client, f"/sweeps/{sweep_id}/cancel").status_code == 303
    assert 'id="resume"' in read(client, f"/sweeps/{sweep_id}")[0]
    assert post(client, f"/sweeps/{sweep_id}/resume").status_code == 303
    assert 'id="cancel"' in read(client, f"/sweeps/{sweep_id}")[0]


def test_what_was_brought_is_listed_with_its_reference(client: TestClient) -> None:
    content = b"x,kind\n" + b"1,a\n" * 9
    made = client.post("/v1/datasets?name=rows.csv", content=content).json()
    text, _ = read(client, "/datasets")
    assert made["reference"] in text
    assert f'href="/datasets/{made["id"]}">report' in text
    assert "None yet" in read(client, "/models")[0]


def test_workers_are_shown_with_what_they_run_and_what_waits(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    worker.greet()
    submit(name="first")
    submit(name="urgent", priority=90)
    worker.begin()
    text, _ = read(client, "/workers")
    runs, waits = text.split('id="queue"')
    assert "urgent" in runs
    assert "first" in waits
    assert "stage-worker" in text


def test_jobs_are_compared_on_a_page_that_the_board_leads_to(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    ids = [submit(name=EVIL, method="dkd"), submit(name="two", temperature=3)]
    for _ in ids:
        worker.play({})
    text, _ = read(client, f"/compare?id={ids[0]}&id={ids[1]}")
    assert text == read(client, f"/compare?jobs={','.join(ids)}")[0]
    assert "<code>/temperature/value</code>" in text
    assert "97.1 % ±" in text
    assert text.count('class="line run-1"') == 3  # heading, legend, curve
    assert "<script>alert" not in text
    for asked in (f"?jobs={ids[0]}", "", f"?id={ids[0]}&id={ids[0]}"):
        assert client.get(f"/compare{asked}", headers=HTML).status_code == 422
    assert client.get(f"/compare?id={ids[0]}&id=job_none", headers=HTML).status_code == 404


def test_a_job_shows_what_its_report_says_of_quality_for_as_long_as_that_is_kept(
    client: TestClient, submit: Submit, worker: StageWorker, database: Database
) -> None:
    job_id = submit()
    worker.play({"report.json": reported().model_dump_json().encode()})
    text, _ = read(client, f"/jobs/{job_id}")
    shown = text.partition('<section id="quality"')[2].partition("</section>")[0]
    assert "Confusion of the student" in shown
    assert "Expected calibration error" in shown
    assert shown.count("<svg") >= 3
    with database.write() as session:
        session.execute(update(Job).values(finished_at=clock(-8 * 86_400)))
    with database.write() as session:
        assert Repository(session).purge(days=7, limit=10) == [job_id]
    assert '<section id="quality" data-live hidden' in read(client, f"/jobs/{job_id}")[0]
    other = submit()
    worker.play({"report.json": b"{}"})
    assert '<section id="quality" data-live hidden' in read(client, f"/jobs/{other}")[0]


@pytest.mark.parametrize("method", ["dkd", "tinybert", "takd"])
def test_the_form_begins_with_a_spec_that_is_taken_whatever_the_method(
    client: TestClient, method: str
) -> None:
    text, _ = read(client, f"/new?method={method}")
    spec = unescape(re.findall(r'<textarea id="spec".*?>(.*?)</textarea>', text, re.DOTALL)[0])
    answer = client.post("/v1/jobs?dry_run=true", json=json.loads(spec))
    assert (answer.status_code, answer.json()["recipe"]["method"]["name"]) == (200, method)
