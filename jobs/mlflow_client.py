"""MLflow's own client, loaded where jobs are mirrored and nowhere else, with time-outs that end."""

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from jobs.errors import MlflowMissing
from jobs.mlflow_tables import MlflowRun
from jobs.mlflow_words import JOB_TAG, MOST_METRICS, RUNNING, Point, calls, milliseconds
from jobs.settings import Settings

log = logging.getLogger(__name__)

_DEFAULTS: Final = {
    # Once, for a connection that the server has closed meanwhile. Then we try again ourselves,
    # later, and hold no thread until then.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "600",
    # Its own handler would write past our log's form, and past what hides secrets there.
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server that somebody hosts themselves tells nobody else what it does.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_NOT_THERE: Final = "RESOURCE_DOES_NOT_EXIST"


class Mlflow:
    """An MLflow server, as far as a mirror has to do with it.

    What it raises is whatever MLflow's client raises; `gone` tells of a run that is not there.
    """

    def __init__(self, uri: str) -> None:
        """Load the client; nothing is sent yet.

        Raises:
            MlflowMissing: it is not installed.
        """
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import entities
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ModuleNotFoundError as error:
            raise MlflowMissing(
                f"STILLHOUSE_MLFLOW_URL is set, and there is no package {error.name}",
                hint="pip install 'stillhouse-server[mlflow]', or take the variable away",
            ) from error
        self._entities: Any = entities
        self._error = MlflowException
        self._client: Any = MlflowClient(tracking_uri=uri)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is made where there is none."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except self._error as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(name)
        if found.lifecycle_stage == "deleted":
            raise ValueError(
                f"the experiment {name!r} was deleted in MLflow; restore it there, or name another"
                " one in STILLHOUSE_MLFLOW_EXPERIMENT"
            )
        return str(found.experiment_id)

    def find_run(self, experiment_id: str, job_id: str) -> str | None:
        """Return the run of a job, if there is one already."""
        wanted = f"tags.`{JOB_TAG}` = '{job_id}'"
        found = self._client.search_runs([experiment_id], wanted, max_results=1)
        return str(found[0].info.run_id) if found else None

    def create_run(self, experiment_id: str, name: str, started_at: datetime, job_id: str) -> str:
        """Make a run that can be found by its job, and return its id."""
        tags = {JOB_TAG: job_id, "mlflow.source.name": "stillhouse", "mlflow.source.type": "JOB"}
        made = self._client.create_run(
            experiment_id, start_time=milliseconds(started_at), tags=tags, run_name=name
        )
        return str(made.info.run_id)

    def tell_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Tell params; the same ones again change nothing."""
        for part in calls(params.items()):
            told = [self._entities.Param(key, value) for key, value in part]
            self._client.log_batch(run_id, params=told)

    def tell_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Tell tags, in the place of those of the same names."""
        for part in calls(tags.items()):
            told = [self._entities.RunTag(key, value) for key, value in part]
            self._client.log_batch(run_id, tags=told)

    def tell_points(self, run_id: str, points: Sequence[Point], moment: datetime) -> None:
        """Tell points of metrics; the same ones again, of the same moment, change nothing."""
        at = milliseconds(moment)
        for first in range(0, len(points), MOST_METRICS):
            part = points[first : first + MOST_METRICS]
            told = [self._entities.Metric(key, value, at, step) for key, value, step in part]
            self._client.log_batch(run_id, metrics=told)

    def copy(self, run_id: str, file: Path, folder: str | None) -> None:
        """Copy a file to a run's artifacts; one of the same name is replaced."""
        self._client.log_artifact(run_id, str(file), folder)

    def register(
        self, name: str, run_id: str, folder: str, description: str, tags: Mapping[str, str]
    ) -> str:
        """Make a folder of a run's artifacts a version of a model, once; return its number."""
        try:
            self._client.get_registered_model(name)
        except self._error as error:
            if error.error_code != _NOT_THERE:
                raise
            self._create_model(name)
        for known in self._client.search_model_versions(f"run_id = '{run_id}'"):
            if known.name == name:
                return str(known.version)
        uri = self._client.get_run(run_id).info.artifact_uri
        made = self._client.create_model_version(
            name,
            f"{uri}/{folder}",
            run_id,
            tags=dict(tags),
            description=description,
            await_creation_for=0,
        )
        return str(made.version)

    def _create_model(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except self._error as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def point_alias(self, name: str, alias: str, version: str) -> None:
        """Have an alias mean a version, unless it means a newer one."""
        aliases: Mapping[str, Any] = self._client.get_registered_model(name).aliases
        if int(aliases.get(alias, 0)) < int(version):
            self._client.set_registered_model_alias(name, alias, version)

    def end(self, run_id: str, status: str, ended_at: datetime | None, name: str | None) -> None:
        """Say how a run has ended, and what it is called."""
        if name is not None:
            self._client.update_run(run_id, name=name)
        ended = None if ended_at is None else milliseconds(ended_at)
        self._client.set_terminated(run_id, status, ended)

    def reopen(self, run_id: str) -> None:
        """Say that a run that had ended goes on."""
        self._client.update_run(run_id, status=RUNNING)

    def gone(self, run_id: str) -> bool:
        """Say whether somebody has deleted a run; whoever cannot be asked does not say so."""
        try:
            return self._client.get_run(run_id).info.lifecycle_stage == "deleted"
        except Exception as error:  # noqa: BLE001  # whatever keeps us from asking
            return getattr(error, "error_code", None) == _NOT_THERE


def open_mlflow(settings: Settings) -> Mlflow | None:
    """Return the MLflow that the settings name, if they do.

    Raises:
        MlflowMissing: they do, and its client is not installed.
    """
    if not settings.mlflow_url:
        return None
    for name, secret in (
        ("MLFLOW_TRACKING_PASSWORD", settings.mlflow_password),
        ("MLFLOW_TRACKING_TOKEN", settings.mlflow_token),
    ):
        if secret is not None:
            os.environ[name] = secret.get_secret_value()
    return Mlflow(settings.mlflow_url)


def run_url(settings: Settings, run: MlflowRun | None) -> str | None:
    """Return where people see a run; None where there is none, or MLflow has no pages for us."""
    if run is None or run.run_id is None:
        return None
    parts = urlsplit(settings.mlflow_public_url or settings.mlflow_url)
    if parts.scheme not in {"http", "https"}:
        return None
    # Whoever sees the link is not whom the credentials are for.
    base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return f"{base.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
