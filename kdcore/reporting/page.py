"""The report as one HTML file: nothing is loaded from anywhere, and nothing in it runs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kdcore.data_report import DataReport
from kdcore.quality import Quality
from kdcore.reporting import figures, forms
from kdcore.reporting.record import Report


def as_page(report: Report) -> str:
    """Return the page; whatever is not ours in it is text."""
    verdict = report.verdict
    networks = [("teacher", verdict.teacher), ("student", verdict.student)]
    if verdict.baseline:
        networks.append(("baseline", verdict.baseline))
    networks += verdict.controls.items()
    return _template("page.html").render(
        told=report.data_quality, networks=networks, forms=forms, **_quality(report)
    )


def as_quality(report: Report) -> Markup:
    """Return what the numbers hide, as a part of another page."""
    return Markup(_template("quality.html").render(_quality(report)))  # noqa: S704  # it escapes


def _quality(report: Report) -> dict[str, Any]:
    return {
        "report": report,
        "verdict": report.verdict,
        "quality": report.quality,
        "figures": figures,
        "confusion": _confusion(report.quality),
    }


def _confusion(quality: Quality) -> Markup | None:
    if quality.kind != "classification" or quality.confusion is None:
        return None
    names = {one.label: one.name for one in quality.classes}
    called = [names.get(label, str(label)) for label in range(len(quality.confusion))]
    return figures.confusion(quality.confusion, called)


def as_data_page(report: DataReport) -> str:
    """Return the page of a data report; whatever is not ours in it is text."""
    return _template("data_page.html").render(told=report)


def as_data(report: DataReport) -> Markup:
    """Return a data report as a part of another page."""
    return Markup(_template("data_body.html").render(told=report))  # noqa: S704  # it escapes


@functools.cache
def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
