"""Which paths are pages, for people; all others are for programs."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers

_PROGRAMS: Final = ("/v1/", "/static/")
_PROGRAMS_PATHS: Final = frozenset({"/v1", "/metrics", "/livez", "/readyz", "/openapi.json"})


def is_page(path: str, headers: Headers) -> bool:
    """Say whether a browser has asked for one of our pages, be it one that is not there."""
    is_program = path in _PROGRAMS_PATHS or path.startswith(_PROGRAMS)
    return not is_program and "text/html" in headers.get("accept", "")
