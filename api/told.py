"""What is told of a request that has been answered: to the metrics, the log and the trace."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.types import Scope

from api.exposition import METHODS, Meters

log = logging.getLogger("api.requests")

_CHANGES_NOTHING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OUR_FAULT: Final = 500


def tell(scope: Scope, status: int, seconds: float, meters: Meters) -> None:
    """Tell it; status 0 is a client that left before the answer began.

    What changes something stands in the log, and what went wrong; the rest only for debugging.
    """
    meters.request(scope, status, seconds)
    route, method = _route(scope), _method(scope)
    is_told = method not in _CHANGES_NOTHING or status >= _OUR_FAULT
    level = logging.INFO if is_told else logging.DEBUG
    if log.isEnabledFor(level):
        # By its route, which is ours, and not by its path, which anybody may write.
        fields: dict[str, object] = {"status": status, "seconds": round(seconds, 4)}
        job_id = scope.get("path_params", {}).get("job_id")
        if job_id is not None:
            fields["job_id"] = str(job_id)[:80]
        log.log(level, "%s %s", method, route, extra={"fields": fields})


def name_span(span: Any, scope: Scope) -> None:
    """Name a request's span by its route, as FastAPI does for what its own router has found."""
    span.update_name(f"{_method(scope)} {_route(scope)}")
    span.set_attribute("http.route", _route(scope))


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"
