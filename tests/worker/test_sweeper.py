"""The sweeper believes only what it saw itself, on its own clock."""

from collections.abc import Callable

import pytest
from bench import Bench
from sqlalchemy.exc import OperationalError

from jobs.endings import Ending
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.sweeper import Sweeper

LEASE = 60.0


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        """Start anywhere."""
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


class RecordingBell(Bell):
    """A bell whose rings are counted instead of sent."""

    def __init__(self, settings: Settings) -> None:
        """Start with no ring."""
        super().__init__(settings)
        self.rung: list[str] = []

    def ring(self, job_id: str) -> bool:
        """Count it."""
        self.rung.append(job_id)
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sweeper(bench: Bench, clock: Clock) -> Sweeper:
    return Sweeper(bench.settings, bench.database, Bell(bench.settings), clock)


def pass_time(sweeper: Sweeper, clock: Clock, seconds: float) -> None:
    """Sweep on as a sweeper does, every few seconds."""
    end = clock.now + seconds
    while clock.now < end:
        clock.now = min(clock.now + 5, end)
        sweeper.sweep()


def expire_all(bench: Bench) -> Callable[[], None]:
    """Make all leases look over, as after a long outage or a step of the database's clock."""

    def now() -> None:
        with bench.database.write() as session:
            for lease in Repository(session).leases():
                Repository(session).heartbeat(lease.job_id, lease.token, -1)

    return now


def test_a_dead_lease_is_freed_after_a_whole_lease_time_of_silence(
    bench: Bench, sweeper: Sweeper, clock: Clock
) -> None:
    job_id = bench.submit()
    bench.claim()
    expire_all(bench)()
    sweeper.sweep()
    pass_time(sweeper, clock, LEASE - 1)
    assert bench.job(job_id).status == "running"
    pass_time(sweeper, clock, 1)
    assert bench.job(job_id).status == "queued"
    assert bench.reasons(job_id) == [("lost", "lost")]


def test_a_living_worker_is_left_alone_however_late_its_lease_looks(
    bench: Bench, sweeper: Sweeper, clock: Clock
) -> None:
    job_id = bench.submit()
    bench.claim()
    for _ in range(10):
        expire_all(bench)()  # it beats, but the database's clock is far ahead
        pass_time(sweeper, clock, LEASE / 2)
    assert bench.job(job_id).status == "running"


def test_after_an_outage_workers_get_the_time_to_beat_again(
    bench: Bench, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    claim = bench.claim()
    sweeper.sweep()
    away = OperationalError("", {}, Exception("gone"))

    def refuse(_: Repository) -> None:
        raise away

    with monkeypatch.context() as outage:
        outage.setattr(Repository, "leases", refuse)
        for _ in range(20):
            clock.now += LEASE / 10
            with pytest.raises(OperationalError):
                sweeper.sweep()
    expire_all(bench)()
    sweeper.sweep()
    pass_time(sweeper, clock, LEASE - 1)
    assert bench.job(job_id).status == "running"
    with bench.database.write() as session:
        Repository(session).heartbeat(job_id, claim.attempt, LEASE)
    pass_time(sweeper, clock, LEASE * 2)
    assert bench.job(job_id).status == "running", "the lease is alive in the database's own time"


def test_a_sweeper_that_slept_itself_starts_anew(
    bench: Bench, sweeper: Sweeper, clock: Clock
) -> None:
    job_id = bench.submit()
    bench.claim()
    expire_all(bench)()
    sweeper.sweep()
    clock.now += 10 * LEASE  # the whole machine was suspended: nobody could beat
    sweeper.sweep()
    assert bench.job(job_id).status == "running"
    pass_time(sweeper, clock, LEASE)
    assert bench.job(job_id).status == "queued"


def test_each_attempt_is_watched_anew(bench: Bench, sweeper: Sweeper, clock: Clock) -> None:
    job_id = bench.submit()
    bench.claim()
    expire_all(bench)()
    sweeper.sweep()
    pass_time(sweeper, clock, LEASE / 2)
    with bench.database.write() as session:
        Repository(session).release(job_id, 1, Ending("preempted"), counted=False, retry_seconds=0)
    bench.claim()
    expire_all(bench)()
    pass_time(sweeper, clock, LEASE / 2 + 1)
    assert bench.job(job_id).status == "running"


def test_lost_bells_are_rung_again(bench: Bench, clock: Clock) -> None:
    job_id = bench.submit()
    bench.claim()
    with bench.database.write() as session:
        Repository(session).release(job_id, 1, Ending("preempted"), counted=False, retry_seconds=0)
    settings = bench.settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    bell = RecordingBell(settings)
    sweeper = Sweeper(settings, bench.database, bell, clock)
    sweeper.sweep()
    sweeper.sweep()
    assert bell.rung == [job_id]
    bell.close()
