"""What a project's workers take next: its waiting jobs in the order in which they are claimed.

Those of one queue come by priority and then by who waits longest, as in `jobs.turns`; queues are
merged by the same rule. Whatever the number that waits, only so many rows of an index are read.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, not_, select, text
from sqlalchemy.orm import Session, defer

from jobs.journal import DUE, DUE_OF_SQLITE, WAITING
from jobs.tables import Job

_MOST_QUEUES: Final = 100
# With the index named, as in `jobs.turns`.
_INDEX: Final = "FROM jobs INDEXED BY ix_jobs_next WHERE status = 'queued' AND project = :project"
_QUEUE_OF_SQLITE: Final = text(f"SELECT MIN(queue) {_INDEX} AND queue > :last")
_NEXT_OF_SQLITE: Final = {
    is_due: text(
        f"SELECT id {_INDEX} AND queue = :queue AND {'' if is_due else 'NOT '}{DUE_OF_SQLITE}"
        " ORDER BY priority DESC, run_after, id LIMIT :most"
    )
    for is_due in (True, False)
}


def upcoming(session: Session, project: str, most: int) -> list[Job]:
    """Return the jobs that are claimed next, `most` of them, without `spec` and `recipe`.

    Those that are to wait after a failure come behind all others.
    """
    queues = _queues(session, project)
    found = _first(session, project, queues, most, is_due=True)
    if len(found) < most:
        found += _first(session, project, queues, most - len(found), is_due=False)
    return found


def _queues(session: Session, project: str) -> list[str]:
    """Return the queues that something waits in, each found by a look into the index."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    found: list[str] = []
    last = ""
    while len(found) < _MOST_QUEUES:
        where = WAITING, Job.project == project, Job.queue > last
        told: Any = select(func.min(Job.queue)).where(*where)
        if is_sqlite:
            told = _QUEUE_OF_SQLITE.bindparams(project=project, last=last)
        queue: str | None = session.scalar(told)
        if queue is None:
            break
        found.append(last := queue)
    return found


def _first(
    session: Session, project: str, queues: Sequence[str], most: int, *, is_due: bool
) -> list[Job]:
    ids: list[str] = []
    for queue in queues:
        if session.get_bind().dialect.name == "sqlite":
            wanted = {"project": project, "queue": queue, "most": most}
            ids += session.scalars(_NEXT_OF_SQLITE[is_due].bindparams(**wanted))
            continue
        where = WAITING, Job.project == project, Job.queue == queue, DUE if is_due else not_(DUE)
        order = Job.priority.desc(), Job.run_after, Job.id
        ids += session.scalars(select(Job.id).where(*where).order_by(*order).limit(most))
    wide = defer(Job.spec), defer(Job.recipe)
    jobs = session.scalars(select(Job).where(Job.id.in_(ids)).options(*wide)).all()
    return sorted(jobs, key=lambda job: (-job.priority, job.run_after, job.id))[:most]
