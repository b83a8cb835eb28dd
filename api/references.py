"""Uploaded files that a spec names: looked up whenever one is posted, and put into its recipe."""

from __future__ import annotations

from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from api.dependencies import Visit
from api.problems import PayloadProblem
from api.schemas import FieldError
from jobs import tables
from jobs.database import Written
from jobs.input_errors import InputDeleted, InputNotFound
from jobs.references import Named, with_paths
from jobs.spec import JobSpec


class Resolved(NamedTuple):
    """A recipe whose files are all named by paths, and the ids of those that were uploaded."""

    recipe: Written | None
    """As JSON, where it is known."""
    inputs: tuple[str, ...] = ()


async def resolved(visit: Visit, spec: JobSpec, recipe: Written | None = None) -> Resolved:
    """Look up what a spec names; `recipe` is its recipe as JSON, where that is known.

    Raises:
        PayloadProblem: a file is not there, or of another kind; the pointers say where.
    """
    if not spec.references:
        return Resolved(recipe)
    return await run_in_threadpool(resolve, visit, spec)


def resolve(visit: Visit, spec: JobSpec) -> Resolved:
    """Look up what a spec names; see `resolved`."""
    if not spec.references:
        return Resolved(None)
    ids = {named.reference.id for named in spec.references}
    with visit.reading() as repository:
        rows = repository.named_inputs(ids)
        faults = [_fault(named, rows.get(named.reference.id)) for named in spec.references]
        if errors := [error for error in faults if error]:
            raise PayloadProblem(errors, code=errors[0].code)
        found = {named: rows[named.reference.id] for named in spec.references}
        recipe = with_paths(spec.recipe().model_dump_json(), found)
    return Resolved(recipe, tuple(sorted(ids)))


def _fault(named: Named, row: tables.Input | None) -> FieldError | None:
    """Return what is wrong with a reference, if anything is."""
    kind, input_id = named.reference.kind, named.reference.id
    if kind != named.kind:
        return FieldError(
            pointer=named.pointer,
            code="wrong_kind",
            message=f"found the {kind} {input_id[:80]!r}; expected a {named.kind}",
            hint=f"upload the file as a {named.kind}: POST /v1/{named.kind}s",
        )
    if row is None or row.kind != kind:
        error = InputNotFound(kind, input_id)
    elif row.deleted_at is not None:
        error = InputDeleted(kind, input_id, row.deleted_at)
    else:
        return None
    return FieldError(pointer=named.pointer, code=error.code, message=str(error), hint=error.hint)
