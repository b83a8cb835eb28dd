"""What a trainer writes beside its events is kept, bounded, and told with the job it belongs to."""

import io
import json
import logging
from collections.abc import Generator

import pytest
from bench import Bench
from waiting import wait_until

from jobs.logs import set_up_logging
from jobs.operations import KeptLog
from worker.trainer_log import HEAD_BYTES, RETOLD_LINES, TAIL_BYTES

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def log_of(bench: Bench, job_id: str, attempt: int | None = None) -> KeptLog:
    kept = bench.ask(lambda ledger: ledger.trainer_log(job_id, attempt=attempt))
    assert kept is not None
    return kept


def test_the_last_words_of_a_trainer_that_crashed_are_kept_with_its_attempt(bench: Bench) -> None:
    job_id = bench.submit(say="Segmentation fault\n", crash_at=2, once=True)
    bench.run()
    bench.run()
    assert bench.job(job_id).status == "succeeded"
    first, second = log_of(bench, job_id, 1), log_of(bench, job_id, 2)
    assert (first.head, first.left_out, first.tail) == (b"Segmentation fault\n", 0, b"")
    assert (first.reason, second.reason) == ("crashed", "finished")


def test_a_log_can_be_read_while_the_trainer_runs(bench: Bench) -> None:
    job_id = bench.submit(say="a warning\n", hold_at=1, steps=10)
    running = bench.start(bench.claim())
    wait_until(lambda: log_of(bench, job_id).head == b"a warning\n")
    bench.draining.set()
    running.result(30)


def test_a_trainer_that_writes_without_end_fills_nothing_and_comes_to_its_end(
    bench: Bench,
) -> None:
    lines = 200_000
    job_id = bench.submit(noise=lines)
    bench.run()
    assert bench.job(job_id).status == "succeeded"
    kept = log_of(bench, job_id)
    assert (len(kept.head), len(kept.tail)) == (HEAD_BYTES, TAIL_BYTES)
    assert kept.left_out == lines * 100 + len("last words\n") - HEAD_BYTES - TAIL_BYTES
    assert kept.tail.endswith(b"x\nlast words\n")


@pytest.fixture
def logged() -> Generator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@on_sqlite
def test_its_first_lines_stand_in_the_workers_log_with_job_and_attempt(
    bench: Bench, logged: io.StringIO
) -> None:
    set_up_logging(bench.settings.model_copy(update={"log_format": "json"}), "worker", logged)
    job_id = bench.submit(say="odd \x1b[31m\n", noise=RETOLD_LINES + 50)
    bench.run()
    entries = [json.loads(line) for line in logged.getvalue().splitlines()]
    told = [entry for entry in entries if entry["logger"] == "trainer"]
    assert len(told) == RETOLD_LINES + 1
    assert {(entry["job_id"], entry["attempt"]) for entry in told} == {(job_id, 1)}
    assert told[0]["message"] == "odd \x1b[31m"
    assert any("begins" in entry["message"] and entry["job_id"] == job_id for entry in entries)
