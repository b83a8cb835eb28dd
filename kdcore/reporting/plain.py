"""Names of anybody's in Markdown."""

from __future__ import annotations

import re


def plain(name: str) -> str:
    """Return a name that is text and nothing else in Markdown."""
    return re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", name)
