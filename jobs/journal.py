"""The ways in which anything is written: a status moves through the gate, a line is appended.

What a worker writes is fenced: the token is the number of its attempt, a later claim raises the
job's number, and everything that an earlier owner still writes finds no row and changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, literal_column, select, update
from sqlalchemy.orm import Session, defer

from jobs.errors import JobNotFound, LeaseLost
from jobs.mirroring import MIRRORED, note_run
from jobs.moments import clock
from jobs.outbox import HEARD, note_lines
from jobs.states import ACTIVE, TERMINAL, TRANSITIONS, Status, Verb
from jobs.sums import Sums
from jobs.tables import Artifact, Event, Job, StatusChange
from jobs.tombstones import CondemnedFile, missing

STANDING = Sums(StatusChange, ("project", "status"), ("jobs",))
"""How many jobs came into which status, and left it."""

Line = tuple[str, Mapping[str, Any]]
"""An event's type and data."""


class Journal:
    """A session of the ledger; it never commits, so its writes happen together or not at all."""

    def __init__(self, session: Session, project: str | None = None) -> None:
        """Read and write inside the session's transaction.

        Bound to a project, it knows no job of another one. Workers and sweepers serve them all.
        """
        self._session = session
        self._project = project

    @property
    def _connection(self) -> Connection:
        """The transaction under the session, for statements that no object has to hear of."""
        return self._session.connection()

    def get(self, job_id: str) -> Job:
        """Return a job as it is now.

        Raises:
            JobNotFound: there is none; JobDeleted where there was one.
        """
        job = self._session.get(Job, job_id, populate_existing=True)
        if job is None or self._project not in {None, job.project}:
            raise missing(self._connection, job_id, self._project)
        return job

    def _require(self, job_id: str) -> None:
        """Refuse a job that is not of the project, before anything of it is read.

        Raises:
            JobNotFound: there is none.
        """
        if self._project is None:
            return
        theirs = select(Job.id).where(Job.id == job_id, Job.project == self._project)
        if self._session.scalar(theirs) is None:
            raise missing(self._connection, job_id, self._project)

    def _locked(self, job_id: str) -> Job:
        """Return a job that nobody else can change before this transaction ends."""
        wide = defer(Job.spec), defer(Job.recipe)  # hardly ever wanted, and slow to read
        statement = select(Job).where(Job.id == job_id).options(*wide).with_for_update()
        job = self._session.scalar(statement, execution_options={"populate_existing": True})
        if job is None or self._project not in {None, job.project}:
            raise missing(self._connection, job_id, self._project)
        return job

    def _owned(self, job_id: str, token: int) -> Job:
        """Return a job, locked, if the token is good.

        Raises:
            LeaseLost: another attempt owns the job, or it has ended, or was deleted since.
        """
        try:
            job = self._locked(job_id)
        except JobNotFound as error:
            raise LeaseLost(job_id, token) from error
        require_owner(job_id, token, job.attempt, job.status)
        return job

    def _move(
        self, verb: Verb, was: Status, *where: ColumnElement[bool], **values: Any
    ) -> str | None:
        """Move the one job that `where` picks out of the status `was`; return its id, or None.

        None means that there is no such job, or that the verb does not fit. What must be true of a
        status is made true with it (only active jobs have a worker and a lease, only terminal ones
        an end), and the change is counted.
        """
        new = TRANSITIONS[verb].get(was)
        if new is None:
            return None
        settled: dict[str, Any] = {
            "status": new.value,
            "finished_at": clock() if new in TERMINAL else None,
        }
        if new not in ACTIVE:
            settled.update(worker=None, lease_until=None, phase=None)
        statement = (
            update(Job)
            .where(_is(was), *where)
            .values({**settled, **values})
            .returning(Job.id, Job.project)
        )
        moved = self._connection.execute(statement).one_or_none()
        if moved is None:
            return None
        job_id, project = moved
        if new is not was:
            count(self._connection, {(project, was): -1, (project, new): 1})
        return job_id

    def _append(self, job_id: str, lines: Iterable[Line], attempt: int | None = None) -> None:
        """Append lines to a job's story, and tell webhooks and mirrors; the job is as it is by now.

        It locks the job's row, so the numbers have no gap.
        """
        rows = [{"type": kind, "data": dict(data), "attempt": attempt} for kind, data in lines]
        if not rows:
            return
        counted = self._connection.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(last_seq=Job.last_seq + len(rows))
            .returning(Job.last_seq, HEARD, MIRRORED)
        ).one_or_none()
        if counted is None:
            raise missing(self._connection, job_id)
        last, heard, mirrored = counted
        for place, row in enumerate(rows, start=last - len(rows) + 1):
            row.update(job_id=job_id, seq=place)
        self._connection.execute(insert(Event).values(at=clock()), rows)
        if heard:
            note_lines(self._connection, job_id, rows)
        if mirrored:
            note_run(self._connection, job_id, rows)

    def _discard(self, *where: ColumnElement[bool]) -> None:
        """Forget files; what the store has of them is cleared away after the commit."""
        gone = delete(Artifact).where(*where).returning(Artifact.location)
        locations = self._connection.scalars(gone).all()
        if locations:
            rows = [{"location": location} for location in locations]
            self._connection.execute(insert(CondemnedFile), rows)


def count(connection: Connection, changes: Mapping[tuple[str, Status], int]) -> None:
    """Note how many jobs of which project came into which status, in the very transaction."""
    STANDING.add(
        connection,
        [
            {"project": project, "status": status.value, "jobs": jobs}
            for (project, status), jobs in changes.items()
        ],
    )


def standing(connection: Connection, project: str | None = None) -> Counter[tuple[str, str]]:
    """Return how many jobs there are, by project and status; of one project, or of all."""
    where = [] if project is None else [StatusChange.project == project]
    return Counter(
        {(owner, status): int(jobs) for owner, status, jobs in STANDING.read(connection, *where)}
    )


def require_owner(job_id: str, token: int, attempt: int, status: str) -> None:
    """Refuse a write of an attempt that is not the job's own, or of one that has ended.

    Raises:
        LeaseLost: it is.
    """
    if attempt != token or status not in ACTIVE:
        raise LeaseLost(job_id, token)


def held(job_id: str, token: int) -> tuple[ColumnElement[bool], ...]:
    """Return the fence: conditions that only the row of a job still owned by this attempt meets."""
    return Job.id == job_id, Job.attempt == token, Job.status.in_(list(ACTIVE))


def _is(status: Status) -> ColumnElement[bool]:
    """Return the condition as literal SQL, which a partial index can be matched with."""
    return Job.status == literal_column(f"'{status.value}'")


WAITING = _is(Status.QUEUED)
"""The condition of the index that waiting jobs are claimed by."""
LONGEST_WAIT_SECONDS = 900.0
"""Between two attempts of a job."""
DUE = (Job.run_after <= clock()) | (Job.run_after > clock(LONGEST_WAIT_SECONDS))
"""A wait is over; or longer than any, so that the clock was wrong when it began (it is a host's own
on SQLite), and the job must not wait until the clock is there again."""
DUE_OF_SQLITE = (
    f"(run_after <= ledger_clock(0.0) OR run_after > ledger_clock({LONGEST_WAIT_SECONDS}))"
)
