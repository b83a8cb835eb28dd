"""Curves in the ledger: put together, outlined, told again, and always read as they were told."""

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from specs import claim, submit
from sqlalchemy import event, func, select

from jobs import curves as book
from jobs import metrics
from jobs.database import Database
from jobs.endings import Ending
from jobs.metrics import Chunk, Curves, pack, stitch
from jobs.repository import Repository
from jobs.tables import MetricChunk, MetricView

Columns = dict[str, list[Any]]


def told(stage: str, columns: Columns) -> dict[str, Any]:
    return {"type": "metrics", "stage": stage, "seed": 0, "columns": columns}


def points(chance: random.Random, steps: Sequence[int]) -> Columns:
    columns: Columns = {"step": list(steps), "loss": [chance.gauss(0, 1) for _ in steps]}
    if chance.random() < 0.5:
        columns["rate"] = [chance.choice([None, 0.5, chance.random()]) for _ in steps]
    return columns


def record(database: Database, job_id: str, token: int, batch: int, *events: Any) -> None:
    with database.write() as session:
        Repository(session).record(job_id, token, events, batch=batch)


def read(database: Database, job_id: str, **wanted: Any) -> Curves:
    with database.read() as session:
        return Repository(session).metrics(job_id, **wanted)


def count(database: Database, table: type[Any]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def long_curve(database: Database, rows: int, chunk: int = 500) -> tuple[str, Columns]:
    """Store one long curve with one spike; return the job and the columns as told."""
    chance = random.Random(3)
    job_id = submit(database)
    token = claim(database).attempt
    every: Columns = {"step": [], "loss": [], "rate": []}
    for batch, start in enumerate(range(0, rows, chunk), start=1):
        steps = range(10 + start, 10 + start + chunk)
        columns = {
            "step": list(steps),
            "loss": [chance.random() for _ in steps],
            "rate": [0.5 + step / 2**22 for step in steps],
        }
        if start <= rows // 3 < start + chunk:
            columns["loss"][7] = 99.0
        record(database, job_id, token, batch, told("student-0", columns))
        for key, column in columns.items():
            every[key] += column
    return job_id, every


def beyond(curves: Curves, after: Mapping[str, int]) -> dict[str, Columns]:
    """Return the part of curves beyond one step of each stage; no key without a value is there."""
    found: dict[str, Columns] = {}
    for name, series in curves.stages.items():
        rows = [
            row for row, step in enumerate(series.columns["step"]) if step > after.get(name, -1)
        ]
        columns = {key: [column[row] for row in rows] for key, column in series.columns.items()}
        if rows:
            found[name] = {key: column for key, column in columns.items() if any(column)}
    return found


@pytest.mark.parametrize("seed", range(2))
def test_curves_put_together_read_as_the_chunks_that_were_told(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "MERGE_EVERY", 3)
    monkeypatch.setattr(book, "LONG", 60)
    monkeypatch.setattr(book, "OUTLINED", 20)
    chance = random.Random(seed)
    job_id = submit(database)
    plain: list[Chunk] = []
    for _ in range(4):
        token = claim(database).attempt
        batch = 0
        for stage in ("teacher", "student-0"):
            # As a trainer does: the whole curve up to its checkpoint once more, then news.
            step = chance.choice([0, 0, chance.randrange(40)])
            reports = [range(1, step + 1)] if step else []
            for _ in range(chance.randrange(2, 25)):
                width, stride = chance.randrange(1, 7), chance.choice([1, 1, 1, 2])
                reports.append(range(step + 1, step + 1 + width * stride, stride))
                step = reports[-1][-1]
            for steps in reports:
                columns = points(chance, steps)
                batch += 1
                record(database, job_id, token, batch, told(stage, columns))
                plain.append(pack(token, stage, 0, columns))
        expected = stitch(plain)
        found = read(database, job_id)
        assert {name: series.columns for name, series in found.stages.items()} == {
            name: series.columns for name, series in expected.stages.items()
        }
        after = {
            name: chance.randrange(-1, series.columns["step"][-1] + 2)
            for name, series in expected.stages.items()
            if chance.random() < 0.8
        }
        new = read(database, job_id, after=after)
        assert beyond(new, {}) == beyond(expected, after)
        with database.write() as session:
            Repository(session).release(
                job_id, token, Ending("lost"), counted=False, retry_seconds=0
            )
    assert count(database, MetricChunk) < len(plain) / 2


def test_what_a_later_attempt_has_yet_to_tell_again_is_not_new(database: Database) -> None:
    chance = random.Random(0)
    job_id = submit(database)
    for steps in (range(100), range(50, 60)):
        token = claim(database).attempt
        record(database, job_id, token, 1, told("student-0", points(chance, steps)))
        with database.write() as session:
            repository = Repository(session)
            repository.release(job_id, token, Ending("lost"), counted=False, retry_seconds=0)
    assert read(database, job_id, after={"student-0": 59}).stages == {}
    (series,) = read(database, job_id, after={"student-0": 40}).stages.values()
    assert series.columns["step"] == [*range(41, 60)]


def test_an_attempt_that_tells_a_curve_again_replaces_what_was_told(database: Database) -> None:
    job_id, every = long_curve(database, 16_000)
    assert count(database, MetricView) > 0
    with database.write() as session:
        Repository(session).release(job_id, 1, Ending("lost"), counted=False, retry_seconds=0)
    token = claim(database).attempt
    again = {key: column[:9_000] for key, column in every.items()}
    record(database, job_id, token, 1, told("student-0", again))
    assert count(database, MetricChunk) == 1
    assert count(database, MetricView) == 1
    assert read(database, job_id).points == 9_000


def test_a_point_of_a_curve_takes_four_bytes_and_little_more(database: Database) -> None:
    # Ten points a report, as of a training of some 50 ms a step.
    job_id, every = long_curve(database, 9_600, chunk=10)
    with database.read() as session:
        chunks = session.scalars(select(MetricChunk)).all()
        views = session.scalars(select(MetricView)).all()
    row_bytes = 200  # what a row costs beside its data, generously
    size = sum(len(row.data) + row_bytes for row in (*chunks, *views))
    assert size / (2 * len(every["step"])) <= 5
    assert read(database, job_id).stages["student-0"].columns["step"] == every["step"]


@pytest.mark.parametrize("keys", [None, ["loss"], ["rate"]])
def test_a_view_of_a_long_curve_reads_outlines_and_shows_what_is_to_be_seen(
    database: Database, keys: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "STRETCH", 16)
    monkeypatch.setattr(book, "LONG", 4_000)
    job_id, every = long_curve(database, 16_000)
    told_rows = {
        step: (loss, rate)
        for step, loss, rate in zip(every["step"], every["loss"], every["rate"], strict=True)
    }
    seen: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_: seen.append(statement),
    )
    found = read(database, job_id, keys=keys, max_points=100)
    assert not any("metric_chunks.data" in statement for statement in seen)
    columns = found.stages["student-0"].columns
    steps = [int(step or 0) for step in columns["step"]]
    assert found.downsampled
    assert len(steps) <= 100
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (every["step"][0], every["step"][-1])
    # Real points, every column of each; the extremes of the whole; no long stretch without any.
    for place, key in enumerate(("loss", "rate")):
        if key in columns:
            values = [told_rows[step][place] for step in steps]
            assert columns[key] == pytest.approx(values)
            assert max(columns[key]) == pytest.approx(max(every[key]))  # type: ignore[type-var]
            assert min(columns[key]) == pytest.approx(min(every[key]))  # type: ignore[type-var]
    widest = max(later - earlier for earlier, later in itertools.pairwise(steps))
    assert widest < 16_000 / 8


def test_a_part_that_is_cut_off_is_not_shown_by_its_outline(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "STRETCH", 16)
    job_id, every = long_curve(database, 8_000)
    with database.write() as session:
        Repository(session).release(job_id, 1, Ending("lost"), counted=False, retry_seconds=0)
    token = claim(database).attempt
    # Older trainers told only what came after their checkpoint.
    rest = {key: column[5_000:6_000] for key, column in every.items()}
    record(database, job_id, token, 1, told("student-0", rest))
    thin = read(database, job_id, max_points=50).stages["student-0"].columns
    assert thin["step"][-1] == every["step"][5_999]
    whole = read(database, job_id).stages["student-0"].columns
    assert whole["step"] == every["step"][:6_000]
    assert max(thin["loss"]) == max(whole["loss"])  # type: ignore[type-var]
    assert min(thin["loss"]) == min(whole["loss"])  # type: ignore[type-var]


def test_uneven_and_falling_steps_are_kept_as_they_are() -> None:
    for steps in ([1, 2, 4], [3, 2, 1], [5, 5, 5], [7], [1, 11, 21]):
        columns: Columns = {"step": steps, "loss": [0.5] * len(steps)}
        chunk = pack(1, "teacher", 0, columns)
        assert stitch([chunk]).stages["teacher"].columns == columns
        assert (len(chunk.data) == 4 * len(steps)) == (steps in ([7], [1, 11, 21]))


def test_new_points_are_those_behind_a_position_however_often_they_are_told_and_merged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "MERGE_EVERY", 3)
    monkeypatch.setattr(book, "TOLD_AT_ONCE", 30)
    chance = random.Random(5)
    job_id = submit(database)
    position: dict[str, int] = {}
    heard: dict[str, list[int]] = {"a": [], "b": []}

    def hear() -> None:
        while True:
            with database.read() as session:
                found = Repository(session).new_points(job_id, position)
            if not found:
                return
            for stage, series in found:
                steps = [int(step or 0) for step in series.columns["step"]]
                heard[stage] += steps
                position[stage] = steps[-1]

    for last in (40, 70):  # the second attempt tells the whole curve once more
        token = claim(database).attempt
        for batch, start in enumerate(range(1, last, 10), start=1):
            steps = range(start, start + 10)
            both = [told(stage, points(chance, steps)) for stage in ("a", "b")]
            record(database, job_id, token, batch, *both)
            if chance.random() < 0.6:
                hear()
        if last == 40:
            with database.write() as session:
                Repository(session).release(
                    job_id, token, Ending("preempted"), counted=False, retry_seconds=0.0
                )
    hear()
    assert heard == {stage: [*range(1, 71)] for stage in ("a", "b")}
