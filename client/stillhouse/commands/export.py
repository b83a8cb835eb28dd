"""export: a job's curves for other tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from stillhouse.errors import SpecError
from stillhouse.history import write_csv
from stillhouse.options import LONG_PATIENCE_SECONDS, AsJson, JobId, Url, connect
from stillhouse.output import Output
from stillhouse.tracking import WandbExport


def export(  # noqa: PLR0913 - a command's options
    job: JobId,
    *,
    to: Annotated[
        Literal["wandb", "csv"],
        typer.Option(help="A run of Weights & Biases, or a table: a row for each step."),
    ],
    project: Annotated[
        str | None, typer.Option(help="Of Weights & Biases; stillhouse without.")
    ] = None,
    entity: Annotated[
        str | None, typer.Option(help="Of Weights & Biases: the team; the key's own without.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay until the job has ended (wandb).")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the table there instead (csv).")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Export a job's curves, and with them its spec, its numbers and its verdict.

    The run of Weights & Biases has the job's id: exported again, it goes on where it was. Where
    it goes to, and with which key, wandb's own settings say: WANDB_BASE_URL, WANDB_API_KEY;
    WANDB_MODE=offline writes it into ./wandb, to be sent by `wandb sync`.
    """
    if to == "csv" and (project or entity or follow):
        raise SpecError("--project, --entity and --follow belong to --to wandb")
    if to == "wandb" and out:
        raise SpecError("--out belongs to --to csv; WANDB_DIR says where wandb writes")
    output = Output(as_json=as_json)
    with connect(url) as client:
        if to == "csv":
            metrics = client.metrics(job)
            if as_json:
                output.line(metrics, indent=2)
            elif out is None:
                write_csv(metrics, sys.stdout)
            else:
                with out.open("w", encoding="utf-8", newline="") as file:
                    output.say(f"{write_csv(metrics, file)} rows written to {out}")
            return
        client.get(job)
        client.patience_seconds = LONG_PATIENCE_SECONDS
        done = WandbExport(client, job, project, entity).run(follow=follow)
    output.plain(done, done["url"] or done["folder"])
