# Made of aio/results.py by scripts/unasync.py: change that one.
"""What jobs say and deliver, as calls."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from stillhouse.bodies import (
    Artifact,
    ArtifactPage,
    Attempt,
    AttemptPage,
    EventPage,
    Metrics,
)
from stillhouse.comparison import Comparison
from stillhouse.download import Fetch
from stillhouse.errors import SpecError
from stillhouse.gathering import Received
from stillhouse.standing_bodies import MlflowRun, Waiting
from stillhouse.verbs import Verbs, job_path


class Results(Verbs):
    """What one server's jobs say and deliver; `Client` has it all."""

    def attempts(self, job_id: str) -> builtins.list[Attempt]:
        """Every claim of the job by a worker, the first one first, and how it ended."""
        return cast("AttemptPage", self._transport.get(f"{job_path(job_id)}/attempts"))["data"]

    def waiting(self, job_id: str) -> Waiting:
        """Why the job waits: no worker for it, its project's limit, or jobs that come first."""
        return cast("Waiting", self._transport.get(f"{job_path(job_id)}/waiting"))

    def mlflow_run(self, job_id: str) -> MlflowRun:
        """Where in MLflow the job is.

        Raises:
            ApiError: nothing of it was told to an MLflow, with the code `mlflow_run_not_found`.
        """
        return cast("MlflowRun", self._transport.get(f"{job_path(job_id)}/mlflow"))

    def events(self, job_id: str, *, after: int = 0, limit: int = 100) -> EventPage:
        """One page of the job's story so far, oldest first."""
        wanted = {"after": after or None, "limit": limit}
        return cast("EventPage", self._transport.get(f"{job_path(job_id)}/events", wanted))

    def metrics(
        self, job_id: str, *, keys: Sequence[str] = (), max_points: int | None = None
    ) -> Metrics:
        """The job's curves as columns; with `max_points`, thinned out but true in their peaks."""
        wanted = {"keys": ",".join(keys) or None, "max_points": max_points}
        return cast("Metrics", self._transport.get(f"{job_path(job_id)}/metrics", wanted))

    def report(self, job_id: str) -> str:
        """The job's report as Markdown."""
        path, accept = f"{job_path(job_id)}/report", {"Accept": "text/markdown"}
        return self._transport.text(path, headers=accept)

    def report_page(self, job_id: str) -> str:
        """The job's report as one self-contained HTML file."""
        return self._transport.text(f"{job_path(job_id)}/report.html")

    def report_json(self, job_id: str) -> dict[str, Any]:
        """The job's report for programs: verdict, gates, details and files."""
        return cast("dict[str, Any]", self._transport.get(f"{job_path(job_id)}/report"))

    def checksums(self, job_id: str) -> str:
        """The job's files as `sha256sum --check` reads them."""
        return self._transport.text(f"{job_path(job_id)}/SHA256SUMS")

    def artifacts(self, job_id: str) -> builtins.list[Artifact]:
        """The job's files."""
        return cast("ArtifactPage", self._transport.get(f"{job_path(job_id)}/artifacts"))["data"]

    def download(
        self,
        job_id: str,
        folder: Path | str,
        *,
        names: Sequence[str] = (),
        received: Received | None = None,
        redirect: bool | None = None,
    ) -> builtins.list[Path]:
        """Bring the job's files (or those of `names`) into `folder`, verified, and return them.

        An interrupted download goes on where it stopped. `received(here, whole)` is told the
        bytes of the file in hand. `redirect` says whether the files may come from the server's
        bucket directly, or never; without it the server decides.

        Raises:
            SpecError: a name that the job does not have.
            DigestMismatch: a file is not what the server lists.
        """
        listed = {artifact["name"]: artifact for artifact in self.artifacts(job_id)}
        if missing := [name for name in names if name not in listed]:
            has = ", ".join(sorted(listed)) or "none yet"
            raise SpecError(f"{job_id} has no file {', '.join(missing)}; it has: {has}")
        asked = "" if redirect is None else f"?redirect={str(redirect).lower()}"
        return [
            Fetch(
                transport=self._transport,
                path=f"{job_path(job_id)}/artifacts/{quote(name, safe='')}{asked}",
                artifact=listed[name],
                folder=Path(folder),
            ).run(received)
            for name in (names or sorted(listed))
        ]

    def compare(self, job_ids: Sequence[str]) -> Comparison:
        """From 2 to 10 jobs beside each other: what differs in their specs, and what came out.

        Raises:
            ApiError: some of them are not there (404): `errors` names each.
        """
        return cast("Comparison", self._transport.get("/v1/compare", {"jobs": ",".join(job_ids)}))
