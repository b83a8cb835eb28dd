"""What was decided while a run ran, so that an attempt that goes on decides the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

from kdcore.files import write_file


class Choices:
    """Words by question, in one file of the working folder; what is settled stays."""

    def __init__(self, file: Path) -> None:
        """Read what earlier attempts settled; a damaged file settles nothing."""
        self._file = file
        try:
            self._settled = cast("dict[str, str]", dict(json.loads(file.read_bytes())))
        except (OSError, ValueError, TypeError):
            self._settled = {}

    def known(self, question: str) -> str | None:
        """Return what an earlier attempt settled."""
        return self._settled.get(question)

    def settled(self) -> dict[str, str]:
        """Return all that is settled."""
        return dict(self._settled)

    def settle(self, question: str, decide: Callable[[], str]) -> str:
        """Return the answer to a question, deciding it the first time."""
        if question not in self._settled:
            self._settled[question] = decide()
            write_file(self._file, json.dumps(self._settled, indent=1).encode())
        return self._settled[question]
