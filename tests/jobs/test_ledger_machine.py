"""Whatever workers, sweepers and clients do, in any order: a machine that tries, on each database.

Any worker may speak at any moment with any token that it ever had. What is refused must change
nothing, what is accepted must be a transition that the table of statuses knows, and between any two
steps the ledger must be whole.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from chaos.verify import TERMINAL_EVENTS, consistency
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledgers import empty
from specs import document
from sqlalchemy import event, select

from jobs.database import Database
from jobs.endings import Ending
from jobs.errors import IllegalTransition, LeaseLost
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.states import ACTIVE, TERMINAL, TRANSITIONS, AttemptStatus, Status, Verb
from jobs.sweeping import Lease
from jobs.tables import Job

JOBS = Bundle("jobs")
MOST_JOBS = 2
OVER = -1.0
"""A lease that is over as soon as it begins."""
TOKENS = st.integers(0, 2)
"""How many claims ago a token was given; 0 is that of the latest."""
OUTCOMES = st.sampled_from(sorted(TERMINAL))
REASONS = st.sampled_from(["crashed", "preempted", "lost"])
VERBS = st.sampled_from(
    [
        verb
        for verb in ("cancel", "retry", "pause", "resume")
        if hasattr(Repository, {"cancel": "request_cancel"}.get(verb, verb))
    ]
)
SPEECH: dict[Status, tuple[Verb, AttemptStatus]] = {
    Status.SUCCEEDED: (Verb.SUCCEED, AttemptStatus.SUCCEEDED),
    Status.FAILED: (Verb.FAIL, AttemptStatus.FAILED),
    Status.CANCELLED: (Verb.STOP, AttemptStatus.CANCELLED),
}


class LedgerMachine(RuleBasedStateMachine):
    """Some jobs, and everybody who has anything to say about them."""

    def __init__(self, database: Database) -> None:
        """Start with an empty ledger."""
        super().__init__()
        self.database = database
        empty(database)
        self.batches: Counter[tuple[str, int]] = Counter()
        self.attempts: Counter[str] = Counter()
        self.told: dict[str, list[tuple[int, str]]] = {}

    # What is asked of the ledger

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        with self.database.read() as session:
            return Repository(session).get(job_id)

    def say(self, job_id: str, verbs: tuple[Verb, ...], words: Callable[[Repository], Any]) -> bool:
        """Say something; tell whether it was accepted, and check that it did only what it may."""
        before = self.job(job_id)
        try:
            with self.database.write() as session:
                words(Repository(session))
        except (LeaseLost, IllegalTransition):
            after = self.job(job_id)
            assert (after.status, after.last_seq, after.attempt) == (
                before.status,
                before.last_seq,
                before.attempt,
            ), "what was refused has changed something"
            return False
        was, now = Status(before.status), Status(self.job(job_id).status)
        may = {was, *(TRANSITIONS[verb].get(was, was) for verb in verbs)}
        assert now in may, f"{verbs} led from {was} to {now}"
        return True

    def token(self, job_id: str, ago: int) -> int:
        """Return a token that some worker has, or had."""
        return max(1, self.job(job_id).attempt - ago)

    def owns(self, job_id: str, token: int) -> bool:
        """Tell whether a token is good."""
        job = self.job(job_id)
        return job.attempt == token and job.status in ACTIVE

    # Clients

    # Few jobs, so that much happens to each.
    @precondition(lambda self: len(self.told) < MOST_JOBS)
    @rule(target=JOBS, attempts=st.integers(2, 20))
    def submit(self, attempts: int) -> str:
        """Store a job."""
        sent = document(max_attempts=attempts)
        with self.database.write() as session:
            return Repository(session).add(JobSpec.model_validate(sent), sent).id

    @rule(job_id=JOBS, verb=VERBS, hard=st.booleans())
    def ask(self, job_id: str, verb: str, hard: bool) -> None:
        """Be a client who wants something, at whatever moment."""

        def words(ledger: Repository) -> None:
            match verb:
                case "cancel":
                    ledger.request_cancel(job_id, "now" if hard else "graceful")
                case "retry":
                    ledger.retry(job_id, "scratch" if hard else "checkpoint")
                case other:
                    getattr(ledger, other)(job_id)

        # To take back what has not been done yet is a transition as well, where there are pauses.
        self.say(job_id, (Verb(verb), Verb.RELEASE), words)

    # Workers

    @rule(over=st.booleans())
    def claim(self, over: bool) -> None:
        """Be a worker with a free slot."""
        with self.database.read() as session:
            waiting = set(session.scalars(select(Job.id).where(Job.status == Status.QUEUED)))
        with self.database.write() as session:
            claim = Repository(session).claim("worker", OVER if over else 60.0)
        assert (claim.job_id in waiting) if claim else not waiting
        if claim:
            assert claim.attempt == self.attempts[claim.job_id] + 1, "a token is given once"

    @rule(job_id=JOBS, ago=TOKENS, over=st.booleans())
    def beat(self, job_id: str, ago: int, over: bool) -> None:
        """Renew a lease, or try to."""
        token = self.token(job_id, ago)
        good = self.owns(job_id, token)
        lease = OVER if over else 60.0
        accepted = self.say(job_id, (), lambda ledger: ledger.heartbeat(job_id, token, lease))
        assert accepted == good

    @rule(job_id=JOBS, ago=TOKENS, again=st.booleans(), saved=st.booleans())
    def record(self, job_id: str, ago: int, again: bool, saved: bool) -> None:
        """Tell of events, new ones or once more, with a good token or a stale one."""
        token = self.token(job_id, ago)
        good = self.owns(job_id, token)
        key = job_id, token
        self.batches[key] += not (again and self.batches[key])
        batch = self.batches[key]
        before = self.job(job_id).last_seq
        kind = {"type": "checkpoint", "stage": "s", "seed": 0, "step": batch}
        events = [kind if saved else {"type": "warning", "code": "x"}]
        repeated = good and self._has_written(job_id, token, batch)
        accepted = self.say(
            job_id, (), lambda ledger: ledger.record(job_id, token, events, batch=batch)
        )
        assert accepted == good
        assert self.job(job_id).last_seq - before == int(good and not repeated)

    def _has_written(self, job_id: str, token: int, batch: int) -> bool:
        with self.database.read() as session:
            return Repository(session).attempts(job_id)[token - 1].batches >= batch

    @rule(job_id=JOBS, ago=TOKENS, status=OUTCOMES)
    def settle(self, job_id: str, ago: int, status: Status) -> None:
        """End a job for good, or try to."""
        token = self.token(job_id, ago)
        verb, outcome = SPEECH[status]
        good = self.owns(job_id, token) and Status(self.job(job_id).status) in TRANSITIONS[verb]
        said_before = self._ended_as(job_id, token) == (outcome, "end")
        accepted = self.say(
            job_id, (verb,), lambda ledger: ledger.settle(job_id, token, status, Ending("end"))
        )
        assert accepted == (good or said_before)
        if good:
            assert self.job(job_id).status == status

    @rule(job_id=JOBS, ago=TOKENS, reason=REASONS, counted=st.booleans())
    def release(self, job_id: str, ago: int, reason: str, counted: bool) -> None:
        """Let go of a job, or try to."""
        token = self.token(job_id, ago)
        good = self.owns(job_id, token)
        ended = self._ended_as(job_id, token)
        said_before = ended is not None and ended[1] == reason
        accepted = self.say(
            job_id,
            (Verb.RELEASE, Verb.FAIL),
            lambda ledger: ledger.release(
                job_id, token, Ending(reason), counted=counted, retry_seconds=0.0
            ),
        )
        assert accepted == (good or said_before)

    def _ended_as(self, job_id: str, token: int) -> tuple[str, str | None] | None:
        with self.database.read() as session:
            rows = [one for one in Repository(session).attempts(job_id) if one.attempt == token]
        return (rows[0].status, rows[0].reason) if rows and rows[0].ended_at else None

    # Sweepers

    @precondition(lambda self: any(self.leases()))
    @rule(renewed=st.booleans(), data=st.data())
    def sweep(self, renewed: bool, data: st.DataObject) -> None:
        """Free a lease as it was seen, maybe after it was renewed."""
        lease = data.draw(st.sampled_from(self.leases()))
        if renewed:
            with self.database.write() as session:
                Repository(session).heartbeat(lease.job_id, lease.token, OVER / 2)

        def words(ledger: Repository) -> None:
            status = ledger.expire(lease, retry_seconds=0.0, lease_seconds=60.0)
            assert status is None or not renewed, "a lease was freed that had been renewed"

        self.say(lease.job_id, (Verb.RELEASE, Verb.FAIL), words)

    def leases(self) -> list[Lease]:
        """Return what a sweeper sees."""
        with self.database.read() as session:
            return Repository(session).leases()

    # Between any two steps

    @invariant()
    def the_ledger_is_whole(self) -> None:
        """Look at everything."""
        with self.database.read() as session:
            ledger = Repository(session)
            jobs = session.scalars(select(Job)).all()
            assert dict(ledger.counts()) == dict(Counter(job.status for job in jobs))
            for job in jobs:
                lines = ledger.events(job.id)
                found = list(consistency(job, ledger.attempts(job.id), lines))
                assert found == [], job.id
                ends = sum(line.type in TERMINAL_EVENTS for line in lines)
                opened = sum(line.type == "job.retried" for line in lines)
                assert ends - opened == int(job.status in TERMINAL)
                assert job.attempt >= self.attempts[job.id], "a token never falls"
                self.attempts[job.id] = job.attempt
                story = [(line.seq, line.type) for line in lines]
                told = self.told.setdefault(job.id, [])
                assert story[: len(told)] == told, "what was told has changed"
                self.told[job.id] = story


def hurry(database: Database) -> None:
    """Have no commit wait for the disk: nothing here dies."""
    said = "PRAGMA synchronous = OFF" if database.is_sqlite else "SET synchronous_commit TO off"

    def say(connection: Any, _: object) -> None:
        connection.cursor().execute(said)
        connection.commit()

    event.listen(database.engine, "connect", say)


@pytest.mark.slow
@pytest.mark.timeout(900)  # thousands of transactions, on a machine that may be busy
def test_any_order_of_what_anybody_does_leaves_the_ledger_whole(database: Database) -> None:
    hurry(database)
    tries = 100 if database.is_sqlite else 30
    run_state_machine_as_test(
        lambda: LedgerMachine(database),
        settings=settings(
            max_examples=tries,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
