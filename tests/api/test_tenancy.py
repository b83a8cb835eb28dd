"""The door: no key, a wrong key, too small a key, and the key of somebody else."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from serving import SPEC
from stage_worker import StageWorker
from waiting import wait_until

from api import locks
from api.app import create_app
from jobs.database import Database
from jobs.keys import Scope
from jobs.repository import Repository
from jobs.settings import Settings

OPEN: Final = {"/livez", "/readyz"}
HOUSE_ONLY: Final = {"/metrics"}
READ: Final = {"get", "head"}


def routes(client: TestClient) -> list[tuple[str, str]]:
    """Return every route of the document, and those of the pages."""
    paths = client.get("/openapi.json").json()["paths"]
    found = [(method, path) for path, item in paths.items() for method in item]
    pages = [("get", "/jobs/{job_id}"), ("post", "/jobs/{job_id}/cancel"), ("get", "/")]
    return found + pages + [("post", "/jobs/{job_id}/retry")]


def filled(path: str, job_id: str) -> str:
    """Put names into a path: of that job, and of things that are nobody's."""
    known = {"job_id": job_id, "key_id": "0" * 12, "key": "0" * 32}
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], "default"), path)


def test_without_a_key_nothing_is_told(doors: Doors) -> None:
    job_id = doors.ask("writer", "post", "/v1/jobs", json=SPEC).json()["id"]
    for method, path in routes(doors.client):
        answer = doors.ask(None, method, filled(path, job_id))
        if path in OPEN:
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        body = answer.json()
        assert body["code"] == "key_required"
        assert "STILLHOUSE_API_KEY" in body["hint"]
        assert job_id not in answer.text.replace(body["instance"], "")


def test_every_route_is_blind_for_another_project(doors: Doors, worker: StageWorker) -> None:
    job_id = doors.ask("writer", "post", "/v1/jobs", json=SPEC).json()["id"]
    worker.begin()
    before = doors.ask("writer", "get", f"/v1/jobs/{job_id}").json()
    seen = 0
    for method, path in routes(doors.client):
        if "{job_id}" not in path:
            continue
        for headers in ({}, {"Accept": "text/event-stream"}, {"Prefer": "wait=1"}):
            answer = doors.ask("vision", method, filled(path, job_id), json={}, headers=headers)
            assert answer.status_code == 404, (method, path, answer.text)
            seen += 1
    assert seen > 40
    assert doors.ask("writer", "get", f"/v1/jobs/{job_id}").json() == before
    # As if there were no such job at all.
    missing = "job_" + "0" * 26
    theirs, none = (
        doors.ask("vision", "get", f"/v1/jobs/{one}").json() for one in (job_id, missing)
    )
    assert theirs["detail"].replace(job_id, missing) == none["detail"]
    for path in ("/v1/jobs", f"/v1/jobs?q={job_id}", "/v1/jobs?status=running", "/"):
        assert job_id not in doors.ask("vision", "get", path).text
    assert doors.ask("vision", "get", "/v1/queue").json()["running"] == 0
    assert doors.ask("writer", "get", "/v1/queue").json()["running"] == 1


def test_a_key_to_read_changes_nothing(doors: Doors) -> None:
    job_id = doors.ask("writer", "post", "/v1/jobs", json=SPEC).json()["id"]
    for method, path in routes(doors.client):
        if path in OPEN | {"/login", "/logout"}:
            continue
        answer = doors.ask("reader", method, filled(path, job_id), json={})
        if method not in READ:
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        else:
            assert answer.status_code != 401
    assert doors.ask("reader", "get", f"/v1/jobs/{job_id}").json()["status"] == "queued"


def test_what_concerns_everybody_takes_a_key_of_the_house(
    doors: Doors, worker: StageWorker
) -> None:
    worker.greet()
    asked = [
        ("post", "/v1/projects", {"name": "speech"}),
        ("post", "/v1/workers/stage-worker/drain", {}),
        ("patch", "/v1/projects/default", {"max_running": 1}),
        ("get", "/v1/teacher-caches", None),
        ("get", "/metrics", None),
        ("post", "/v1/keys", {"name": "x", "house": True}),
        ("post", "/v1/keys", {"name": "x", "project": "vision"}),
    ]
    for method, path, body in asked:
        refused = doors.ask("admin", method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "house_key_required"), path
        assert doors.ask("house", method, path, json=body).is_success, path


def test_a_key_of_the_house_that_only_reads_may_scrape_and_change_nothing(
    doors: Doors, database: Database
) -> None:
    with database.write() as session:
        _, made = Repository(session).add_key("prometheus", Scope.READ, project=None)
    assert "stillhouse_jobs" in doors.ask(made.text, "get", "/metrics").text
    assert doors.ask(made.text, "get", "/v1/teacher-caches").is_success
    refused = doors.ask(made.text, "post", "/v1/projects", json={"name": "x"})
    assert refused.json()["code"] == "scope_missing"


def test_a_key_of_the_house_names_its_project(doors: Doors) -> None:
    job_id = doors.ask("vision", "post", "/v1/jobs", json=SPEC).json()["id"]
    assert doors.ask("house", "get", f"/v1/jobs/{job_id}").status_code == 404
    there = {"Stillhouse-Project": "vision"}
    found = doors.ask("house", "get", f"/v1/jobs/{job_id}", headers=there).json()
    assert found["project"] == "vision"
    for who, named in (("house", "nope"), ("writer", "vision"), ("house", "../x"), ("house", "")):
        answer = doors.ask(who, "get", "/v1/jobs", headers={"Stillhouse-Project": named})
        assert (answer.status_code, answer.json()["code"]) == (404, "project_not_found")
    assert doors.ask("vision", "get", "/v1/jobs", headers=there).is_success


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer shk_1", "bearer " + "x" * 5000, "\x80\xff"],
)
def test_what_is_no_key_opens_nothing(doors: Doors, header: str) -> None:
    answer = doors.client.get("/v1/jobs", headers={"Authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_required")


def test_a_key_with_another_secret_opens_nothing_and_neither_does_an_old_one(
    doors: Doors, database: Database
) -> None:
    from zlib import crc32

    shown = doors.keys["writer"]
    head = shown[:17] + "0" * 64
    forged = head + f"{crc32(head.encode()):08x}"
    assert doors.ask(forged, "get", "/v1/jobs").status_code == 401
    with database.write() as session:
        _, old = Repository(session).add_key("old", Scope.READ, project="default", days=-1)
    assert doors.ask(old.text, "get", "/v1/jobs").status_code == 401


def test_a_revoked_key_opens_nothing_within_a_second(doors: Doors, database: Database) -> None:
    assert doors.ask("writer", "get", "/v1/jobs").is_success
    # By another server: this one hears of it when it asks again.
    with database.write() as session:
        Repository(session).revoke(doors.keys["writer"][4:16])
    assert locks.FRESH_SECONDS <= 1
    wait_until(lambda: doors.ask("writer", "get", "/v1/jobs").status_code == 401, seconds=10)
    # By this one: at once.
    assert doors.ask("reader", "get", "/v1/jobs").is_success
    key_id = doors.keys["reader"][4:16]
    gone = doors.ask("admin", "delete", f"/v1/keys/{key_id}").json()
    assert gone["revoked_at"] is not None
    assert doors.ask("reader", "get", "/v1/jobs").status_code == 401
    assert doors.ask("admin", "delete", f"/v1/keys/{key_id}").json() == gone


def test_a_key_is_told_once_and_kept_nowhere(doors: Doors) -> None:
    made = doors.ask("admin", "post", "/v1/keys", json={"name": "ci", "expires_in_days": 2}).json()
    assert made["scope"] == "write"
    assert doors.ask(made["key"], "get", "/v1/me").json() == {
        "project": "default",
        "scope": "write",
        "house": False,
        "key_id": made["id"],
    }
    listed = doors.ask("admin", "get", "/v1/keys")
    assert made["id"] in listed.text
    assert made["key"][-72:] not in listed.text
    assert "sha256" not in listed.text
    names = {key["name"] for key in listed.json()["data"]}
    assert names == {"admin", "writer", "reader", "ci"}
    used = {key["id"]: key["last_used_at"] for key in listed.json()["data"]}
    assert used[made["id"]] is not None
    assert len(doors.ask("house", "get", "/v1/keys").json()["data"]) == 6


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "x", "scope": "root"}, "/scope"),
        ({"name": "x", "expires_in_days": 0}, "/expires_in_days"),
        ({"name": "x", "project": "Not Good"}, "/project"),
        ({"name": "x", "sha256": "0" * 64}, "/sha256"),
        ({"name": "a\u0000b"}, "/name"),
    ],
)
def test_what_no_key_can_be_is_said(doors: Doors, body: dict[str, Any], pointer: str) -> None:
    answer = doors.ask("house", "post", "/v1/keys", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_the_audit_says_who_did_what(doors: Doors) -> None:
    job = doors.ask("writer", "post", "/v1/jobs", json=SPEC).json()
    cancelled = doors.ask("writer", "post", f"/v1/jobs/{job['id']}/cancel")
    doors.ask("writer", "post", f"/v1/jobs/{job['id']}/retry")
    # The same again would be no news; this is another wish, which does not fit any more.
    anew = {"from": "scratch"}
    refused = doors.ask("writer", "post", f"/v1/jobs/{job['id']}/retry", json=anew)
    assert refused.status_code == 409
    lines = doors.ask("admin", "get", f"/v1/audit?subject={job['id']}").json()["data"]
    assert [line["action"] for line in lines] == ["job.retry", "job.cancel"]
    assert lines[1] == {
        "id": lines[1]["id"],
        "object": "audit_line",
        "at": lines[1]["at"],
        "project": "default",
        "key_id": doors.keys["writer"][4:16],
        "address": "testclient",
        "request_id": cancelled.headers["x-request-id"],
        "action": "job.cancel",
        "subject": job["id"],
        "details": {"mode": "graceful"},
    }
    page = doors.ask("admin", "get", f"/v1/audit?subject={job['id']}&limit=1").json()
    assert page["has_more"]
    rest = doors.ask(
        "admin", "get", f"/v1/audit?subject={job['id']}&after={page['next_cursor']}"
    ).json()
    assert [line["id"] for line in rest["data"]] == [lines[1]["id"]]
    assert doors.ask("vision", "get", f"/v1/audit?subject={job['id']}").json()["data"] == []
    assert doors.ask("writer", "get", "/v1/audit").status_code == 403
    assert doors.ask("admin", "get", "/v1/audit?after=x").status_code == 422


def test_a_project_that_is_full_says_so_and_says_when(doors: Doors) -> None:
    doors.ask("house", "patch", "/v1/projects/vision", json={"max_waiting": 1})
    assert doors.ask("vision", "post", "/v1/jobs", json=SPEC).status_code == 201
    full = doors.ask("vision", "post", "/v1/jobs", json=SPEC)
    assert (full.status_code, full.json()["code"]) == (429, "project_full")
    assert int(full.headers["retry-after"]) > 0
    assert doors.ask("writer", "post", "/v1/jobs", json=SPEC).status_code == 201
    (vision,) = doors.ask("vision", "get", "/v1/projects").json()["data"]
    assert (vision["waiting"], vision["max_waiting"], vision["max_running"]) == (1, 1, None)
    assert doors.ask("vision", "get", "/v1/projects/default").status_code == 404
    assert doors.ask("house", "post", "/v1/projects", json={"name": "vision"}).status_code == 409


def test_who_asks_too_often_is_told_when_to_come_back(
    database: Database, settings: Settings
) -> None:
    with database.write() as session:
        repository = Repository(session)
        made = [repository.add_key("x", Scope.READ, project="default")[1].text for _ in "ab"]
    slow = settings.model_copy(update={"rate_per_second": 1.0})
    with TestClient(create_app(slow), base_url="http://localhost") as client:

        def ask(key: str) -> Any:
            return client.get("/v1/queue", headers={"Authorization": f"Bearer {key}"})

        answers = [ask(made[0]) for _ in range(8)]
        refused = answers[-1]
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "1"
        assert answers[0].is_success
        assert ask(made[1]).is_success

        wrong = [ask("shk_nothing") for _ in range(locks.FAILURES + 1)]
        assert {one.status_code for one in wrong[:-1]} == {401}
        assert wrong[-1].json()["code"] == "too_many_failures"
        assert ask(made[1]).is_success


def test_the_first_key_shuts_the_door_of_a_server_that_runs(
    database: Database, settings: Settings
) -> None:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        me = client.get("/v1/me").json()
        assert me == {"project": "default", "scope": "admin", "house": True, "key_id": None}
        with database.write() as session:
            Repository(session).add_key("operator", Scope.ADMIN, project=None)
        assert locks.FRESH_SECONDS <= 1
        wait_until(lambda: client.get("/v1/me").status_code == 401, seconds=10)


def test_a_key_that_was_made_here_shuts_the_door_at_once(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        assert client.get("/v1/me").status_code == 200
        made = client.post("/v1/keys", json={"name": "operator", "scope": "admin"}).json()
        assert client.get("/v1/me").status_code == 401
        headers = {"Authorization": f"Bearer {made['key']}"}
        assert client.get("/v1/me", headers=headers).json()["key_id"] == made["id"]
