"""The app: every route behind one guard, with one way to say no."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api import VERSION, messages
from api.checks import known_parameters
from api.dependencies import House
from api.doorman import Doorman
from api.guard import Guard
from api.pages.errors import page_of
from api.pages.rendering import static_files
from api.pages.site import router as pages
from api.problems import HANDLED, answer, problem_of, request_id_of
from api.refusals import declare_refusals
from api.routes import (
    artifacts,
    audit,
    catalog,
    clone,
    compare,
    estimate,
    events,
    files,
    fine_tuning,
    health,
    inputs,
    inspections,
    jobs,
    keys,
    logs,
    metrics,
    mlflow,
    projects,
    report,
    sweeps,
    teacher_caches,
    upkeep,
    uploads,
    verbs,
    waiting,
    webhooks,
    workers,
)
from api.shortcut import Shortcut
from jobs.settings import Settings
from jobs.spec import JobSpec

_DESCRIPTION: Final = """
Knowledge distillation as a service: post a spec, watch it, download a student that is proven.

Every refusal is an `application/problem+json` body (RFC 9457) with a stable `code`, a `request_id`,
and for wrong fields JSON pointers with what was found and what was expected.
"""
_REFERENCE: Final = "#/components/schemas/{model}"
_KEY_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, `shk_…`; asked for once there is one.",
}
_ROUTERS: Final = (
    inspections,
    estimate,
    jobs,
    verbs,
    clone,
    upkeep,
    events,
    metrics,
    logs,
    waiting,
    artifacts,
    report,
    mlflow,
    compare,
    sweeps,
    webhooks,
    inputs,
    uploads,
    fine_tuning,
    files,
    catalog,
    teacher_caches,
    keys,
    projects,
    audit,
    workers,
    health,
)


def create_app(settings: Settings) -> FastAPI:
    """Return the ASGI app; its database is opened when the app starts, not here."""
    house = House(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        house.open()
        try:
            await house.locks.are_none()  # known, should the database be away from now on
            yield
        finally:
            house.close()

    app = FastAPI(
        title="Stillhouse",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Their pages load scripts from other sites; the document itself is served.
        docs_url=None,
        redoc_url=None,
        # A redirect would change what a mistyped POST means.
        redirect_slashes=False,
    )
    app.state.house = house
    app.state.settings = settings
    for kind in HANDLED:
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(ClientDisconnect, _nobody)
    for area in _ROUTERS:
        app.include_router(area.router, dependencies=[Depends(known_parameters)])
    app.include_router(pages)
    app.mount("/static", static_files(), name="static")
    app.add_middleware(Shortcut, house=house)
    app.add_middleware(Doorman, settings=settings, locks=house.locks)
    app.add_middleware(Guard, settings=settings, meters=house.meters)
    app.openapi = lambda: _openapi(app)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    page = page_of(request, problem)
    if page is not None:
        return page
    return answer(problem, instance=request.url.path, request_id=request_id_of(request))


async def _nobody(_: Request, __: Exception) -> Response:
    return Response(status_code=400)


def spec_schemas(taken: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas of a spec and its parts; one whose name is `taken` bears another name.

    A part is named after its class, and a plug-in's class may be called as it likes.
    """
    spec = JobSpec.model_json_schema(ref_template=_REFERENCE)
    parts: dict[str, Any] = {**spec.pop("$defs", {}), "JobSpec": spec}
    text = json.dumps(parts)
    for name, part in parts.items():
        if taken.get(name, part) != part:
            old, new = (json.dumps(_REFERENCE.format(model=one)) for one in (name, f"Spec{name}"))
            text = text.replace(old, new)
    return {
        f"Spec{name}" if taken.get(name, parts[name]) != parts[name] else name: part
        for name, part in json.loads(text).items()
    }


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; the spec's schema joins it, since its route reads raw bodies."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            webhooks=messages.router.routes,
        )
        document["components"]["schemas"] |= spec_schemas(document["components"]["schemas"])
        document["components"]["securitySchemes"] = {"key": _KEY_SCHEME}
        document["security"] = [{"key": []}, {}]  # nothing, while the house asks for no key
        declare_refusals(document)
        app.openapi_schema = document
    return app.openapi_schema
