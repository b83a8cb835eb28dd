"""compare: jobs beside each other."""

from __future__ import annotations

from typing import Annotated

import typer

from stillhouse.beside import comparison_markdown, comparison_view
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output


def compare(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB JOB...", help="From 2 to 10 ids.")],
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As Markdown, for a pull request.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Compare jobs: what came out, which is best where (* best, = a tie), what differs in the spec.

    Nothing is best where the jobs were measured on other data, or asked something else.
    """
    output = Output(as_json=as_json)
    with connect(url) as client:
        found = client.compare(jobs)
    if markdown:
        output.plain(found, comparison_markdown(found))
    else:
        output.result(found, comparison_view(found))
