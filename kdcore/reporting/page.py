"""The report as one HTML file: nothing is loaded from anywhere, and nothing in it runs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kdcore.quality import Quality
from kdcore.reporting import figures
from kdcore.reporting.record import Report


def as_page(report: Report) -> str:
    """Return the page; whatever is not ours in it is text."""
    verdict = report.verdict
    networks = [("teacher", verdict.teacher), ("student", verdict.student)]
    if verdict.baseline:
        networks.append(("baseline", verdict.baseline))
    networks += verdict.controls.items()
    return _template().render(
        report=report,
        verdict=verdict,
        quality=report.quality,
        networks=networks,
        figures=figures,
        confusion=_confusion(report.quality),
    )


def _confusion(quality: Quality) -> Markup | None:
    if quality.kind != "classification" or quality.confusion is None:
        return None
    names = {one.label: one.name for one in quality.classes}
    called = [names.get(label, str(label)) for label in range(len(quality.confusion))]
    return figures.confusion(quality.confusion, called)


@functools.cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
