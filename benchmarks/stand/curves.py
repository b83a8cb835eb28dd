"""Curves: what a point costs to store and to keep, and how long a view of many takes."""

from __future__ import annotations

import json
import random
import statistics
import time
from typing import Any

from sqlalchemy import BigInteger, Float, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column, registry

from jobs.database import Database, migrate
from jobs.leases import Claim
from jobs.repository import Repository
from jobs.spec import JobSpec
from stand.databases import empty_database
from worker.report import Report

FLUSH = 1_000
"""Points in one report."""
_PLAIN_POINTS = 20_000
_FLOOR_REPORTS = 300
_KEYS = ("loss", "learning_rate", "loss/cross_entropy", "loss/kd")
REPORTS = {250: 160, 2_500: 32, 25_000: 10}
"""Steps in one report, each with four points, and how many such reports; a worker sends two a
second, so 250 are those of a loop that takes 2 ms a step. The last ones are a million points."""
_SENT = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}

_PROGRESS: dict[str, Any] = {
    "type": "stage.progress",
    "stage": "student-0",
    "role": "student",
    "seed": 0,
    "total_steps": 10_000,
    "epoch": 0.5,
    "samples_per_second": 900.0,
    "eta_seconds": 3.0,
    "percent": 12.5,
    "run_eta_seconds": 20.0,
    "metrics": {"loss": 0.5},
}
_book = registry()


@_book.mapped
class PlainPoint:
    """A point as a row of its own, as it would be written without much thought."""

    __tablename__ = "plain_points"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    job_id: Mapped[str] = mapped_column(String(30), index=True)
    stage: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(64))
    step: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float] = mapped_column(Float)


def measure_curves(kind: str, points: int) -> dict[str, Any]:
    """Measure on one kind of database, and print the table."""
    with (
        empty_database(kind) as url,
        Database(url) as database,
        empty_database(kind) as other_url,
        Database(other_url) as other,
    ):
        migrate(database)
        _book.metadata.create_all(other.engine)
        before = _bytes(database)
        job_id = _new_job(database)
        chunked, plain = _insert(database, other, job_id, points)
        floor = _floor(other)
        kept = (_bytes(database) - before) / points
        short = _new_job(database)
        _tell(database, short, 1, _columns(range(1, 10_001)))
        views = [(_view(database, job_id), _view(database, short)) for _ in range(9)]
        long_views, short_views = zip(*views, strict=True)
        share = _share_of_a_step(database, _new_job(database))
        told = {steps: _whole_path(database, steps, count) for steps, count in REPORTS.items()}
    mean = statistics.fmean(chunked)
    ratios = [slow / mean for slow in plain]
    view, small = (1000 * statistics.median(one) for one in (long_views, short_views))
    print(f"| {kind}, curves | measured |")
    print("| --- | ---: |")
    print(f"| a point as a row through the ORM, CPU us | {statistics.median(plain):.1f} |")
    print(f"| a point in a report of {FLUSH:,}, CPU us, mean | {mean:.3f} |")
    print(f"| the same bytes by the driver alone, in a table without indexes | {floor:.3f} |")
    print(f"| insert: rows / chunks | {statistics.median(ratios):.0f} |")
    for steps, (reading, recording) in told.items():
        row, size = statistics.median(plain), f"{len(_KEYS) * steps:,}"
        print(f"| a worker's report of {size}: lines read, CPU us a point | {reading:.3f} |")
        print(f"| the same recorded: job, progress, points, commit | {recording:.3f} |")
        print(f"| rows / recorded; / read and recorded | {row / recording:.0f}; ", end="")
        print(f"{row / (reading + recording):.0f} |")
    print(f"| bytes a point, with indexes and outlines | {kept:.2f} |")
    print(f"| {points:,} points seen as 1,000, ms | {view:.1f} |")
    print(f"| 10,000 points seen as 1,000, ms | {small:.1f} |")
    print(f"| reports and heartbeats in the worker, % of a 70 ms step | {100 * share:.2f} |")
    print(flush=True)
    return {
        "plain_us": plain,
        "chunked_us": chunked,
        "floor_us": floor,
        "whole_path_us": told,
        "bytes_a_point": kept,
        "view_ms": view,
        "small_view_ms": small,
        "share_of_a_step": share,
    }


def _share_of_a_step(database: Database, job_id: str) -> float:
    """Return the CPU time that a worker spends on a step of 70 ms, as a share of it.

    Two reports a second, each of seven steps with four curves and the progress, as lines of a
    trainer; a heartbeat every ten seconds.
    """
    seconds = [sum(one) for one in _report(database, job_id, 7, 60)]
    begin = time.process_time()
    for _ in range(20):
        with database.write() as session:
            Repository(session).heartbeat(job_id, 1, 60)
    beat = (time.process_time() - begin) / 20
    return (statistics.fmean(seconds[10:]) / 7 + beat * 0.07 / 10) / 0.07


def _whole_path(database: Database, steps: int, reports: int) -> tuple[float, float]:
    """Return CPU microseconds a point in a worker: of reading, and of recording."""
    warm = reports // 10
    seconds = _report(database, _new_job(database), steps, warm + reports)[warm:]
    points = steps * len(_KEYS)
    reading, recording = (
        1e6 * statistics.fmean(part) / points for part in zip(*seconds, strict=True)
    )
    return reading, recording


def _report(database: Database, job_id: str, steps: int, reports: int) -> list[tuple[float, float]]:
    """Return the CPU seconds of each report: lines read and checked; recorded and committed."""
    report = Report(database, Claim(job_id, 1, {}, [], [], None, 0.0))
    seconds: list[tuple[float, float]] = []
    for turn in range(reports):
        lines = _lines(range(steps * turn + 1, steps * (turn + 1) + 1))
        begin = time.process_time()
        for line in lines:
            report.take(line)
        read = time.process_time()
        report.flush(in_vain=lambda: False)
        seconds.append((read - begin, time.process_time() - read))
    return seconds


def _lines(steps: range) -> list[bytes]:
    """Return what a trainer tells of some steps: four curves and the progress."""
    columns: dict[str, Any] = {key: [random.random() for _ in steps] for key in _KEYS}  # noqa: S311
    columns["step"] = list(steps)
    metrics = {"type": "metrics", "stage": "student-0", "seed": 0, "columns": columns}
    return [json.dumps(one).encode() for one in (metrics, {**_PROGRESS, "step": steps[-1]})]


def _new_job(database: Database) -> str:
    with database.write() as session:
        job_id = Repository(session).add(JobSpec.model_validate(_SENT), _SENT).id
    with database.write() as session:
        Repository(session).claim("bench", 600)
    return job_id


def _insert(
    database: Database, other: Database, job_id: str, points: int
) -> tuple[list[float], list[float]]:
    """Return CPU microseconds a point, report by report: in chunks, and as rows.

    Now and then a report also puts earlier chunks together; so the mean is what counts.
    """
    chunked: list[float] = []
    plain: list[float] = []
    every = max(1, points // _PLAIN_POINTS)
    for batch, start in enumerate(range(0, points, FLUSH), start=1):
        columns = _columns(range(start + 1, start + FLUSH + 1))
        begin = time.process_time()
        _tell(database, job_id, batch, columns)
        chunked.append(1e6 * (time.process_time() - begin) / FLUSH)
        if batch % every == 0:
            begin = time.process_time()
            _tell_plainly(other, job_id, columns)
            plain.append(1e6 * (time.process_time() - begin) / FLUSH)
    return chunked, plain


def _floor(database: Database) -> float:
    """Return CPU microseconds a point of what no ledger can do without: to commit its bytes."""
    kind, mark = ("BLOB", "?") if database.is_sqlite else ("BYTEA", "%s")
    insert = f"INSERT INTO plain_bytes VALUES ({mark})"  # noqa: S608  # our own mark
    raw = database.engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute(f"CREATE TABLE plain_bytes (data {kind})")
        raw.commit()
        begin = time.process_time()
        for _ in range(_FLOOR_REPORTS):
            cursor.execute(insert, (random.randbytes(4 * FLUSH),))  # noqa: S311  # no secret
            raw.commit()
        return 1e6 * (time.process_time() - begin) / _FLOOR_REPORTS / FLUSH
    finally:
        raw.close()


def _columns(steps: range) -> dict[str, list[Any]]:
    return {"step": list(steps), "loss": [random.random() for _ in steps]}  # noqa: S311


def _tell(database: Database, job_id: str, batch: int, columns: dict[str, list[Any]]) -> None:
    event = {"type": "metrics", "stage": "student-0", "seed": 0, "columns": columns}
    with database.write() as session:
        # What `record` does with points; the rest of it is no matter of their number.
        Repository(session).keep_points(job_id, 1, [event], batch)


def _tell_plainly(database: Database, job_id: str, columns: dict[str, list[Any]]) -> None:
    with database.write() as session:
        for step, value in zip(columns["step"], columns["loss"], strict=True):
            point = PlainPoint()
            point.job_id, point.stage, point.key = job_id, "student-0", "loss"
            point.step, point.value = step, value
            session.add(point)


def _view(database: Database, job_id: str) -> float:
    start = time.perf_counter()
    with database.read() as session:
        Repository(session).metrics(job_id, max_points=1000)
    return time.perf_counter() - start


def _bytes(database: Database) -> int:
    """Return the size of the curves' tables and indexes, after a cleaning."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not database.is_sqlite:
            connection.execute(text("VACUUM FULL metric_chunks, metric_views"))
            size = text(
                "SELECT pg_total_relation_size('metric_chunks')"
                " + pg_total_relation_size('metric_views')"
            )
            return int(connection.execute(size).scalar_one())
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        free = connection.execute(text("PRAGMA freelist_count")).scalar_one()
        return 4096 * (int(pages) - int(free))
