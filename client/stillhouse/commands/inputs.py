"""datasets and models: upload, list, show, delete; both alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from stillhouse.client import Client
from stillhouse.input_bodies import Input, InputKind
from stillhouse.inputs import Inputs
from stillhouse.looks import finish, layers_text, report_text
from stillhouse.options import LONG_PATIENCE_SECONDS, AsJson, Url, connect
from stillhouse.output import Output
from stillhouse.spec import apply
from stillhouse.tables import table_of
from stillhouse.words import age, size

_File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]
_Id = Annotated[str, typer.Argument(metavar="ID", help="Its id or reference, as list shows it.")]
_Name = Annotated[
    str | None,
    typer.Option(help="What it is called; its suffix says the format. FILE's name without."),
]


def _group(kind: InputKind, what: str) -> typer.Typer:
    group = typer.Typer(
        help=f"Upload and manage {what}.", no_args_is_help=True, rich_markup_mode="markdown"
    )

    def inputs(client: Client) -> Inputs:
        return client.datasets if kind == "dataset" else client.models

    def upload(file: _File, name: _Name = None, url: Url = None, as_json: AsJson = False) -> None:
        output = Output(as_json=as_json)
        with (
            connect(url) as client,
            Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                console=output.talk,
                transient=True,
                disable=not output.talk.is_terminal,
            ) as bars,
        ):
            bar = bars.add_task(name or file.name, total=None)

            def received(here: int, whole: int) -> None:
                # The server has answered: a restart or a cut connection is waited for from now on.
                client.patience_seconds = LONG_PATIENCE_SECONDS
                bars.update(bar, completed=here, total=whole)

            kept = inputs(client).upload(file, name=name, received=received)
        output.plain(kept, kept["reference"])
        output.say(f"{kept['name']}, {size(kept['size_bytes'])}, sha256 {kept['sha256']}", "green")

    def list_all(url: Url = None, as_json: AsJson = False) -> None:
        with connect(url) as client:
            found = inputs(client).list()
        table = table_of("id", "name", "size", "sha256", "age")
        for one in found:
            row = (Text(one["name"]), size(one["size_bytes"]), one["sha256"][:12])
            table.add_row(one["id"], *row, age(one["created_at"]))
        Output(as_json=as_json).result(found, table)

    def show(input_id: _Id, url: Url = None, as_json: AsJson = False) -> None:
        with connect(url) as client:
            found = inputs(client).get(input_id)
        Output(as_json=as_json).plain(found, _told(found))

    def delete(input_id: _Id, url: Url = None, as_json: AsJson = False) -> None:
        with connect(url) as client:
            inputs(client).delete(input_id)
        Output(as_json=as_json).plain({"id": input_id, "deleted": True}, f"{input_id} deleted")

    group.command(
        help=f"Upload a {kind}, and print how a spec names it (`{kind}:…`).\n\nA part whose "
        "connection was cut is sent again, and the command run again goes on where it stopped."
    )(upload)
    group.command("list", help=f"List the {kind}s, the newest first.")(list_all)
    group.command(help=f"Show one {kind}.")(show)
    if kind == "dataset":
        group.command("report", help="Tell what a dataset is like, and what is wrong with it.")(
            _report
        )
    else:
        group.command("layers", help="Tell the layers of a model: path, shape, parameters.")(
            _layers
        )
    group.command(help=f"Delete a {kind} that no job needs which has not ended.")(delete)
    return group


def _report(
    input_id: _Id,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="How it is read: data.label=kind. Repeatable."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report there, as one page.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    output = Output(as_json=as_json)
    options: dict[str, Any] = {}
    for change in data or ():
        apply(options, change)
    with connect(url) as client:
        told = client.datasets.report(input_id, options)
        if html is not None and told["result"] is not None:
            html.write_text(client.datasets.page_of(told["id"]), encoding="utf-8")
    output.plain(told, report_text(told))
    finish(told)


def _layers(input_id: _Id, url: Url = None, as_json: AsJson = False) -> None:
    with connect(url) as client:
        told = client.models.layers(input_id)
    Output(as_json=as_json).plain(told, layers_text(told))
    finish(told)


def _told(one: Input) -> str:
    lines = {
        "reference": one["reference"],
        "name": one["name"],
        "size": size(one["size_bytes"]),
        "sha256": one["sha256"],
        "uploaded": one["created_at"],
    }
    return "\n".join(f"{word:<10} {said}" for word, said in lines.items())


datasets = _group(
    "dataset", "data sets: .npz, .zip of images, .csv, .jsonl, .parquet; tokenizers: .json"
)
models = _group("model", "weights and teachers: .safetensors, .onnx, .zip of a model's folder")
