"""download, report: what a job leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from stillhouse.errors import StillhouseError
from stillhouse.gathering import sha256_of
from stillhouse.options import AsJson, JobId, Url, connect
from stillhouse.output import Output
from stillhouse.words import size


def download(  # noqa: PLR0913, PLR0917 - one argument for each option
    job: JobId,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these files; all without.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder; ./JOB without.")
    ] = None,
    redirect: Annotated[
        bool | None,
        typer.Option(
            "--redirect/--no-redirect",
            help="From the server's bucket directly, or never; the server decides without.",
        ),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Download a job's files, each verified against its sha256.

    An interrupted download goes on where it stopped when the command is run again, and a file
    that is there and right is not fetched again. A file appears under its name only whole.
    """
    output, folder = Output(as_json=as_json), out or Path(job)
    with (
        connect(url) as client,
        Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            console=output.talk,
            transient=True,
            disable=not output.talk.is_terminal,
        ) as bars,
    ):
        listed = client.artifacts(job)
        wanted = names or [artifact["name"] for artifact in listed]
        if not wanted:
            status = client.get(job)["status"]
            raise StillhouseError(f"there is nothing to download: {job} is {status}, without files")
        paths = list[Path]()
        for name in wanted:
            bar = bars.add_task(name, total=None)
            paths += client.download(
                job,
                folder,
                names=[name],
                redirect=redirect,
                received=lambda here, whole, bar=bar: bars.update(bar, completed=here, total=whole),
            )
            bars.remove_task(bar)
    files = [
        {"path": str(path), "sha256": sha256_of(path), "size_bytes": path.stat().st_size}
        for path in paths
    ]
    output.plain({"job": job, "files": files}, "\n".join(str(path) for path in paths))
    total = sum(path.stat().st_size for path in paths)
    output.say(f"{len(files)} files, {size(total)}, every sha256 as listed", "green")


def report(  # noqa: PLR0913, PLR0917  # typer passes by name
    job: JobId,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it there instead.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="The Markdown itself, for a pull request.")
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="The whole report as one HTML file, for a browser.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Print a finished job's report (Markdown; rendered on a terminal)."""
    output = Output(as_json=as_json)
    with connect(url) as client:
        if as_json:
            output.line(client.report_json(job), indent=2)
            return
        text = client.report_page(job) if html else client.report(job)
    if out is not None:
        out.write_text(text, encoding="utf-8")
        output.say(f"written to {out}")
    elif raw or html or not typer.get_text_stream("stdout").isatty():
        typer.echo(text, nl=not text.endswith("\n"))
    else:
        output.result(None, Markdown(text))
