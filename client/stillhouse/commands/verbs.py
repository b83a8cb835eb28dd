"""cancel, pause, resume, retry, clone, label, delete: what may be done with jobs."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import typer

from stillhouse.bodies import Job
from stillhouse.options import AsJson, JobId, Url, connect, program
from stillhouse.output import Output
from stillhouse.spec import apply


def cancel(
    job: JobId,
    now: Annotated[bool, typer.Option("--now", help="Kill instead of saving first.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a job: it finishes its step, saves and stops; --now kills it.

    What was saved is kept, and `stillhouse retry` goes on from there.
    """
    with connect(url) as client:
        _done(client.cancel(job, mode="now" if now else "graceful"), Output(as_json=as_json))


def pause(job: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """Pause a job: it finishes its step, saves, and gives its place to others.

    `stillhouse resume` lets it go on from there. A pause costs neither an attempt nor time of
    max_runtime_seconds.
    """
    with connect(url) as client:
        _done(client.pause(job), Output(as_json=as_json))


def resume(job: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """Let a paused job go on from where it was; one that is still pausing runs on."""
    with connect(url) as client:
        _done(client.resume(job), Output(as_json=as_json))


def retry(
    job: JobId,
    start: Annotated[
        str, typer.Option("--from", metavar="checkpoint|scratch", help="Where to begin.")
    ] = "checkpoint",
    max_runtime: Annotated[
        int | None,
        typer.Option(min=1, metavar="SECONDS", help="Another limit of the time that it may run."),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Queue a failed or cancelled job again, from its last checkpoint or from scratch."""
    if start not in {"checkpoint", "scratch"}:
        raise typer.BadParameter("expected checkpoint or scratch", param_hint="--from")
    with connect(url) as client:
        begun = client.retry(
            job,
            start=cast("Literal['checkpoint', 'scratch']", start),
            max_runtime_seconds=max_runtime,
        )
        _done(begun, Output(as_json=as_json))


def clone(
    job: JobId,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change the spec: method=dkd, training.max_steps=500, gates=null. Repeatable.",
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Cloning again with it gives the same job.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit the spec of a job again, as it was sent, with changes; print the new job's id.

    null takes a field back to its default. Nothing that the old job has learned comes along.
    """
    output = Output(as_json=as_json)
    with connect(url) as client:
        patch = _patch(client.get(job)["spec"], changes or ()) if changes else {}
        made = client.clone(job, patch, idempotency_key=idempotency_key)
        output.say(f"{made['id']} is {made['status']}: {client.url}{made['links']['page']}")
        output.plain(made, made["id"])
        output.say(f"Follow it with: {program()} watch {made['id']}", "dim")


def _patch(spec: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The merge patch that makes the changes; paths may lead into lists, which a patch cannot."""
    changed = copy.deepcopy(spec)
    for change in changes:
        apply(changed, change)
    return {name: value for name, value in changed.items() if spec.get(name, ...) != value}


def label(  # noqa: PLR0913 - a command's options
    job: JobId,
    labels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE | KEY-]...", help="Set a label, or take one away."),
    ] = None,
    *,
    name: Annotated[
        str | None, typer.Option(help="Another name; an empty one takes it away.")
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(min=0, max=100, help="Another priority, while it is queued or paused."),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change a job's labels, its name, or its priority."""
    patch: dict[str, Any] = {}
    for word in labels or ():
        key, equals, value = word.partition("=")
        if not equals and not word.endswith("-"):
            raise typer.BadParameter(f"found {word}; expected KEY=VALUE or KEY-")
        told = patch.setdefault("labels", {})
        told.update({key: value} if equals else {word.removesuffix("-"): None})
    if name is not None:
        patch["name"] = name or None
    if priority is not None:
        patch["priority"] = priority
    if not patch:
        raise typer.BadParameter("nothing to change; expected KEY=VALUE, --name or --priority")
    with connect(url) as client:
        changed = client.change(job, patch)
    said = " ".join(f"{key}={value}" for key, value in changed["labels"].items())
    Output(as_json=as_json).plain(changed, f"{changed['id']} {said}".rstrip())


def delete(
    job: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a job with its story, curves and files, for good; one that runs is not deleted."""
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("nobody is there to be asked; say --yes", param_hint="--yes")
        typer.confirm(f"Delete {job} and its files for good?", abort=True, err=True)
    with connect(url) as client:
        client.delete(job)
    Output(as_json=as_json).plain({"id": job, "deleted": True}, f"{job} deleted")


def _done(job: Job, output: Output) -> None:
    output.plain(job, f"{job['id']} {job['status']}")
