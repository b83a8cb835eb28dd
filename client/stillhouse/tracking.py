"""A job as a run of Weights & Biases: spec, curves, numbers and verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from stillhouse.bodies import Job, Measured
from stillhouse.client import Client
from stillhouse.errors import StillhouseError
from stillhouse.history import rows_of

if TYPE_CHECKING:
    import wandb

_LOOK_SECONDS: Final = 5.0
_TAG_CHARACTERS: Final = 64


class Exported(TypedDict):
    """Where a job is now, and how much of it was sent this time."""

    job: str
    run: str
    rows: int
    url: str | None
    folder: str


@dataclass
class WandbExport:
    """One job, and the run that it becomes: its id is the job's, so a second export goes on."""

    client: Client
    job_id: str
    project: str | None = None
    entity: str | None = None

    def run(self, *, follow: bool = False) -> Exported:
        """Send what there is; with `follow`, all that comes until the job has ended.

        Raises:
            StillhouseError: wandb is not installed, or refuses.
        """
        try:
            import wandb
        except ImportError as error:
            raise StillhouseError(
                "wandb is not installed; get it with: pip install 'stillhouse[wandb]'"
            ) from error
        job = self.client.get(self.job_id)
        try:
            with self._begun(job) as run:
                sent = self._send(run, job, follow=follow)
        except wandb.Error as error:
            raise StillhouseError(f"Weights & Biases: {error}") from error
        folder = str(Path(run.dir).parent)
        return Exported(job=job["id"], run=run.id, rows=sent, url=run.url, folder=folder)

    def _begun(self, job: Job) -> wandb.Run:
        import wandb

        return wandb.init(
            id=job["id"],
            resume="allow",
            project=self.project or "stillhouse",
            entity=self.entity,
            name=job["name"] or job["id"],
            job_type="distil",
            config={**job["recipe"], "stillhouse": _origin(self.client, job)},
            # What this process prints and uses says nothing of the training.
            settings=wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_stats=True,
            ),
        )

    def _send(self, run: wandb.Run, job: Job, *, follow: bool) -> int:
        stages, known = set[str](), run.starting_step
        sent = known
        while True:
            rows = list(rows_of(self.client.metrics(job["id"])))
            # Of the newest step more may come, such as its validation, and a row is sent once.
            for place, row in enumerate(rows if job["terminal"] else rows[:-1]):
                if row.stage not in stages:
                    stages.add(row.stage)
                    # Each training counts its own steps; the run counts rows.
                    run.define_metric(f"{row.stage}/step", hidden=True)
                    run.define_metric(f"{row.stage}/*", step_metric=f"{row.stage}/step")
                if place >= sent:
                    values: dict[str, float] = {"step": row.step, **row.values}
                    run.log(
                        {f"{row.stage}/{name}": one for name, one in values.items()}, step=place
                    )
                    sent = place + 1
            if job["terminal"] or not follow:
                _conclude(run, job)
                return sent - known
            time.sleep(_LOOK_SECONDS)
            # Looked at before its curves: of a job that has ended nothing more comes.
            job = self.client.get(job["id"])


def _origin(client: Client, job: Job) -> dict[str, str]:
    return {"job": job["id"], "page": f"{client.url}{job['links']['page']}"}


def _conclude(run: wandb.Run, job: Job) -> None:
    """Tell what came out; of a job that still runs, its status."""
    verdict, failure = job["verdict"], job["failure"]
    run.summary.update(numbers(job))
    gates = {True: "gates passed", False: "gates not met", None: None}[job["gates_passed"]]
    tags = [job["status"], job["method"], job["outcome"], gates]
    run.tags = tuple(tag[:_TAG_CHARACTERS] for tag in tags if tag)
    if verdict:
        run.notes = verdict["sentence"]
    elif failure:
        run.notes = f"{failure['code']}: {failure['message']}"


def numbers(job: Job) -> dict[str, Any]:
    """The report's numbers by name, such as `student/accuracy` and `uplift/low`."""
    verdict = job["verdict"]
    told: dict[str, Any] = {"status": job["status"]}
    if not verdict:
        return told
    told |= {
        "outcome": verdict["outcome"],
        "gates_passed": verdict["gates_passed"],
        "retention": verdict["retention"],
        "agreement": verdict["agreement"],
    }
    measured: dict[str, Measured | None] = {
        "teacher": verdict["teacher"],
        "student": verdict["student"],
        "baseline": verdict["baseline"],
        **verdict["controls"],
    }
    for role, one in measured.items():
        if one:
            sizes = {name: value for name, value in one.items() if name != "score"}
            told[f"{role}/{verdict['metric']}"] = one["score"]["mean"]
            told |= {f"{role}/{name}": value for name, value in sizes.items()}
    if uplift := verdict["uplift"]:
        told |= {f"uplift/{name}": uplift[name] for name in ("mean", "low", "high")}
    told |= {f"compression/{name}": value for name, value in verdict["compression"].items()}
    told |= {f"gates/{gate['gate']}": gate["passed"] for gate in verdict["gates"]}
    return told
