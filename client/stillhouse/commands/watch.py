"""watch, wait: until a job has ended."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import typer

from stillhouse import exits
from stillhouse.bodies import EventBody, Job
from stillhouse.client import Client
from stillhouse.live import follower
from stillhouse.options import (
    LONG_PATIENCE_SECONDS,
    AsJson,
    Curves,
    JobId,
    Timeout,
    Url,
    connect,
    program,
)
from stillhouse.output import Output
from stillhouse.tables import failure_text, verdict_view


def watch(
    job: JobId,
    *,
    curves: Curves = True,
    timeout: Timeout = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Follow a job live, then show its verdict and gates.

    On a terminal two bars show the whole run (percent, time left) and the current training
    (step, epoch, metrics), and its validation metric is drawn below them, with what teacher and
    baseline reached, or its loss until there is one; elsewhere plain lines come. Cut connections
    and restarts of the server are survived. Ctrl-C lets go of the job and never cancels it. With
    --json every event is a line, and the last line is the job. A pause ends it as well (exit
    code 75).
    """
    with connect(url) as client:
        client.get(job)
        output = Output(as_json=as_json)
        raise typer.Exit(attend(client, job, output, timeout=timeout, curves=curves))


def wait(job: JobId, timeout: Timeout = None, url: Url = None, as_json: AsJson = False) -> None:
    """Wait silently until a job has ended; the exit code tells how."""
    with connect(url) as client:
        client.get(job)
        output = Output(as_json=as_json)
        raise typer.Exit(attend(client, job, output, timeout=timeout, quiet=True))


def attend(  # noqa: PLR0913 - how one stays, by keyword
    client: Client,
    job_id: str,
    output: Output,
    *,
    timeout: float | None,
    quiet: bool = False,
    curves: bool = True,
) -> int:
    """Stay with a job that the server knows until it has ended; return the exit code."""
    client.patience_seconds = LONG_PATIENCE_SECONDS
    try:
        if quiet:
            job = client.wait(job_id, timeout_seconds=timeout)
            if output.as_json:
                output.line(job, indent=2)
        else:
            _follow(client, job_id, output, timeout, curves=curves)
            job = client.get(job_id)
            if output.as_json:
                output.line(job)
    except KeyboardInterrupt:
        output.say(
            f"\nLet go of {job_id}; it goes on. "
            f"Come back: {program()} watch {job_id}   End it: {program()} cancel {job_id}"
        )
        return exits.INTERRUPTED
    _conclude(client, job, output)
    return exits.of_job(job)


def _follow(
    client: Client, job_id: str, output: Output, timeout: float | None, *, curves: bool
) -> None:
    events = _until_paused(client, job_id, client.watch(job_id, timeout_seconds=timeout))
    if output.as_json:
        for event in events:
            output.line(event)
    else:
        # Who sends results elsewhere wants no pictures.
        wanted = curves and sys.stdout.isatty()
        follower(output.talk, job_id, curves=wanted).follow(events)


def _until_paused(client: Client, job_id: str, events: Iterable[EventBody]) -> Iterator[EventBody]:
    """Yield events until the job is paused: its stream would go on for as long as it may wait."""
    for event in events:
        yield event
        if event["type"] == "job.paused" and client.get(job_id)["status"] == "paused":
            return


def _conclude(client: Client, job: Job, output: Output) -> None:
    if verdict := job["verdict"]:
        output.show(verdict_view(verdict))
    if failure := job["failure"]:
        output.show(failure_text(failure["code"], failure["message"], failure["hint"]))
    status = job["status"]
    output.say(f"{job['id']} {status}: {client.url}{job['links']['page']}")
    if status == "succeeded":
        output.say(f"Get the student with: {program()} download {job['id']}", "dim")
    elif status == "paused":
        output.say(f"Let it go on with: {program()} resume {job['id']}", "dim")
    elif job["terminal"]:
        output.say(f"Try again with: {program()} retry {job['id']}", "dim")
