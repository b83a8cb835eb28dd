"""Reading what happened in a job: events, curves, attempts, files."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from jobs.errors import ArtifactNotFound, ArtifactsPurged
from jobs.journal import Journal, standing
from jobs.tables import Artifact, Attempt, Event, Job, Worker

MAX_EVENTS = 1000


class Story(Journal):
    """What happened, as far as it is committed."""

    def events(self, job_id: str, *, after: int = 0, limit: int = MAX_EVENTS) -> Sequence[Event]:
        """Return the events behind the number `after`, in order, at most `limit` of them."""
        self._require(job_id)
        statement = (
            select(Event)
            .where(Event.job_id == job_id, Event.seq > after)
            .order_by(Event.seq)
            .limit(limit)
        )
        return self._session.scalars(statement).all()

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Return the attempts of a job, the first one first."""
        self._require(job_id)
        statement = select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.attempt)
        return self._session.scalars(statement).all()

    def keeping_files(self, job_id: str) -> Job:
        """Return a job, if it is one whose files are kept.

        Raises:
            ArtifactsPurged: they were, and the retention time is over.
        """
        job = self.get(job_id)
        if job.artifacts_purged_at is not None:
            raise ArtifactsPurged(job_id, job.artifacts_purged_at)
        return job

    def artifacts(self, job_id: str) -> Sequence[Artifact]:
        """Return the files that a job delivered, by name."""
        self._require(job_id)
        statement = select(Artifact).where(Artifact.job_id == job_id).order_by(Artifact.name)
        return self._session.scalars(statement).all()

    def artifact(self, job_id: str, name: str) -> Artifact:
        """Return one file's record.

        Raises:
            ArtifactNotFound: the job delivered no file of this name.
        """
        self._require(job_id)
        # Asked as a condition, not as an identity: the name comes from outside.
        row = self._session.scalar(
            select(Artifact).where(Artifact.job_id == job_id, Artifact.name == name)
        )
        if row is None:
            raise ArtifactNotFound(name)
        return row

    def counts(self) -> Mapping[str, int]:
        """Return how many jobs there are in each status that occurs."""
        counts: Counter[str] = Counter()
        for (_, status), jobs in standing(self._connection, self._project).items():
            counts[status] += jobs
        return {status: jobs for status, jobs in counts.items() if jobs}

    def workers(self) -> Sequence[Worker]:
        """Return the workers that are, or lately were, there; the newest first."""
        return self._session.scalars(select(Worker).order_by(Worker.seen_at.desc())).all()
