"""One look at one job: what of it is new is told to MLflow, and how far that went is written down.

Each step may be the last one, and what was sent may be sent again. So a run is looked for by its
tag before it is made, points go with the moment that was written down before them, and a position
is written once their answer is there.
"""

import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from jobs import mlflow_words as words
from jobs.artifacts import ArtifactStore
from jobs.database import Database
from jobs.errors import ArtifactNotFound, JobNotFound
from jobs.metrics import STEP
from jobs.mlflow_client import Mlflow
from jobs.mlflow_runs import Telling
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.states import ACTIVE, TERMINAL, Status
from jobs.tables import Artifact, Job

LIVE_SECONDS: Final = 5.0
"""Between two looks at a job that runs."""
STUDENT: Final = "student"
"""Folder of a run's artifacts that holds the student and what belongs to it."""

_ABOUT: Final = frozenset({"recipe", "lock", "verdict", "report", "report_json", "report_html"})
"""Kinds of files that lie beside that folder."""
_LEFT: Final = frozenset({"teacher", "assistant"})
"""Kinds that are not copied: they are large, and not what the job was for."""
_BLOCK: Final = 1 << 20


class ClaimLostError(Exception):
    """Somebody else tells this run by now."""


class Turn:
    """One claim of one run."""

    def __init__(
        self, settings: Settings, database: Database, store: ArtifactStore, mlflow: Mlflow
    ) -> None:
        """Tell nothing yet."""
        self._settings = settings
        self._database = database
        self._store = store
        self._mlflow = mlflow
        self._folder = settings.data / "mlflow"

    def take(self, telling: Telling) -> None:
        """Tell what is new of a job, and let go of it.

        Raises:
            ClaimLostError: it took too long.
            Exception: whatever MLflow's client, the store or the database raise.
        """
        try:
            with self._database.read() as session:
                repository = Repository(session)
                job = repository.get(telling.job_id)
                files = repository.artifacts(telling.job_id)
        except JobNotFound:
            self._end_deleted(telling)
            return
        run_id, is_new = self._run(telling, job)
        if is_new:
            self._mlflow.tell_params(run_id, words.params_of(job.recipe))
            self._mlflow.tell_tags(run_id, words.tags_of(job))
            self._advance(telling, experiment_id=telling.experiment_id, run_id=run_id)
        ended = job.finished_at if Status(job.status) in TERMINAL else None
        if ended is None and telling.told not in {None, words.RUNNING}:
            self._mlflow.reopen(run_id)
        if self._tell_points(telling, run_id) or ended is not None:
            self._mlflow.tell_tags(run_id, words.tags_of(job))
        if ended is None:
            again = LIVE_SECONDS if Status(job.status) in ACTIVE else None
            self._finish(telling, again, told=words.RUNNING)
            return
        status = words.RUN_STATUS[Status(job.status)]
        try:
            version = self._deliver(telling, run_id, job, files)
        finally:
            # Whatever keeps the files from being copied, the run does not go on.
            self._mlflow.end(run_id, status, ended, job.name or job.id)
        self._finish(telling, None, told=status, **version)

    def _run(self, telling: Telling, job: Job) -> tuple[str, bool]:
        """Return the job's run, and whether it has still to be described."""
        if telling.run_id is not None:
            return telling.run_id, False
        name = words.experiment_of(self._settings, job.project)
        experiment_id = telling.experiment_id or self._mlflow.experiment(name)
        if telling.experiment_id is None:
            # Known before there is a run in it: the job may be deleted by the next look.
            telling.experiment_id = experiment_id
            self._advance(telling, experiment_id=experiment_id)
        run_id = self._mlflow.find_run(experiment_id, job.id)
        if run_id is None:
            started_at = job.started_at or job.created_at
            run_id = self._mlflow.create_run(experiment_id, job.name or job.id, started_at, job.id)
        return run_id, True

    def _tell_points(self, telling: Telling, run_id: str) -> bool:
        """Tell the points behind the position; say whether there were any."""
        any_told = False
        while True:
            with self._database.read() as session:
                found = Repository(session).new_points(telling.job_id, telling.position)
            if not found:
                return any_told
            any_told = True
            for stage, series in found:
                for points in words.points_of(stage, series):
                    self._mlflow.tell_points(run_id, points, telling.moment)
                    self._reach(telling, stage, points[-1][-1])
                steps = series.columns[STEP]
                self._reach(telling, stage, int(steps[-1] or 0))

    def _reach(self, telling: Telling, stage: str, step: int) -> None:
        if telling.position.get(stage) == step:
            return
        telling.position[stage] = step
        with self._database.write() as session:
            moment = Repository(session).next_moment(telling, telling.position)
        if moment is None:
            raise ClaimLostError
        telling.moment = moment

    def _deliver(
        self, telling: Telling, run_id: str, job: Job, files: Sequence[Artifact]
    ) -> dict[str, str]:
        """Tell of the end: the verdict's numbers, the files, and the version of a model."""
        if job.verdict is not None and job.finished_at is not None:
            numbers = [(key, one, 0) for key, one in words.numbers_of(job.verdict).items()]
            self._mlflow.tell_points(run_id, numbers, job.finished_at)
        left = [file.name for file in files if not self._copy(telling, run_id, file)]
        if job.artifacts_purged_at is not None and not telling.files:
            left.append("all: they were removed before they could be copied")
        if left:
            self._mlflow.tell_tags(run_id, {"stillhouse.not_copied": ", ".join(left)[:5000]})
        digest = telling.files.get("student.safetensors")
        if not (self._settings.mlflow_register and job.gates_passed and digest):
            return {}
        model = words.model_of(self._settings, job.project, job.labels)
        verdict = job.verdict or {}
        tags = {
            words.JOB_TAG: job.id,
            "stillhouse.outcome": str(verdict.get("outcome")),
            "stillhouse.sha256": digest,
        }
        sentence = str(verdict.get("sentence", ""))
        version = self._mlflow.register(model, run_id, STUDENT, sentence, tags)
        self._mlflow.point_alias(model, self._settings.mlflow_alias, version)
        return {"model": model, "version": version}

    def _copy(self, telling: Telling, run_id: str, file: Artifact) -> bool:
        """Copy a file, unless that was done; say whether it is there."""
        if telling.files.get(file.name) == file.sha256:
            return True
        if file.kind in _LEFT or file.size_bytes > self._settings.mlflow_artifact_bytes:
            return False
        for old in self._folder.glob(f"{telling.job_id}.*"):
            shutil.rmtree(old, ignore_errors=True)  # of a claim that was lost
        folder = self._folder / f"{telling.job_id}.{telling.token}"
        folder.mkdir(parents=True)
        try:
            if not self._fetch(file, folder / file.name):
                return False
            into = None if file.kind in _ABOUT else STUDENT
            self._mlflow.copy(run_id, folder / file.name, into)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        telling.files[file.name] = file.sha256
        self._advance(telling, files=telling.files)
        return True

    def _fetch(self, file: Artifact, to: Path) -> bool:
        """Fetch a file from the store; say whether it was there, and as it was delivered."""
        digest = sha256()
        try:
            with self._store.open(file.location) as content, to.open("wb") as out:
                while block := content.read(_BLOCK):
                    digest.update(block)
                    out.write(block)
        except ArtifactNotFound:
            return False
        return digest.hexdigest() == file.sha256

    def _end_deleted(self, telling: Telling) -> None:
        """End the run of a job that was deleted, and forget it; a run that has ended stays so."""
        run_id = telling.run_id
        if run_id is None and telling.experiment_id is not None:
            run_id = self._mlflow.find_run(telling.experiment_id, telling.job_id)
        if run_id is not None:
            self._mlflow.tell_tags(run_id, {"stillhouse.status": "deleted"})
            if telling.told in {None, words.RUNNING}:
                killed = words.RUN_STATUS[Status.CANCELLED]
                self._mlflow.end(run_id, killed, None, None)
        with self._database.write() as session:
            Repository(session).forget_run(telling)

    def _advance(self, telling: Telling, **values: object) -> None:
        with self._database.write() as session:
            held = Repository(session).advance_run(telling, **values)
        if not held:
            raise ClaimLostError

    def _finish(self, telling: Telling, again_seconds: float | None, **values: object) -> None:
        with self._database.write() as session:
            Repository(session).finish_run(telling, again_seconds=again_seconds, **values)


def as_error(error: Exception) -> str:
    """Return what is kept of an error: its first line, without what MLflow adds for itself."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
