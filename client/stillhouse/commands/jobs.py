"""list, show: which jobs there are."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from stillhouse import completing
from stillhouse.bodies import Status
from stillhouse.options import AsJson, JobId, Url, connect
from stillhouse.output import Output
from stillhouse.tables import job_view, jobs_table


def list_jobs(  # noqa: PLR0913 - a command's options
    *,
    status: Annotated[
        str | None,
        typer.Option(
            help="queued, running, succeeded, failed, cancelled …",
            autocompletion=completing.statuses,
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="KEY=VALUE")] = None,
    teacher: Annotated[str | None, typer.Option(help="The teacher's architecture.")] = None,
    student: Annotated[str | None, typer.Option(help="The student's architecture.")] = None,
    method: Annotated[
        str | None, typer.Option(help="The method's name.", autocompletion=completing.methods)
    ] = None,
    q: Annotated[
        str | None, typer.Option("--search", "-q", help="Words in the name or id.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Jobs at most.")] = 20,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="The next_cursor of the page before.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    output = Output(as_json=as_json)
    with connect(url) as client:
        page = client.list(
            status=cast("Status | None", status),
            label=label,
            teacher=teacher,
            student=student,
            method=method,
            q=q,
            limit=limit,
            after=after,
        )
    output.result(page, jobs_table(page["data"]))
    if page["has_more"]:
        output.say(f"More with: --after {page['next_cursor']}", "dim")


def show(job: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """Show one job: status, progress, failure, verdict and gates."""
    output = Output(as_json=as_json)
    with connect(url) as client:
        found = client.get(job)
        output.result(found, job_view(found))
        if found["status"] == "queued":
            output.say(client.waiting(job)["told"])
        output.say(f"{client.url}{found['links']['page']}", "dim")
