"""Files as OpenAI's clients know them: uploads by their own ids, deliveries by job and name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from api.facade.bodies import FileObject, Purpose
from api.facade.telling import seconds_of
from api.forms import FormFile
from api.problems import PayloadProblem
from api.schemas import FieldError
from jobs import tables
from jobs.artifacts import NAME
from jobs.formats import InputKind
from jobs.ids import DATASET_ID, JOB_ID, MODEL_ID
from jobs.input_errors import InputNotFound
from jobs.repository import Repository

PURPOSES: Final[dict[str, InputKind]] = {"fine-tune": "dataset", "user_data": "model"}
_BY_KIND: Final[dict[str, Purpose]] = {"dataset": "fine-tune", "model": "user_data"}
_ID_LENGTH: Final = len("job_") + 26


def uploaded_kind(file_id: str) -> InputKind | None:
    """Return which kind of upload an id can be of, if of any."""
    if DATASET_ID.fullmatch(file_id):
        return "dataset"
    return "model" if MODEL_ID.fullmatch(file_id) else None


def found(repository: Repository, file_id: str) -> tables.Input | tables.Artifact:
    """Return a file.

    Raises:
        InputNotFound: there is none; InputDeleted where there was one.
        JobNotFound: nor is there a job that could have delivered it.
        ArtifactsPurged: its job's files were removed.
        ArtifactNotFound: the job has delivered no such file.
    """
    kind = uploaded_kind(file_id)
    if kind is not None:
        return repository.input(kind, file_id)
    job_id, name = file_id[:_ID_LENGTH], file_id[_ID_LENGTH + 1 :]
    # Nothing odd may reach the database.
    if file_id[_ID_LENGTH:][:1] == "." and JOB_ID.fullmatch(job_id) and NAME.fullmatch(name):
        repository.keeping_files(job_id)
        return repository.artifact(job_id, name)
    raise InputNotFound("file", file_id)


def file_object(row: tables.Input | tables.Artifact) -> FileObject:
    """Return what is told of a file."""
    is_upload = isinstance(row, tables.Input)
    return FileObject(
        id=row.id if is_upload else f"{row.job_id}.{row.name}",
        bytes=row.size_bytes,
        created_at=seconds_of(row.created_at),
        filename=row.name,
        purpose=_BY_KIND[row.kind] if is_upload else "fine-tune-results",
        sha256=row.sha256,
        reference=f"{row.kind}:{row.id}" if is_upload else None,
    )


def page_of_uploads(
    repository: Repository, purpose: str | None, after: str | None, limit: int, oldest_first: bool
) -> list[tables.Input]:
    """Return uploads of one purpose or all, in the order of their ids' moments."""
    moment = after.partition("_")[2] if after else None
    kinds = [PURPOSES[purpose]] if purpose in PURPOSES else [] if purpose else PURPOSES.values()
    prefixes = {"dataset": "ds", "model": "mdl"}
    rows = [
        row
        for kind in kinds
        for row in repository.inputs(
            kind,
            limit=limit,
            before=f"{prefixes[kind]}_{moment}" if moment else None,
            oldest_first=oldest_first,
        )
    ]
    rows.sort(key=lambda row: row.id.partition("_")[2], reverse=not oldest_first)
    return rows[:limit]


async def with_purpose(form: FormFile, assumed: str) -> AsyncIterator[bytes]:
    """Yield the file of a form; at its end, the purpose must be what it was taken for.

    Some clients send it behind the file, and where the file goes must be known before.

    Raises:
        PayloadProblem: it is another, or was never said.
        ContentRefused: the form cannot be read.
    """
    async for block in form.blocks():
        yield block
    said = form.fields.get("purpose")
    if said != assumed:
        raise refused_purpose(said, "send the field purpose in front of the file")


def refused_purpose(said: str | None, hint: str) -> PayloadProblem:
    """Return the refusal of a purpose."""
    found = f"the purpose {said[:80]!r}" if said is not None else "no purpose"
    message = f"found {found}; expected one of {', '.join(PURPOSES)}"
    error = FieldError(pointer="/purpose", code="purpose_refused", message=message, hint=hint)
    return PayloadProblem([error], code=error.code)
