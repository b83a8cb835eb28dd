"""Files that a spec names: looked up whenever one is posted, and put into its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api.dependencies import Visit
from api.extras import extras_of, require_extras
from api.problems import PayloadProblem
from api.schemas import FieldError
from jobs import tables
from jobs.database import Written
from jobs.errors import JobError, JobNotFound
from jobs.input_errors import InputDeleted, InputNotFound, JobFileMissing
from jobs.job_files import Offered
from jobs.references import Named, hub_path, job_path, path_of, with_paths
from jobs.spec import JobSpec
from jobs.states import Status
from jobs.submission import Submission
from kdcore.hub import CONFIG, WEIGHTS
from kdcore.recipe import Recipe

_ZIP = ".zip"


class Resolved(NamedTuple):
    """A recipe whose files are all named by paths, and what it names."""

    recipe: Written | None
    """As JSON, where it is known."""
    inputs: tuple[str, ...] = ()
    """Ids of uploaded files."""
    files: tuple[tuple[str, str], ...] = ()
    """Files of earlier jobs, by job and name."""

    def noted_in(self, submission: Submission) -> Submission:
        """Return a submission that needs what is named."""
        if not self.inputs and not self.files:
            return submission
        return replace(submission, inputs=self.inputs, files=self.files)


async def resolved(visit: Visit, spec: JobSpec, recipe: Written | None = None) -> Resolved:
    """Look up what a spec names; `recipe` is its recipe as JSON, where that is known.

    Raises:
        PayloadProblem: a file is not there, or of another kind, or no worker has what is needed;
            the pointers say where.
    """
    if not spec.references and not extras_of(spec):
        return Resolved(recipe)
    found = await run_in_threadpool(resolve, visit, spec)
    return found if found.recipe else Resolved(recipe)


def resolve(visit: Visit, spec: JobSpec) -> Resolved:
    """Look up what a spec names; see `resolved`."""
    named = Resolved(None)
    if spec.references:
        named = resolve_named(visit, spec.references, spec.recipe())
    # An uploaded file's format is told by the path that it has now.
    recipe = Recipe.model_validate_json(named.recipe) if named.recipe else spec
    if needed := extras_of(recipe):
        require_extras(visit, needed)
    return named


def resolve_named(visit: Visit, references: Sequence[Named], document: BaseModel) -> Resolved:
    """Look up what a document names by `references`; see `resolved`."""
    uploads = [named for named in references if named.kind in {"dataset", "model"}]
    earlier = [named for named in references if named.kind == "job"]
    of_hub = [named for named in references if named.kind == "hub"]
    with visit.reading() as repository:
        rows = repository.named_inputs({(named.kind, named.id) for named in uploads})
        jobs = repository.offered({named.id for named in earlier})
        faults = [
            *(_upload_fault(named, rows.get((named.kind, named.id))) for named in uploads),
            *(_job_fault(named, jobs) for named in earlier),
            *(_hub_fault(named, visit.settings.hub_url) for named in of_hub),
        ]
        if errors := [error for error in faults if error]:
            raise PayloadProblem(errors, code=errors[0].code)
        found = {named: rows[named.kind, named.id] for named in uploads}
        paths = {named: path_of(row.sha256, row.name) for named, row in found.items()}
        paths |= {named: job_path(named.id) for named in earlier}
        paths |= {named: hub_path(named.id) for named in of_hub}
        return Resolved(
            with_paths(document.model_dump_json(), paths),
            tuple(sorted({row.id for row in found.values()})),
            tuple(sorted({(named.id, name) for named in earlier for name in named.files})),
        )


def _upload_fault(named: Named, row: tables.Input | None) -> FieldError | None:
    """Return what is wrong with the name of an uploaded file, if anything is."""
    kind, wanted = named.kind, named.wanted
    if kind != wanted:
        return FieldError(
            pointer=named.pointer,
            code="wrong_kind",
            message=f"found the {kind} {named.id[:80]!r}; expected a {wanted}",
            hint=f"upload the file as a {wanted}: POST /v1/{wanted}s",
        )
    if row is None:
        return _told(named, InputNotFound(kind, named.id))
    if row.deleted_at is not None:
        return _told(named, InputDeleted(kind, named.id, row.deleted_at))
    if wanted == "model" and row.name.endswith(_ZIP) != named.is_folder:
        expected = "a zip of a model's folder" if named.is_folder else "one file, and no zip"
        return FieldError(
            pointer=named.pointer,
            code="wrong_format",
            message=f"found the model {row.name!r}; expected {expected}",
            hint="folders are read by the models huggingface and artifact",
        )
    return None


def _job_fault(named: Named, jobs: Mapping[str, Offered]) -> FieldError | None:
    """Return why an earlier job cannot give what is named, if it cannot."""
    if not named.is_folder:
        return FieldError(
            pointer=named.pointer,
            code="wrong_kind",
            message=f"found the job {named.id[:80]!r}; expected a {named.wanted}",
            hint="a job's networks are named as {name: artifact, path: job:job_…, file: teacher}",
        )
    if (job := jobs.get(named.id)) is None:
        return _told(named, JobNotFound(named.id[:80]))
    if job.purged_at is not None:
        return _told(named, JobFileMissing(named.id))
    if job.status is not Status.SUCCEEDED:
        return FieldError(
            pointer=named.pointer,
            code="job_not_succeeded",
            message=f"found {named.id}, which is {job.status}; expected a job that has succeeded",
            hint="wait until it has: GET /v1/jobs/{id}?wait=30",
        )
    if missing := [name for name in named.files if name not in job.files]:
        networks = ", ".join(sorted(name for name in job.files if name.endswith(".safetensors")))
        return FieldError(
            pointer=named.pointer,
            code="file_not_delivered",
            message=f"found {named.id}, which has not delivered {', '.join(missing)}; expected one "
            f"of {networks}",
            hint="a teacher that a job was given is not among its files",
        )
    return None


def _hub_fault(named: Named, hub_url: str) -> FieldError | None:
    """Return why a repository of the hub cannot stand there, if it cannot."""
    if set(named.files) != {CONFIG, WEIGHTS}:
        return FieldError(
            pointer=named.pointer,
            code="wrong_kind",
            message=f"found hub:{named.id[:120]}; expected a {named.wanted}",
            hint="a network of the hub is named as {name: huggingface, path: hub:owner/name@…}",
        )
    if not hub_url:
        return FieldError(
            pointer=named.pointer,
            code="hub_shut",
            message=f"found hub:{named.id[:120]}, and this server fetches nothing from a hub",
            hint="download the folder, and upload it as a zip: POST /v1/models",
        )
    return None


def _told(named: Named, error: JobError) -> FieldError:
    return FieldError(pointer=named.pointer, code=error.code, message=str(error), hint=error.hint)
