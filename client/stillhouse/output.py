"""Where output goes: results to standard output, talk to standard error.

With `--json`, standard output is JSON and nothing else, and people still read along on the other.
"""

from __future__ import annotations

import json
import sys

from rich.console import Console, RenderableType
from rich.text import Text

from stillhouse.errors import ApiError, StillhouseError


class Output:
    """The two streams of one command."""

    def __init__(self, *, as_json: bool) -> None:
        """Results are JSON if `as_json`, otherwise for people."""
        self.as_json = as_json
        self.talk = Console(stderr=True, highlight=False)
        self._results = Console(highlight=False)

    def result(self, document: object, view: RenderableType) -> None:
        """Give the command's result: the document as JSON, or its view for people."""
        if self.as_json:
            self.line(document, indent=2)
        else:
            self._results.print(view)

    def plain(self, document: object, text: str) -> None:
        """Give a result that scripts read also without `--json`: never wrapped or styled."""
        if self.as_json:
            self.line(document, indent=2)
        else:
            sys.stdout.write(f"{text}\n")

    def line(self, document: object, *, indent: int | None = None) -> None:
        """Give one JSON document; without indent, on one line."""
        sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def say(self, text: str, style: str = "") -> None:
        """Tell people something, on standard error."""
        self.talk.print(Text(text, style=style), soft_wrap=True)

    def show(self, view: RenderableType) -> None:
        """Show people something, on standard error."""
        self.talk.print(view)


def error_document(error: StillhouseError) -> dict[str, object]:
    """The error as `--json` gives it: the server's own problem where there is one."""
    if isinstance(error, ApiError):
        if error.body:
            return error.body
        return {"code": error.code, "status": error.status, "detail": error.detail}
    return {"code": type(error).__name__, "detail": str(error)}
