"""How pages are made: templates, the numbers in them, and who may keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from api.answers import NO_STORE
from api.dependencies import Visit
from api.pages import words

_HERE: Final = Path(__file__).parent

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters.update(words.FILTERS)
TEMPLATES.policies["json.dumps_kwargs"] = {"sort_keys": False}  # options stand as they were written


def static_files() -> StaticFiles:
    """Return the app that serves style sheets, scripts and the icon."""
    return StaticFiles(directory=_HERE / "static")


def page(template: str, visit: Visit, **values: Any) -> HTMLResponse:
    """Return a page as its visitor sees it."""
    text = TEMPLATES.get_template(template).render(caller=visit.caller, **values)
    return HTMLResponse(text, headers=NO_STORE)
