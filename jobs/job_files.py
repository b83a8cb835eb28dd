"""Files of earlier jobs that later ones begin with: who needs what, and until when it is kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from jobs.bulk import insert_rows
from jobs.input_errors import JobFileMissing, JobInUse
from jobs.input_tables import JobFile
from jobs.inputs import MOST_NAMED, Inputs, Used
from jobs.references import job_path
from jobs.states import TERMINAL, Status
from jobs.tables import Artifact, Job

_Waiting = aliased(Job)


@dataclass(frozen=True, slots=True)
class Offered:
    """What an earlier job has to give."""

    status: Status
    purged_at: datetime | None
    """When its files were removed, if they were."""
    files: frozenset[str]


class JobFiles(Inputs):
    """What jobs take from each other; bound to a project, only of its own."""

    def offered(self, job_ids: Collection[str]) -> Mapping[str, Offered]:
        """Return those of the jobs that there are, by id."""
        if not job_ids:
            return {}
        rows = select(Job.id, Job.status, Job.artifacts_purged_at).where(Job.id.in_(job_ids))
        if self._project is not None:
            rows = rows.where(Job.project == self._project)
        jobs = self._session.execute(rows).all()
        names: dict[str, set[str]] = {job_id: set() for job_id, _, _ in jobs}
        files = select(Artifact.job_id, Artifact.name).where(Artifact.job_id.in_(names))
        for job_id, name in self._session.execute(files):
            names[job_id].add(name)
        return {
            job_id: Offered(Status(status), purged_at, frozenset(names[job_id]))
            for job_id, status, purged_at in jobs
        }

    def files_for(self, job_id: str) -> list[Used]:
        """Return all files that a job names: uploaded ones, and those of earlier jobs."""
        named = select(JobFile.source_id, JobFile.name).where(JobFile.job_id == job_id)
        taken = [(source, name) for source, name in self._session.execute(named)]
        return [*self.used_by(job_id), *self.delivered_files(taken)]

    def delivered_files(self, named: Collection[tuple[str, str]]) -> list[Used]:
        """Return files of jobs, by job and name; those that are gone have no location."""
        if not named:
            return []
        found = self._session.execute(
            select(
                Artifact.job_id,
                Artifact.name,
                Artifact.size_bytes,
                Artifact.sha256,
                Artifact.location,
            ).where(Artifact.job_id.in_({source for source, _ in named}))
        )
        there: dict[tuple[str, str], tuple[int, str, str]] = {
            (source, name): (size, sha256, location)
            for source, name, size, sha256, location in found
        }
        return [
            Used(name, *there.get((source, name), (0, "", "")), f"{job_path(source)}/{name}")
            for source, name in named
        ]


def needing(source: InstrumentedAttribute[str] | str) -> Select[str]:
    """Return the question which jobs that have not ended begin with files of a job."""
    return (
        select(JobFile.job_id)
        .join(_Waiting, _Waiting.id == JobFile.job_id)
        .where(JobFile.source_id == source, _Waiting.status.not_in(list(TERMINAL)))
        .distinct()
    )


def require_unneeded(session: Session, job_id: str) -> None:
    """Refuse to lose the files of a job that others wait for.

    Raises:
        JobInUse: jobs that have not ended begin with them.
    """
    question = needing(job_id).order_by(JobFile.job_id).limit(MOST_NAMED)
    if waiting := session.scalars(question).all():
        raise JobInUse(job_id, waiting)


def note_files(connection: Connection, uses: Sequence[tuple[str, str, str]]) -> None:
    """Note which jobs, just stored, need which file of which earlier job.

    Raises:
        JobFileMissing: it was removed since it was looked for.
    """
    if not uses:
        return
    # Read under a lock that whoever removes files wants, too.
    sources = {source for _, source, _ in uses}
    there = select(Job.id).where(Job.id.in_(sources), Job.artifacts_purged_at.is_(None))
    found = set(connection.scalars(there.with_for_update(read=True)))
    for source in sorted(sources - found):
        raise JobFileMissing(source)
    rows = [{"job_id": job_id, "source_id": source, "name": name} for job_id, source, name in uses]
    insert_rows(connection, JobFile, rows)
