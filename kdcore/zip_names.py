"""Names in zip archives that anybody may have made: what is no plain path downwards is refused."""

from __future__ import annotations

import re
import unicodedata
import zipfile
from typing import Final, Protocol

from kdcore.errors import DataError

_UTF8: Final = 0x800
_MAX_NAME: Final = 1024
_SHOWN: Final = 120


class Refuse(Protocol):
    """Makes the error that names the archive."""

    def __call__(self, found: str, hint: str = ...) -> DataError:
        """Return the error, with a way out."""
        ...


def name_of(info: zipfile.ZipInfo, refuse: Refuse) -> str:
    """Return the name of an entry, with `/` between folders.

    Raises:
        DataError: it leads anywhere but down, or is no text.
    """
    raw = info.orig_filename  # `filename` is mended already
    if not info.flag_bits & _UTF8 and not raw.isascii():
        # The standard library read code page 437; several programs write UTF-8 and do not say.
        try:
            raw = raw.encode("cp437").decode()
        except UnicodeError:
            raise refuse(
                f"the name {short(raw)!r} is not written in UTF-8",
                hint="give the files plain names, or pack them with a program that writes UTF-8",
            ) from None
    name = unicodedata.normalize("NFC", raw)
    if reason := _fault(name):
        raise refuse(f"the name {short(name)!r} {reason}")
    return name


def _fault(name: str) -> str | None:
    folders = name.removesuffix("/").split("/")
    reason = None
    if len(name) > _MAX_NAME:
        reason = f"has {len(name):,} characters; expected at most {_MAX_NAME:,}"
    elif any(unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} for one in name):
        reason = "has control characters"
    elif "\\" in name:
        reason = "has a backslash; folders are told apart by /"
    elif name.startswith("/") or re.match("[A-Za-z]:", name):
        reason = "is an absolute path"
    elif ".." in folders:
        reason = "leads out of the archive (..)"
    elif "" in folders or "." in folders:
        reason = "has an empty part"
    return reason


def short(text: str) -> str:
    """Return a text as it is shown to people, cut where it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
