"""Sweeps in the ledger: made, gone on with by anybody, cancelled and resumed as a whole.

Whoever goes on with a sweep locks its row, and stores jobs and notes their trials in one
transaction: two who come at once, or one who is killed, make no trial twice and lose none.
"""

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, insert, select, update

from jobs.database import dump_json
from jobs.errors import IllegalTransition, JobError, JobNotFound, ProjectFull
from jobs.ids import new_id
from jobs.input_errors import InputNotFound, JobFileMissing
from jobs.intake import store
from jobs.leaderboard import Row, Tried, promoted, ranked
from jobs.moments import clock
from jobs.outbox import note_sweep
from jobs.space import Asha
from jobs.spec import JobSpec
from jobs.states import TERMINAL, Status
from jobs.submission import Submission, digest_of
from jobs.sweep_budget import body_to_go_on, is_spent
from jobs.sweep_errors import SweepEnded, SweepNotFound
from jobs.sweep_spec import Budget, SweepSpec
from jobs.sweep_tables import Sweep, Trial
from jobs.tables import Job
from jobs.verbs import CancelMode, Verbs


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial that is not stored yet."""

    number: int
    rung: int
    point: Mapping[str, Any]
    sent: Mapping[str, Any]
    recipe: Mapping[str, Any]
    needs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewSweep:
    """A sweep that is not stored yet."""

    id: str
    project: str
    body: SweepSpec
    trials: Sequence[NewTrial]
    created_by: str | None = None
    idempotency_key: str | None = None
    body_sha256: str | None = None


class Sweeps(Verbs):
    """What is told and asked of sweeps; bound to a project, only of its own."""

    def add_sweep(self, new: NewSweep) -> Sweep:
        """Store a sweep with all its trials; `advance_sweep` begins with it."""
        self._connection.execute(
            insert(Sweep).values(
                id=new.id,
                project=new.project,
                name=new.body.name,
                status="running",
                body=new.body.model_dump(mode="json"),
                idempotency_key=digest_of(new.project, new.idempotency_key),
                body_sha256=new.body_sha256,
                created_by=new.created_by,
                created_at=clock(),
            )
        )
        rows = [
            {
                "sweep_id": new.id,
                "number": one.number,
                "rung": one.rung,
                "state": "held" if one.rung else "pending",
                "point": dict(one.point),
                "sent": dict(one.sent),
                "recipe": dict(one.recipe),
                "needs": dict(one.needs),
            }
            for one in new.trials
        ]
        self._connection.execute(insert(Trial), rows)
        return self.sweep(new.id)

    def sweep(self, sweep_id: str) -> Sweep:
        """Return a sweep.

        Raises:
            SweepNotFound: there is none.
        """
        row = self._session.get(Sweep, sweep_id, populate_existing=True)
        if row is None or self._project not in {None, row.project}:
            raise SweepNotFound(sweep_id)
        return row

    def sweep_of_key(self, idempotency_key: str) -> Sweep | None:
        """Return the sweep that was made under a key of this project."""
        digest = digest_of(self._project or "", idempotency_key)
        return self._session.scalar(select(Sweep).where(Sweep.idempotency_key == digest))

    def sweeps(self, *, limit: int, before: str | None = None) -> Sequence[Sweep]:
        """Return sweeps, the newest first, in front of the id `before`."""
        rows = select(Sweep)
        if self._project is not None:
            rows = rows.where(Sweep.project == self._project)
        if before is not None:
            rows = rows.where(Sweep.id < before)
        return self._session.scalars(rows.order_by(Sweep.id.desc()).limit(limit)).all()

    def running_sweeps(self) -> Sequence[str]:
        """Return the ids of all sweeps that go on."""
        return self._session.scalars(select(Sweep.id).where(Sweep.status == "running")).all()

    def tried(self, sweep_id: str) -> list[Tried]:
        """Return all trials, each with what became of its job; verdicts are wide."""
        rows = self._session.execute(
            select(
                Trial.number,
                Trial.rung,
                Trial.state,
                Trial.point,
                Trial.reason,
                Trial.job_id,
                Job.status,
                Job.verdict,
                Job.failure,
            )
            .join(Job, Job.id == Trial.job_id, isouter=True)
            .where(Trial.sweep_id == sweep_id)
            .order_by(Trial.number, Trial.rung)
        )
        return [Tried(*row) for row in rows]

    def standing(self, sweep_ids: Collection[str]) -> Mapping[str, Counter[str]]:
        """Return how many trials of each sweep stand where: see `_place`."""
        rows = self._session.execute(
            select(Trial.sweep_id, Trial.state, Job.status, func.count())
            .join(Job, Job.id == Trial.job_id, isouter=True)
            .where(Trial.sweep_id.in_(sweep_ids))
            .group_by(Trial.sweep_id, Trial.state, Job.status)
        )
        found = {sweep_id: Counter[str]() for sweep_id in sweep_ids}
        for sweep_id, state, status, count in rows:
            found[sweep_id][_place(state, status)] += count
        return found

    def leaderboard(self, sweep_id: str) -> list[Row]:
        """Return the points of a sweep, the best first, each as far as it came."""
        body = SweepSpec.model_validate(self.sweep(sweep_id).body)
        return ranked(self.tried(sweep_id), body)

    def advance_sweep(self, sweep_id: str) -> list[str]:
        """Go on with a sweep, as far as it may now; return the ids of new jobs, to be rung for.

        Where somebody else is at it nothing is done.
        """
        locked = (
            select(Sweep)
            .where(Sweep.id == sweep_id, Sweep.status == "running")
            .with_for_update(skip_locked=True)
        )
        sweep = self._session.scalar(locked, execution_options={"populate_existing": True})
        if sweep is None:
            return []
        body = SweepSpec.model_validate(sweep.body)
        if isinstance(body.strategy, Asha):
            for number, rung in promoted(self.tried(sweep_id), body, body.strategy.eta):
                self._note(sweep_id, number, rung, state="pending")
        active = self.standing([sweep_id])[sweep_id]["active"]
        spent = is_spent(self._session, sweep_id, body.budget)
        begun = [] if spent else self._begin_trials(sweep, body.max_parallel - active)
        waits = bool(self._pending(sweep_id, 1))
        if not active and not begun and (spent or not waits):
            self._end(sweep_id, "completed", "budget" if waits else "done")
        return begun

    def cancel_sweep(self, sweep_id: str, mode: CancelMode = "graceful") -> Sweep:
        """Begin no more trials, and cancel those that wait or run; asking again is no error.

        Raises:
            SweepEnded: it has come to its end.
        """
        sweep = self._locked_sweep(sweep_id)
        if sweep.status == "completed":
            raise SweepEnded(sweep_id)
        for one in self.tried(sweep_id):
            if one.job_id and one.is_active:
                with contextlib.suppress(IllegalTransition, JobNotFound):  # it has just ended
                    self.request_cancel(one.job_id, mode)
        if sweep.status == "running":
            self._end(sweep_id, "cancelled", "cancelled")
        return self.sweep(sweep_id)

    def resume_sweep(self, sweep_id: str, budget: Budget | None = None) -> Sweep:
        """Go on with a sweep that was cancelled, or that its budget has ended.

        Trials whose jobs were cancelled are begun anew. `budget` takes the place of its own.

        Raises:
            SweepEnded: it has come to its end.
            BudgetSpent: so much is spent already.
        """
        body = body_to_go_on(self._session, self._locked_sweep(sweep_id), budget)
        for one in self.tried(sweep_id):
            if one.status in {Status.CANCELLED, Status.CANCELLING}:
                self._note(sweep_id, one.number, one.rung, state="pending", job_id=None)
        values = {"status": "running", "ended_at": None, "ended_for": None, "body": body}
        self._session.execute(update(Sweep).where(Sweep.id == sweep_id).values(**values))
        return self.sweep(sweep_id)

    def _locked_sweep(self, sweep_id: str) -> Sweep:
        self._session.execute(select(Sweep.id).where(Sweep.id == sweep_id).with_for_update())
        return self.sweep(sweep_id)

    def _begin_trials(self, sweep: Sweep, room: int) -> list[str]:
        """Store the jobs of the next trials; what cannot be a job any more is noted as refused."""
        begun: list[str] = []
        while room > len(begun):
            trial = next(iter(self._pending(sweep.id, 1)), None)
            if trial is None:
                break
            try:
                with self._session.begin_nested():
                    (row,) = store(self._connection, [_submission(sweep, trial)])
            except ProjectFull:
                break  # there is room later
            except (InputNotFound, JobFileMissing, ValidationError) as error:
                code = error.code if isinstance(error, JobError) else "spec_invalid"
                reason = {"code": code, "message": str(error)[:500]}
                self._note(sweep.id, trial.number, trial.rung, state="refused", reason=reason)
                continue
            self._note(sweep.id, trial.number, trial.rung, state="started", job_id=row.id)
            begun.append(row.id)
        return begun

    def _pending(self, sweep_id: str, limit: int) -> Sequence[Trial]:
        """Return the next trials: who has come far goes first."""
        rows = select(Trial).where(Trial.sweep_id == sweep_id, Trial.state == "pending")
        rows = rows.order_by(Trial.rung.desc(), Trial.number).limit(limit)
        return self._session.scalars(rows, execution_options={"populate_existing": True}).all()

    def _note(self, sweep_id: str, number: int, rung: int, **values: Any) -> None:
        one = (Trial.sweep_id == sweep_id, Trial.number == number, Trial.rung == rung)
        self._session.execute(update(Trial).where(*one).values(**values))

    def _end(self, sweep_id: str, status: str, ended_for: str) -> None:
        values = {"status": status, "ended_at": clock(), "ended_for": ended_for}
        self._session.execute(update(Sweep).where(Sweep.id == sweep_id).values(**values))
        note_sweep(self._connection, sweep_id)


def _place(state: str, status: str | None) -> str:
    """Return where a trial stands: `pending`, `held`, `refused`, `active`, or as its job ended."""
    if state != "started":
        return state
    if status is None:
        return Status.CANCELLED.value  # its job was deleted
    return status if Status(status) in TERMINAL else "active"


def new_sweep_id() -> str:
    """Return the id of a new sweep."""
    return new_id("swp")


def _submission(sweep: Sweep, trial: Trial) -> Submission:
    needs = trial.needs
    return Submission(
        JobSpec.model_validate(trial.sent),
        dump_json(trial.sent),
        dump_json(trial.recipe),
        project=sweep.project,
        submitted_by=sweep.created_by,
        inputs=tuple(needs.get("inputs", ())),
        files=tuple((job, name) for job, name in needs.get("files", ())),
    )
