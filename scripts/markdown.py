"""Markdown for people who read it on GitHub: tables, code, escaped prose."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import yaml


def prose(text: str) -> str:
    """Return text that Markdown shows as it is; code in backticks stays code, papers are linked."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([*<~\\])", r"\\\1", part) for part in parts[::2]]
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[\g<0>](https://arxiv.org/abs/\1)", "".join(parts))


def code(text: str, language: str = "text") -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def in_yaml(document: object, *, line: bool = False) -> str:
    """Return a document in YAML, small parts on one line; or all of it on one."""
    flow, width = (True, math.inf) if line else (None, 100)
    return yaml.safe_dump(
        document, sort_keys=False, default_flow_style=flow, width=width, allow_unicode=True
    ).rstrip()


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; an empty cell is a dash."""
    lines = [heads, ["---"] * len(heads), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or "-"
