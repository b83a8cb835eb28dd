"""Reading what happened in a job: events, curves, attempts, files."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from jobs.errors import ArtifactNotFound, ArtifactsPurged, JobsNotFound
from jobs.journal import Journal, standing
from jobs.tables import Artifact, Attempt, Event, Job, Worker
from jobs.tombstones import missing

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

    def latest_events(
        self, job_id: str, *, before: int | None = None, kind: str | None = None, limit: int
    ) -> Sequence[Event]:
        """Return the events in front of the number `before`, of one type or all, newest first."""
        self._require(job_id)
        statement = select(Event).where(Event.job_id == job_id)
        if before is not None:
            statement = statement.where(Event.seq < before)
        if kind is not None:
            statement = statement.where(Event.type == kind)
        return self._session.scalars(statement.order_by(Event.seq.desc()).limit(limit)).all()

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Return the attempts of a job, the first one first."""
        self._require(job_id)
        statement = select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.attempt)
        return self._session.scalars(statement).all()

    def several(self, job_ids: Sequence[str]) -> list[Job]:
        """Return jobs, in the order of their ids.

        Raises:
            JobsNotFound: some of them are not there; all of these are named.
        """
        theirs = select(Job).where(Job.id.in_(job_ids))
        if self._project is not None:
            theirs = theirs.where(Job.project == self._project)
        found = {job.id: job for job in self._session.scalars(theirs)}
        lost = [one for one in job_ids if one not in found]
        if lost:
            raise JobsNotFound([missing(self._connection, one, self._project) for one in lost])
        return [found[one] for one in job_ids]

    def training_seconds(
        self, job_ids: Sequence[str], role: str = "student"
    ) -> Mapping[str, list[float]]:
        """Return how long the trainings of a role took that have ended, one a seed, by job."""
        ended = (
            select(Event.job_id, Event.data)
            .where(Event.job_id.in_(job_ids), Event.type == "stage.finished")
            .order_by(Event.job_id, Event.seq)
        )
        spent: dict[str, dict[str, float]] = {one: {} for one in job_ids}
        for job_id, data in self._session.execute(ended):
            # A later attempt tells again of what an earlier one has finished, in the same words.
            if data["role"] == role:
                spent[job_id][data["stage"]] = data["seconds"]
        return {job_id: list(stages.values()) for job_id, stages in spent.items()}

    def files_named(self, job_ids: Sequence[str], name: str) -> Mapping[str, Artifact]:
        """Return the file of a name of each job that has it, by job."""
        theirs = select(Artifact).where(Artifact.job_id.in_(job_ids), Artifact.name == name)
        return {row.job_id: row for row in self._session.scalars(theirs)}

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
