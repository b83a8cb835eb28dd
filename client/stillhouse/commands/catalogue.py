"""methods: what a spec may name."""

from __future__ import annotations

from typing import Annotated

import typer

from stillhouse import completing
from stillhouse.entries import entries_table, entry_view
from stillhouse.errors import SpecError
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output


def methods(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One entry in full: formula, paper, needs, options.",
            autocompletion=completing.entries,
        ),
    ] = None,
    axis: Annotated[
        str,
        typer.Option(
            help=f"What to list: {', '.join(completing.AXES[:-1])} or {completing.AXES[-1]}.",
            autocompletion=completing.axes,
        ),
    ] = "methods",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the methods (or the entries of another axis) that this server offers."""
    output = Output(as_json=as_json)
    with connect(url) as client:
        entries = client.catalogue(axis)
    if name is None:
        output.result(entries, entries_table(entries))
        return
    named = {str(entry.get("name")): entry for entry in entries}
    if name not in named:
        raise SpecError(f"no {axis} entry is named {name!r}; there are: {', '.join(sorted(named))}")
    output.result(named[name], entry_view(named[name]))
