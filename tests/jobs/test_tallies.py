"""What operators count: it only grows, whatever is folded or deleted."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from specs import claim, submit
from sqlalchemy import delete, func, select

from jobs.database import Database
from jobs.endings import Ending, Failure
from jobs.errors import LeaseLost
from jobs.operating import SweeperRound, Tally
from jobs.repository import Repository
from jobs.states import Status
from jobs.sums import FOLD_EVERY
from jobs.tables import Job
from jobs.tallies import ATTEMPT, BOUNDS, QUEUE_WAIT, Tallies, tally


def tallies(database: Database) -> Tallies:
    with database.read() as session:
        return Repository(session).tallies()


def test_claims_and_ends_are_counted_and_outlive_their_jobs(database: Database) -> None:
    for reason in ("finished", "finished", "nan_loss"):
        job_id = submit(database)
        token = claim(database).attempt
        status = Status.SUCCEEDED if reason == "finished" else Status.FAILED
        failure = None if reason == "finished" else Failure(reason, "x")
        with database.write() as session:
            Repository(session).settle(job_id, token, status, Ending(reason, failure))
    submit(database)
    claim(database)
    with database.write() as session:
        session.execute(delete(Job))
    counted = tallies(database)
    assert sum(counted.series[QUEUE_WAIT][""].buckets) == 4
    ended = {label: sum(one.buckets) for label, one in counted.series[ATTEMPT].items()}
    assert ended == {"succeeded/finished": 2, "failed/nan_loss": 1}


def test_a_job_waits_from_the_moment_when_it_could_be_run(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        Repository(session).release(
            job_id, token, Ending("preempted"), counted=False, retry_seconds=2
        )
    claim(database)
    waited = tallies(database).series[QUEUE_WAIT][""]
    assert sum(waited.buckets) == 2
    assert 0 <= waited.seconds < 30


def test_folding_beside_other_transactions_loses_nothing(database: Database) -> None:
    def count_some(_: int) -> None:
        for place in range(FOLD_EVERY):
            with database.write() as session:
                tally(session.connection(), ATTEMPT, float(place), "lost/lost")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_some, range(4)))
    with database.read() as session:
        rows = session.scalar(select(func.count()).select_from(Tally)) or 0
    assert rows < 4 * FOLD_EVERY
    lost = tallies(database).series[ATTEMPT]["lost/lost"]
    assert sum(lost.buckets) == 4 * FOLD_EVERY
    assert lost.seconds == 4 * sum(range(FOLD_EVERY))
    assert lost.buckets[0] == 4 * 2  # 0 and 1 s: a bound belongs to its bucket


@pytest.mark.parametrize("series", BOUNDS)
def test_the_longest_and_a_clock_that_went_back_have_their_buckets(
    database: Database, series: str
) -> None:
    with database.write() as session:
        tally(session.connection(), series, 1e9, "x")
        tally(session.connection(), series, -5.0, "x")
    counted = tallies(database).series[series]["x"]
    assert (counted.buckets[0], counted.buckets[-1], counted.seconds) == (1, 1, 1e9)


def test_the_last_sweep_is_that_of_any_sweeper(database: Database) -> None:
    with database.read() as session:
        assert Repository(session).last_sweep() is None
    for name in ("one", "two", "one"):
        with database.write() as session:
            Repository(session).note_sweep(name)
    with database.read() as session:
        last = Repository(session).last_sweep()
        assert session.scalar(select(func.count()).select_from(SweeperRound)) == 2
    assert last is not None
    assert 0 <= last.age_seconds < 10


def test_a_log_is_kept_by_who_owns_the_job_alone(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    for tail in (b"one", b"two"):
        with database.write() as session:
            Repository(session).keep_log(job_id, token, b"head\x00\xff", 5, tail)
    with database.read() as session:
        kept = Repository(session).trainer_log(job_id)
        assert Repository(session).trainer_log(job_id, attempt=2) is None
        assert Repository(session).trainer_log(job_id, before=1) is None
    assert kept is not None
    assert (kept.head, kept.left_out, kept.tail) == (b"head\x00\xff", 5, b"two")
    with database.write() as session, pytest.raises(LeaseLost):
        Repository(session).keep_log(job_id, token + 1, b"", 0, b"")
