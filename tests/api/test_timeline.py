"""The timeline of a job: what it was at and when, told by its story, and bounded."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient
from stage_worker import StageWorker

from api.pages.spans import KINDS, spans
from api.pages.timeline import timeline
from api.schemas import Attempt, Event, Job
from jobs.database import Database
from jobs.endings import Ending
from jobs.repository import Repository

Told = tuple[float, str, int | None, dict[str, Any]]
"""At so many seconds: type, attempt, data."""
START = datetime(2026, 1, 1, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def story(*lines: Told) -> list[Event]:
    """Return events, numbered, at so many seconds."""
    return [
        Event(seq=seq, type=kind, at=moment(at), attempt=attempt, data=data)
        for seq, (at, kind, attempt, data) in enumerate(lines, start=1)
    ]


def told(events: list[Event], attempts: list[Attempt], until: float) -> list[Any]:
    return [
        (number, one.kind, (one.start - START).total_seconds(), (one.end - START).total_seconds())
        for number, row in sorted(spans(events, attempts, moment(until)).items())
        for one in row
    ]


def stage(name: str, seed: int = 0, **more: object) -> dict[str, Any]:
    return {"stage": name, "role": name.partition("-")[0], "seed": seed, **more}


def attempt_of(number: int, ended: float | None) -> Attempt:
    return Attempt(
        number=number,
        status="lost" if ended else "running",
        worker="w",
        reason="lost" if ended else None,
        started_at=START,
        ended_at=moment(ended) if ended else None,
        exit_code=None,
        signal=None,
    )


INTERRUPTED: tuple[Told, ...] = (
    (0.0, "job.queued", None, {}),
    (5.0, "attempt.started", 1, {"worker": "w"}),
    (6.0, "phase", 1, {"phase": "preparing"}),
    (7.0, "phase", 1, {"phase": "training"}),
    (7.0, "stage.started", 1, stage("teacher-0")),
    (9.0, "stage.finished", 1, stage("teacher-0")),
    (9.0, "phase", 1, {"phase": "caching_teacher"}),
    (10.0, "phase", 1, {"phase": "training"}),
    (10.0, "stage.started", 1, stage("student-0")),
    (40.0, "attempt.ended", 1, {"outcome": "lost"}),
    (50.0, "attempt.started", 2, {"worker": "w"}),
    (50.0, "stage.finished", 2, stage("teacher-0", reused=True)),
    (51.0, "stage.started", 2, stage("student-0")),
    (52.0, "job.pause_requested", None, {}),
    (53.0, "attempt.ended", 2, {"outcome": "paused"}),
    (53.001, "job.paused", 2, {}),
    (80.0, "job.resumed", None, {}),
    (81.0, "attempt.started", 3, {"worker": "w"}),
    (82.0, "phase", 3, {"phase": "evaluating"}),
    (83.0, "phase", 3, {"phase": "exporting"}),
    (84.0, "attempt.ended", 3, {"outcome": "failed"}),
    (84.001, "job.failed", 3, {}),
    (90.0, "job.retried", None, {"from": "checkpoint"}),
)


def test_a_story_tells_what_a_job_was_at() -> None:
    attempts = [attempt_of(1, 30.0), attempt_of(2, 53.0), attempt_of(3, 84.0)]
    assert told(story(*INTERRUPTED), attempts, 95.0) == [
        (1, "waiting", 0, 5),
        (1, "starting", 5, 6),
        (1, "preparing", 6, 7),
        (1, "teacher", 7, 9),
        (1, "caching_teacher", 9, 10),
        (1, "student", 10, 30),  # the worker was last heard of then
        (2, "waiting", 30, 50),
        (2, "starting", 50, 51),
        (2, "student", 51, 53),
        (3, "paused", 53.001, 80),
        (3, "waiting", 80, 81),
        (3, "starting", 81, 82),
        (3, "evaluating", 82, 83),
        (3, "exporting", 83, 84),
        (4, "waiting", 90, 95),
    ]


def test_a_resumption_while_the_trainer_still_runs_ends_no_stage() -> None:
    events = story(*INTERRUPTED[:9], (12.0, "job.resumed", None, {}))
    assert told(events, [], 20.0)[-1] == (1, "student", 10, 20)


def test_what_is_left_out_of_a_long_story_is_not_made_up() -> None:
    begun = story(*INTERRUPTED[:9])

    def later(name: str) -> list[Event]:
        data = stage(name, step=7)
        return [Event(seq=5000, type="checkpoint", at=moment(60), attempt=1, data=data)]

    assert told([*begun, *later("student-0")], [], 70.0)[-1] == (1, "student", 10, 70)
    assert told([*begun, *later("baseline-3")], [], 70.0)[-2:] == [
        (1, "unknown", 10, 60),
        (1, "baseline", 60, 70),
    ]


def test_a_page_shows_the_timeline(
    client: TestClient, submit: Callable[..., str], worker: StageWorker, database: Database
) -> None:
    job_id = submit()
    assert "Waiting for a worker" in client.get(f"/jobs/{job_id}").text
    worker.begin()
    worker.start()
    worker.train(0)
    with database.write() as session:
        Repository(session).release(job_id, 1, Ending("lost"), counted=False, retry_seconds=0)
    worker.play({})
    text = client.get(f"/jobs/{job_id}").text
    (drawn,) = re.findall(r'<svg class="timeline".*?</svg>', text)
    assert 'role="img" aria-label="2 attempts over' in drawn
    assert ">1: lost</text>" in drawn
    assert ">2: succeeded</text>" in drawn
    assert ">next</text>" not in drawn
    assert re.search(r'<rect class="bar \w+" [^>]+><title>[^<]+: (under )?\d+ s, from 20', drawn)
    assert "style=" not in drawn


def test_every_kind_has_a_colour(client: TestClient) -> None:
    style = client.get("/static/style.css").text
    for kind in KINDS:
        assert re.search(rf"rect\.{kind}\b[^{{]*\{{ fill:", style), kind


def test_the_picture_of_a_job_with_hundreds_of_stages_and_attempts_stays_small(
    client: TestClient, submit: Callable[..., str]
) -> None:
    body = client.get(f"/v1/jobs/{submit()}").json()
    lines: list[Told] = []
    for number in range(1, 301):
        at = 100.0 * number
        lines.append((at, "attempt.started", number, {}))
        lines += [
            (at + 10 * place, "stage.started", number, stage(f"student-{place}"))
            for place in range(1, 7)
        ]
        lines.append((at + 90, "attempt.ended", number, {}))
    ends = {"terminal": True, "created_at": START, "finished_at": moment(30_090)}
    job = Job.model_validate({**body, **ends})
    drawn = timeline(job, story(*lines), [attempt_of(n, 100.0 * n + 90) for n in range(1, 301)])
    assert drawn is not None
    assert drawn.svg.count("<rect") < 300
    assert len(drawn.svg) < 60_000
    assert drawn.svg.count('class="mid"') < 12
    assert ">1 to 289</text>" in drawn.svg
    assert "shorter" in drawn.svg


def test_the_picture_of_a_running_job_is_told_again_only_when_it_differs(
    client: TestClient, submit: Callable[..., str]
) -> None:
    body = client.get(f"/v1/jobs/{submit()}").json()
    created = datetime.now(UTC) - timedelta(hours=1)
    job = Job.model_validate({**body, "created_at": created})
    queued = Event(seq=1, type="job.queued", at=created, attempt=None, data={})
    drawn = {str(timeline(job, [queued], [])) for _ in range(20)}
    assert len(drawn) <= 2
