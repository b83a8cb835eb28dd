"""GET …/logs: plain text, bounded, harmless, of one attempt or of all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from stage_worker import StageWorker

from jobs.database import Database
from jobs.endings import Ending
from jobs.repository import Repository


@pytest.fixture
def attempt(worker: StageWorker, database: Database) -> Callable[..., None]:
    """Give a function that plays one attempt with a log, to its end unless it shall go on."""

    def play(head: bytes, left_out: int = 0, tail: bytes = b"", *, ends: bool = True) -> None:
        claim = worker.begin()
        with database.write() as session:
            ledger = Repository(session)
            ledger.keep_log(claim.job_id, claim.attempt, head, left_out, tail)
            if ends:
                ledger.release(
                    claim.job_id, claim.attempt, Ending("crashed"), counted=True, retry_seconds=0
                )

    return play


def test_logs_tell_all_attempts_or_one(
    client: TestClient, submit: Callable[..., str], attempt: Callable[..., None]
) -> None:
    path = f"/v1/jobs/{submit()}/logs"
    assert client.get(path).text == ""
    attempt(b"first\n")
    attempt(b"begin\n", 7, b"rest\nTraceback\n", ends=False)
    response = client.get(path)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    one = "--- attempt 1 on stage-worker: crashed ---\nfirst\n"
    two = (
        "--- attempt 2 on stage-worker: running ---\nbegin\n"
        "--- 7 bytes were left out here ---\nrest\nTraceback\n"
    )
    assert response.text == one + two
    assert client.get(path, params={"attempt": 1}).text == one
    assert client.get(path, params={"tail": 2}).text == "rest\nTraceback\n"
    assert client.get(path, params={"tail": 6}).text == "first\n" + two


def test_what_is_in_a_log_moves_no_cursor_and_is_no_page(
    client: TestClient, submit: Callable[..., str], attempt: Callable[..., None]
) -> None:
    path = f"/v1/jobs/{submit()}/logs"
    attempt(b"<script>\x1b[2J\x00\xff\xe2\x80\xae\n10%\r20%\r\n\tcode\n")
    lines = client.get(path).text.splitlines()
    assert lines[1:] == ["<script>\\x1b[2J\\x00\ufffd\\u202e", "10%", "20%", "        code"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("attempt=3", 404, "attempt_not_found"),
        ("attempt=0", 422, "invalid_request"),
        ("tail=0", 422, "invalid_request"),
        ("tail=1000000000", 422, "invalid_request"),
        ("tail=x", 422, "invalid_request"),
        ("lines=3", 422, "unknown_parameter"),
    ],
)
def test_wrong_questions_are_told(
    client: TestClient, submit: Callable[..., str], query: str, status: int, code: str
) -> None:
    response = client.get(f"/v1/jobs/{submit()}/logs?{query}")
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_job_that_is_not_there_has_no_logs(client: TestClient) -> None:
    assert client.get("/v1/jobs/job_01kaz3x2mcf4t6v8y0r2q4s6u8/logs").status_code == 404
