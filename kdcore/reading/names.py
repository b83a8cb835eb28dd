"""Names of files in archives that anybody may have made: they lead down, and are plain text."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_NAME: Final = 1024
_SHOWN: Final = 120
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def what_is_wrong(name: str) -> str | None:
    """Return what is wrong with a name, in words that follow it; None where it is in order."""
    folders = name.removesuffix("/").split("/")
    faults = {
        f"has {len(name):,} characters; expected at most {MAX_NAME:,}": len(name) > MAX_NAME,
        "has control characters": any(unicodedata.category(one) in _NO_TEXT for one in name),
        "has a backslash; folders are told apart by /": "\\" in name,
        "is an absolute path": bool(re.match("/|[A-Za-z]:", name)),
        "leads out of the archive (..)": ".." in folders,
        "has an empty part": "" in folders or "." in folders,
    }
    return next((words for words, found in faults.items() if found), None)


def is_left_out(name: str) -> bool:
    """Return whether a file is the file system's own and no data: `.DS_Store`, `__MACOSX`."""
    own = {"__MACOSX", "Thumbs.db", "desktop.ini"}
    return any(part.startswith(".") or part in own for part in name.split("/"))


def short(text: str) -> str:
    """Return a text, or the beginning of a long one."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
