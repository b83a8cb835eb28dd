"""doctor: what is wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import typer
from rich.table import Table
from rich.text import Text

from stillhouse import exits
from stillhouse.doctor import Finding, Level, examine
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output

_MARKS: Final[dict[Level, tuple[str, str]]] = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "red": ("red", "bold red"),
}


def doctor(url: Url = None, as_json: AsJson = False) -> None:
    """Look for what may be wrong, here, at the server and at its workers; tell the way out.

    The exit code is 1 where anything is red, 0 otherwise, whatever it warns of.
    """
    with connect(url) as client:
        # What does not answer now is what is looked for.
        client.patience_seconds = 0.0
        findings = list(examine(client))
    is_well = all(finding.level != "red" for finding in findings)
    document = {"ok": is_well, "findings": [asdict(finding) for finding in findings]}
    Output(as_json=as_json).result(document, _view(findings))
    raise typer.Exit(exits.SUCCEEDED if is_well else exits.FAILED)


def _view(findings: list[Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        word, style = _MARKS[finding.level]
        told = Text(finding.found)
        if finding.way_out:
            told.append(f"\n→ {finding.way_out}", style="dim")
        table.add_row(Text(word, style=style), Text(finding.check), told)
    return table
