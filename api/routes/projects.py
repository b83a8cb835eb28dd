"""Projects: made and limited by the house, seen by whoever has a key to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from api.answers import NO_STORE, problems, send
from api.checks import Sent, body_schema, checked
from api.dependencies import HouseAdminLedger, Ledger, SentBody, Visit
from api.schemas import Body, ListBody
from jobs import tables
from jobs.projects import PROJECT_NAME
from jobs.spec import ProjectName
from jobs.states import ACTIVE, Status

router = APIRouter(prefix="/v1/projects", tags=["access"])

Limit = Annotated[int, Field(ge=0, le=1_000_000)]
Name = Annotated[str, Path(pattern=PROJECT_NAME.pattern, examples=["default"])]


class NewProject(Sent):
    """What a new project is to be."""

    name: ProjectName
    max_running: Limit | None = None
    """Jobs that run at the same time at most; none is no limit."""
    max_waiting: Limit | None = None
    """Jobs that wait at most; more are refused."""


class Limits(Sent):
    """What a project may take; what is left out stays as it is, and null is no limit."""

    max_running: Limit | None = None
    max_waiting: Limit | None = None


class Project(Body):
    """A project, and what it takes at the moment."""

    name: str
    object: Literal["project"] = "project"
    created_at: datetime
    max_running: int | None
    max_waiting: int | None
    running: int
    waiting: int


@router.post(
    "",
    operation_id="create_project",
    status_code=201,
    response_model=Project,
    openapi_extra={"requestBody": body_schema(NewProject)},
    responses=problems(404, 409, 413, 415, 422),
)
def create_project(visit: HouseAdminLedger, body: SentBody) -> Response:
    """Make a project, with a key of the house."""
    wanted = checked(NewProject, body.document())
    with visit.changing() as repository:
        repository.add_project(
            wanted.name, max_running=wanted.max_running, max_waiting=wanted.max_waiting
        )
        limits = wanted.model_dump(exclude={"name"})
        author = visit.caller.author
        repository.note(author, "project.create", wanted.name, project=wanted.name, details=limits)
    return send(_one_project(visit, wanted.name), 201, headers=NO_STORE)


@router.get(
    "",
    operation_id="list_projects",
    response_model=ListBody[Project],
    responses=problems(404),
)
def list_projects(visit: Ledger) -> Response:
    """Return the projects that the key opens, by name, and what each takes at the moment."""
    with visit.overseeing() as repository:
        usage = repository.usage()
        projects = [_told(row, usage) for row in repository.projects()]
    return send(ListBody[Project](data=projects), headers=NO_STORE)


@router.get(
    "/{name}",
    operation_id="get_project",
    response_model=Project,
    responses=problems(404, 422),
)
def get_project(visit: Ledger, name: Name) -> Response:
    """Return one project."""
    return send(_one_project(visit, name), headers=NO_STORE)


@router.patch(
    "/{name}",
    operation_id="limit_project",
    response_model=Project,
    openapi_extra={"requestBody": body_schema(Limits)},
    responses=problems(404, 413, 415, 422),
)
def limit_project(visit: HouseAdminLedger, name: Name, body: SentBody) -> Response:
    """Set what a project may take, with a key of the house; what runs already goes on."""
    limits = checked(Limits, body.document()).model_dump(exclude_unset=True)
    with visit.changing() as repository:
        repository.limit_project(name, limits)
        author = visit.caller.author
        repository.note(author, "project.limit", name, project=name, details=limits)
    return send(_one_project(visit, name), headers=NO_STORE)


def _one_project(visit: Visit, name: str) -> Project:
    with visit.overseeing() as repository:
        return _told(repository.project(name), repository.usage())


def _told(row: tables.Project, usage: Mapping[tuple[str, str], int]) -> Project:
    return Project(
        name=row.name,
        created_at=row.created_at,
        max_running=row.max_running,
        max_waiting=row.max_waiting,
        running=sum(usage.get((row.name, status), 0) for status in ACTIVE),
        waiting=usage.get((row.name, Status.QUEUED), 0),
    )
