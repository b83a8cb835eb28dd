"""What is kept no more: files of jobs that ended long ago, and whatever the ledger names no more.

The ledger lets go first, and files are removed after its commit: a crash leaves a file that nobody
asks for, never a row without its file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from jobs.job_files import needing
from jobs.journal import Journal
from jobs.moments import clock
from jobs.states import Status
from jobs.tables import Artifact, Job
from jobs.tombstones import CondemnedFile, DeletedJob

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Spent:
    """A job whose working directories nobody will go on from."""

    job_id: str
    attempt: int | None
    """Those up to this attempt; None is all."""


class Retention(Journal):
    """Statements of whoever tidies up; any number may do so at once."""

    def purge(self, days: float, limit: int) -> Sequence[str]:
        """Give up the files of some jobs that ended so many days ago or earlier; return their ids.

        The jobs stay, with their verdicts, curves and stories. What a job that has not ended begins
        with is left alone.
        """
        due = (
            select(Job.id)
            .where(
                Job.finished_at.is_not(None),
                Job.artifacts_purged_at.is_(None),
                Job.finished_at < clock(-days * DAY_SECONDS),
                ~needing(Job.id).exists(),
            )
            .order_by(Job.finished_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        purged = self._connection.scalars(
            update(Job).where(Job.id.in_(due)).values(artifacts_purged_at=clock()).returning(Job.id)
        ).all()
        for job_id in purged:
            self._discard(Artifact.job_id == job_id)
            self._append(job_id, [("job.purged", {})])
        return purged

    def condemned(self, after: str, limit: int) -> Sequence[str]:
        """Return locations of files that are to be removed from the store, in their order."""
        found = select(CondemnedFile.location).where(CondemnedFile.location > after)
        return self._session.scalars(found.order_by(CondemnedFile.location).limit(limit)).all()

    def cleared(self, locations: Sequence[str]) -> None:
        """Note that these files are gone."""
        self._connection.execute(delete(CondemnedFile).where(CondemnedFile.location.in_(locations)))

    def spent(self, job_ids: Sequence[str]) -> list[Spent]:
        """Return those of the jobs that were deleted, or purged, or have succeeded."""
        deleted = select(DeletedJob.id).where(DeletedJob.id.in_(job_ids))
        ended = select(Job.id, Job.attempt).where(
            Job.id.in_(job_ids),
            Job.artifacts_purged_at.is_not(None) | (Job.status == Status.SUCCEEDED),
        )
        return [
            *(Spent(job_id, None) for job_id in self._session.scalars(deleted)),
            *(Spent(job_id, attempt) for job_id, attempt in self._session.execute(ended)),
        ]
