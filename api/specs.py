"""A spec out of a request's body: read, checked, and held against the operator's limits."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

from starlette.concurrency import run_in_threadpool

from api.bodies import Body
from api.checks import affordable, checked
from api.dependencies import Visit
from jobs.database import Written
from jobs.familiar import read_familiar
from jobs.spec import LOOKED_THROUGH, JobSpec

INLINE_BYTES: Final = 8_192
"""Largest JSON body that is read where it arrives; a spec has some hundred bytes."""


class Read(NamedTuple):
    """What a body says."""

    spec: JobSpec
    sent: dict[str, Any]
    """The spec as it was sent."""
    recipe: Written | None
    """As JSON, where that is known."""


async def spec_of(visit: Visit, body: Body) -> Read:
    """Return what a body says.

    Raises:
        PayloadProblem: it is no spec, or asks for more than a job may take.
    """
    if len(body.content) > INLINE_BYTES or not body.is_json:
        # Other requests must not wait for it.
        read = await run_in_threadpool(lambda: read_spec(body.document()))
    else:
        read = read_spec(body.document())
    affordable(read.spec, visit.settings)
    return read


def read_spec(document: object) -> Read:
    """Return what a document says that has no flaws.

    Raises:
        PayloadProblem: it is no spec.
    """
    sent = cast("dict[str, Any]", document)
    if known := read_familiar(document):
        return Read(known.spec, sent, known.recipe)
    return Read(checked(JobSpec, document, LOOKED_THROUGH), sent, None)
