"""Whose turn it is: projects take turns, whatever the number of jobs that each has waiting.

The project with the fewest jobs running is next, and of several the one that was served longest
ago. Within a project the highest priority is first, and then who waits longest.
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.orm import Session

from jobs.journal import DUE, DUE_OF_SQLITE, WAITING
from jobs.moments import clock
from jobs.projects import Projects
from jobs.states import ACTIVE, Status
from jobs.tables import Job, Project

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
# With the index named: once it has statistics, SQLite would rather sort all that wait.
_NEXT_OF_SQLITE: Final = text(
    "SELECT id FROM jobs INDEXED BY ix_jobs_next"  # noqa: S608  # a constant of ours
    " WHERE status = 'queued' AND project = :project AND queue = :queue AND gpus <= :gpus"
    f" AND {DUE_OF_SQLITE} ORDER BY priority DESC, run_after, id LIMIT 1"
)


def next_of(session: Session, project: str, queue: str, gpus: int) -> Select[str] | Any:
    """Return the statement for the best job that waits in a queue, and needs no more GPUs."""
    if session.get_bind().dialect.name == "sqlite":
        wanted = {"project": project, "queue": queue, "gpus": gpus}
        return _NEXT_OF_SQLITE.bindparams(**wanted).columns(Job.id)
    return (
        select(Job.id)
        .where(WAITING, DUE, Job.project == project, Job.queue == queue, Job.gpus <= gpus)
        .order_by(Job.priority.desc(), Job.run_after, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def turns(session: Session) -> list[str]:
    """Return the projects that have jobs waiting and room for one more, in their turn."""
    usage = Projects(session).usage()
    hungry = [name for (name, status), jobs in usage.items() if status == Status.QUEUED and jobs]
    running = {name: sum(usage[name, status] for status in ACTIVE) for name in hungry}
    if not hungry:
        return []
    known = select(Project.name, Project.max_running, Project.served_at)
    found = session.execute(known.where(Project.name.in_(hungry)))
    rows = {name: (most, served or _LONG_AGO) for name, most, served in found}
    ready = [name for name, (most, _) in rows.items() if most is None or running[name] < most]
    return sorted(ready, key=lambda name: (running[name], rows[name][1], name))


def has_room(session: Session, project: str) -> bool:
    """Say whether a project may run one more job, and let nobody else take it meanwhile."""
    limit = select(Project.max_running).where(Project.name == project)
    if session.scalar(limit) is None:
        return True
    most = session.scalar(limit.with_for_update()) or 0
    theirs = select(func.count()).where(Job.project == project, Job.status.in_(list(ACTIVE)))
    return (session.scalar(theirs) or 0) < most


def serve(session: Session, project: str) -> None:
    """Note that a job of a project was taken."""
    session.connection().execute(
        update(Project).where(Project.name == project).values(served_at=clock())
    )
