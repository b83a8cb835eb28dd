"""preflight: what a job would fail of."""

from __future__ import annotations

from typing import Annotated

import typer

from stillhouse.looks import finish, preflight_text
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output
from stillhouse.spec import read_spec


def preflight(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="YAML or JSON; - reads it from standard input.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change the spec first. Repeatable."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Look anew, where this was looked at before.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a worker read the data, build the networks and take one step of each training.

    No job is queued. Ends with 1 where a job would fail.
    """
    output = Output(as_json=as_json)
    spec = read_spec(file, changes or ())
    with connect(url) as client:
        told = client.preflight(spec, again=again)
    output.plain(told, preflight_text(told))
    finish(told)
