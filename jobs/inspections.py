"""Inspections: what a project asks of its data, models and specs, answered once by a worker.

queued -> running -> done | failed; a worker that dies over one gives it back to the queue, twice.
The lease is simpler than a job's: whoever finds it over on the ledger's clock takes it away, since
an inspection that runs twice harms nobody. What a worker writes is fenced by the attempt.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from jobs.bulk import insert_rows
from jobs.hub import hub_files
from jobs.ids import new_id
from jobs.input_errors import InspectionLost, InspectionNotFound, InspectionsFull
from jobs.inputs import Used, require_inputs
from jobs.inspection_tables import Inspection, InspectionInput
from jobs.job_files import JobFiles
from jobs.moments import clock

Kind = Literal["dataset_report", "model_layers", "preflight"]
ENDED: Final = frozenset({"done", "failed"})
MOST_LOSSES: Final = 2
"""Workers that may die over an inspection before it fails."""
MOST_WAITING: Final = 32
"""Inspections of one project that wait."""
_DAY_SECONDS: Final = 86_400.0
_LOST: Final = {
    "code": "worker_lost",
    "message": f"{MOST_LOSSES + 1} workers died over it, one after the other",
    "hint": "look into their logs; it may need more memory than a worker has",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    kind: Kind
    asked: Mapping[str, Any]
    """What the worker's child is told; uploaded files stand in it by paths of their content."""
    inputs: tuple[str, ...] = ()
    """Ids of uploaded files."""
    files: tuple[tuple[str, str], ...] = ()
    """Files of earlier jobs, by job and name."""

    @property
    def digest(self) -> str:
        """What tells it from other questions."""
        text = json.dumps([self.kind, self.asked], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Inspected:
    """An inspection that is now a worker's, for as long as it renews the lease."""

    id: str
    attempt: int
    """The fencing token as well."""
    kind: str
    asked: dict[str, Any]
    inputs: list[Used] = field(default_factory=list[Used])


class Inspections(JobFiles):
    """Questions of projects, and what workers found; bound to a project, only its own."""

    def inspect(
        self, project: str, question: Question, *, by: str | None, again: bool = False
    ) -> tuple[Inspection, bool]:
        """Return the inspection of a question, and whether it was begun by this.

        One that has ended is begun `again` where that is asked for.

        Raises:
            InspectionsFull: as many of the project wait as may.
            InputNotFound: a file was deleted since it was looked for.
        """
        known = self._asked(project, question)
        if known is not None and again and known.state in ENDED:
            self._session.execute(delete(Inspection).where(Inspection.id == known.id))
            known = None
        if known is None:
            waiting = select(func.count()).where(
                Inspection.project == project, Inspection.state == "queued"
            )
            if (self._session.scalar(waiting) or 0) >= MOST_WAITING:
                raise InspectionsFull(MOST_WAITING)
            try:
                with self._session.begin_nested():
                    return self._begin(project, question, by), True
            except IntegrityError:
                # The same was asked at the same moment.
                if (known := self._asked(project, question)) is None:
                    raise
        self._session.execute(
            update(Inspection).where(Inspection.id == known.id).values(asked_at=clock())
        )
        return known, False

    def _asked(self, project: str, question: Question) -> Inspection | None:
        return self._session.scalar(
            select(Inspection).where(
                Inspection.project == project, Inspection.digest == question.digest
            )
        )

    def _begin(self, project: str, question: Question, by: str | None) -> Inspection:
        inspection_id = new_id("ins")
        require_inputs(self._connection, set(question.inputs))
        self._session.execute(
            insert(Inspection).values(
                id=inspection_id,
                project=project,
                kind=question.kind,
                digest=question.digest,
                question={"asked": dict(question.asked), "files": list(question.files)},
                state="queued",
                attempt=0,
                losses=0,
                created_by=by,
                created_at=clock(),
                asked_at=clock(),
            )
        )
        rows = [{"inspection_id": inspection_id, "input_id": one} for one in question.inputs]
        if rows:
            insert_rows(self._connection, InspectionInput, rows)
        return self.inspection(inspection_id)

    def known_inspection(self, question: Question) -> Inspection | None:
        """Return the inspection of a question of the project, if there is one."""
        return self._asked(self._project, question) if self._project else None

    def inspection(self, inspection_id: str) -> Inspection:
        """Return an inspection as it is now.

        Raises:
            InspectionNotFound: there is none.
        """
        row = self._session.get(Inspection, inspection_id, populate_existing=True)
        if row is None or self._project not in {None, row.project}:
            raise InspectionNotFound(inspection_id)
        return row

    def claim_inspection(self, lease_seconds: float) -> Inspected | None:
        """Take the inspection that has waited longest, if any waits."""
        best = self._session.scalar(
            select(Inspection.id)
            .where(Inspection.state == "queued")
            .order_by(Inspection.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if best is None:
            return None
        row = self._connection.execute(
            update(Inspection)
            .where(Inspection.id == best, Inspection.state == "queued")
            .values(
                state="running", attempt=Inspection.attempt + 1, lease_until=clock(lease_seconds)
            )
            .returning(Inspection.id, Inspection.attempt, Inspection.kind, Inspection.question)
        ).one_or_none()
        if row is None:
            return None
        ids = select(InspectionInput.input_id).where(InspectionInput.inspection_id == row.id)
        files = [(job_id, name) for job_id, name in row.question["files"]]
        used = [
            *self.used(ids),
            *self.delivered_files(files),
            *hub_files(row.question["asked"]),
        ]
        return Inspected(row.id, row.attempt, row.kind, row.question["asked"], used)

    def renew_inspection(self, inspection_id: str, attempt: int, lease_seconds: float) -> None:
        """Keep an inspection.

        Raises:
            InspectionLost: it is another attempt's, or was deleted.
        """
        self._write(inspection_id, attempt, {"lease_until": clock(lease_seconds)})

    def answer_inspection(
        self,
        inspection_id: str,
        attempt: int,
        *,
        result: Mapping[str, Any] | None = None,
        failure: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what was found, or why nothing could be.

        Raises:
            InspectionLost: it is another attempt's, or was deleted.
        """
        ended = {
            "state": "failed" if result is None else "done",
            "result": result,
            "failure": failure,
            "lease_until": None,
            "finished_at": clock(),
        }
        self._write(inspection_id, attempt, ended)

    def release_inspection(self, inspection_id: str, attempt: int) -> None:
        """Give an inspection back to the queue.

        Raises:
            InspectionLost: it is another attempt's, or was deleted.
        """
        self._write(inspection_id, attempt, {"state": "queued", "lease_until": None})

    def _write(self, inspection_id: str, attempt: int, values: Mapping[str, Any]) -> None:
        written = self._connection.execute(
            update(Inspection)
            .where(
                Inspection.id == inspection_id,
                Inspection.attempt == attempt,
                Inspection.state == "running",
            )
            .values(**values)
        )
        if not written.rowcount:
            raise InspectionLost(inspection_id, attempt)

    def expire_inspections(self) -> Sequence[str]:
        """Take inspections away from workers that are silent; return their ids."""
        over = Inspection.state == "running", Inspection.lease_until < clock()
        failed = self._connection.scalars(
            update(Inspection)
            .where(*over, Inspection.losses >= MOST_LOSSES)
            .values(
                state="failed",
                failure=_LOST,
                losses=Inspection.losses + 1,
                lease_until=None,
                finished_at=clock(),
            )
            .returning(Inspection.id)
        ).all()
        again = self._connection.scalars(
            update(Inspection)
            .where(*over)
            .values(state="queued", losses=Inspection.losses + 1, lease_until=None)
            .returning(Inspection.id)
        ).all()
        return [*failed, *again]

    def waiting_inspection(self, seconds: float) -> str | None:
        """Return an inspection that has waited for so long, if there is one."""
        return self._session.scalar(
            select(Inspection.id)
            .where(Inspection.state == "queued", Inspection.created_at < clock(-seconds))
            .order_by(Inspection.id)
            .limit(1)
        )

    def forget_inspections(self, days: float, limit: int) -> Sequence[str]:
        """Remove some that ended and that nobody has asked for in so many days."""
        due = (
            select(Inspection.id)
            .where(Inspection.state.in_(ENDED), Inspection.asked_at < clock(-days * _DAY_SECONDS))
            .limit(limit)
        )
        gone = delete(Inspection).where(Inspection.id.in_(due)).returning(Inspection.id)
        return self._connection.scalars(gone).all()
