"""Names in zip archives that anybody may have made: what is no plain path downwards is refused."""

from __future__ import annotations

import unicodedata
import zipfile
from typing import Final, Protocol

from kdcore.errors import DataError
from kdcore.reading.names import short, what_is_wrong

_UTF8: Final = 0x800


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
    if reason := what_is_wrong(name):
        raise refuse(f"the name {short(name)!r} {reason}")
    return name
